//! Everything with a socket, against real PostgreSQL and the real binaries: a file per promise.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

/// The real binary.
const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

mod support_works;
mod house_rules;
mod template;
mod template_choices;
mod template_rights;
mod template_watch;
mod template_end_to_end;
mod alarms_cross;
mod readme_deploy;
mod readme_symptoms;

mod make_run;
mod make_verify;
mod ingest_answers;
mod ingest_senders;
mod ingest_events;
mod ingest_isolation;
mod v001_by_hand;
mod v001_refusals;
mod ingest_connection;
mod ingest_start;
mod ingest_watch;
mod aws_requests;
mod queue_outage;
mod queue_breaker;
mod ingest_secret;
mod ingest_life;
mod ingest_pooler;
mod load_crowd;
mod edge_gateways;
mod corpus;
mod beacon_quarantine;
mod properties;
mod edge_addresses;
mod edge_answers;
mod edge_explain;
mod edge_limits;
mod edge_bombs;
mod migrate_stack;
mod migrate_deploy;
mod migrate_predecessor;
mod migrate_adopt;
mod migrate_adopt_back;
mod migrate_adopt_live;
mod v001_beacon;
mod v001_table;
mod migrate_bad_luck;
mod migrate_answer;
mod migrate_actions;
mod migrate_plan;
mod migrate_rights;
mod migrate_cfn;
mod migrate_readme;
mod migrate_status;
mod migrate_watch;
mod migrate_at_once;
mod migrate_checklist;
mod migrate_checklist_deploy;
mod migrate_checklist_page;
mod migrate_fingerprint;
mod migrate_rehearsal;
mod migrate_killed;
mod migrate_owners;
mod migrate_traffic;
mod v001_optional;
mod v001_faulty_options;
mod v001_privileges;
mod v001_rollback;
mod v001_ledger;
mod v001_verify;
mod v001_views;
mod events_recipes;
mod http_api;
mod browser;
