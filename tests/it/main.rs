//! Everything with a socket, against real PostgreSQL and the real binaries: a file per promise.

mod support;

mod support_works;
