//! Many stacks at once on one database.

use std::time::Instant;

use crate::migrate_stack::{Stack, REMAINING};
use crate::support::postgres::Cluster;
use crate::table::Table;

const STACKS: usize = 20;

pub async fn measure(cluster: &Cluster, table: &mut Table) {
    table.heading(&format!("{STACKS} stacks at once"));
    let mut stacks = vec![Stack::new(cluster).await];
    for number in 1..STACKS {
        let mut stack = stacks[0].sibling(&number.to_string()).await;
        stack.set("IngestUser", stacks[0].properties["IngestUser"].clone());
        stacks.push(stack);
    }
    for request_type in ["Create", "Delete"] {
        let started = Instant::now();
        let ends: Vec<_> = stacks
            .iter()
            .map(|stack| {
                stack
                    .function
                    .api
                    .invoke(stack.event(request_type).to_string(), REMAINING)
            })
            .collect();
        for end in ends {
            end.await.unwrap();
        }
        let took = started.elapsed();
        let mut failures = 0;
        for stack in &mut stacks {
            failures += usize::from(stack.url.put().await.json()["Status"] != "SUCCESS");
        }
        table.figure(
            &format!("{request_type}: time until the last answer"),
            format!("{took:.1?}"),
        );
        table.target(&format!("{request_type}: failures"), failures as f64, 0.0, "");
    }
}
