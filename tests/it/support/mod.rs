//! The world around the functions: real PostgreSQL, and AWS at its wire.
//!
//! [`postgres`] and [`database`] give throwaway servers with TLS and fresh databases; [`function`] runs a real
//! binary under [`runtime_api`]; [`http_api`] is the gateway that a browser reaches; [`response_url`] is where
//! CloudFormation waits; [`browser`] is a real one; [`moto`] answers for services of AWS, with a [`door`] in front that
//! can be shut; [`pgbouncer`] pools connections; [`proxy`] stands between a function and the database to cut, reset
//! and count; [`stack_template`] is template.yaml as CloudFormation sees it, [`cloudwatch`] what its alarms see.
#![allow(dead_code, reason = "each program that includes this uses a part of it")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "what goes wrong here ends the test that needed it"
)]

pub mod tools;
pub mod authority;
pub mod account;
pub mod postgres;
pub mod database;
pub mod v001;
pub mod runtime_api;
pub mod function;
pub mod gateway;
pub mod metrics;
pub mod http_api;
pub mod browser;
pub mod site;
pub mod response_url;
pub mod moto;
pub mod door;
pub mod event_source;
pub mod pgbouncer;
pub mod proxy;
pub mod wait;
pub mod processes;
pub mod crowd;
pub mod kills;
pub mod traffic;
pub mod stack_template;
pub mod cloudwatch;
