//! Website-tracking beacons into PostgreSQL: the map of the library, in reading order.
//!
//! `ingest` walks `api_event → caller → beacon → landing → reply`; `migrate` walks
//! `cfn_event → plan → run → report → send`. Neither uses the other; both stand on the seven files here.

pub mod config;
pub mod log;
pub mod tls;
pub mod aws;
pub mod db;
pub mod site_key;
pub mod doctor;
pub mod ingest;
pub mod migrate;
