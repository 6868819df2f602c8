//! The story of one deploy.
