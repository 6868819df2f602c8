//! A warm beacon through PgBouncer in transaction mode, TLS on both sides of it, beside one without.
//!
//! The two take turns one by one.

use std::time::Instant;

use crate::bare::event;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::pgbouncer::PgBouncer;
use crate::support::site::{Site, PASSWORD};
use crate::table::Table;
use crate::INGEST;

const ROUNDS: usize = 2_000;
const WARM_UP: usize = 300;

/// Connections of the pooler to the server.
const CONNECTIONS: u32 = 4;

pub async fn measure(site: &Site, table: &mut Table) {
    let pooler = PgBouncer::start(site.database.cluster, &site.login, PASSWORD, CONNECTIONS);
    let quiet = ("LOG_LEVEL", "info");
    let port = pooler.port.to_string();
    let direct = site.start_with(INGEST, &site.environment_with(&[quiet])).await;
    let pooled = site.environment_with(&[quiet, ("DB_PORT", &port)]);
    let pooled = site.start_with(INGEST, &pooled).await;
    let request = Request::post(Shape::V2, site.key.expose(), &event()).json();
    let (mut without, mut through) = (Sample::default(), Sample::default());
    for round in 0..WARM_UP + ROUNDS {
        for (ingest, sample) in [(&direct, &mut without), (&pooled, &mut through)] {
            let began = Instant::now();
            let reply = ingest.invoke(request.clone()).await;
            assert_eq!(reply["statusCode"], 200, "{reply}");
            if round >= WARM_UP {
                sample.add(began.elapsed());
            }
        }
    }
    direct.stop().await;
    pooled.stop().await;
    table.heading("a warm beacon through PgBouncer, durable (us)");
    for (name, sample) in [("without", &without), ("through PgBouncer", &through)] {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| sample.percentile(percent));
        let ratio = p50 / without.p50();
        let figures = format!("p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}: {ratio:.2} times");
        table.figure(name, figures);
    }
}
