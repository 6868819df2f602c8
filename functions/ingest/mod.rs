//! The story of one beacon.
