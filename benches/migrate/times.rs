//! How long each part of a deploy and a delete takes, on a small catalog and on one of 3,000 relations.

use serde_json::{json, Value};

use crate::migrate_stack::BINARY;
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::postgres::Cluster;
use crate::table::Table;

const ROUNDS: usize = 10;

const RELATIONS: &str = "do $$ begin for i in 1..3000 loop
    execute format('create table public.t_%s (a integer primary key, b text not null default ''x'', c timestamptz)', i);
    end loop; end $$";

pub async fn measure(cluster: &Cluster, table: &mut Table) {
    for (label, sql) in [("an empty database", ""), ("3,000 relations", RELATIONS)] {
        table.heading(&format!("{label} (median of {ROUNDS})"));
        let database = Database::empty(cluster).await;
        database.superuser().await.batch_execute(sql).await.unwrap();
        let function = Function::start(BINARY, &database.environment("nobody", "none")).await;
        let mut parts: Vec<(&str, Vec<u64>)> = Vec::new();
        let mut add = |name, ms| match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => times.push(ms),
            None => parts.push((name, vec![ms])),
        };
        for _ in 0..ROUNDS {
            let made = function.invoke(json!({"action": "apply"}).to_string()).await;
            let undone = function
                .invoke(json!({"action": "rollback", "version": "V001"}).to_string())
                .await;
            add("deploy, all of it", ms(&made["duration_ms"]));
            add("  its rehearsal", ms(&made["rehearsal"]["ms"]));
            add(
                "  apply",
                steps(&made, |step| !["probe", "compare"].contains(&step)),
            );
            add(
                "  verify",
                steps(&made, |step| ["probe", "compare"].contains(&step)),
            );
            add("  one fingerprint", ms(&made["rehearsal"]["fingerprint_ms"]));
            add("rollback, all of it", ms(&undone["duration_ms"]));
            add("  its file", steps(&undone, |_| true));
            add(
                "entries of the fingerprint",
                ms(&made["rehearsal"]["fingerprint_entries"]),
            );
        }
        for (name, mut values) in parts {
            values.sort_unstable();
            let unit = if name.starts_with("entries") { "" } else { " ms" };
            table.figure(name, format!("{}{unit}", values[values.len() / 2]));
        }
    }
}

fn ms(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, got {value}"))
}

fn steps(report: &Value, counts: impl Fn(&str) -> bool) -> u64 {
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("{report}"));
    let counted = steps.iter().filter(|step| counts(step["step"].as_str().unwrap()));
    counted.map(|step| ms(&step["ms"])).sum()
}
