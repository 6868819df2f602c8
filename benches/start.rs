//! From nothing to the first question, and to the first committed row.

use std::time::{Duration, Instant};

use crate::bare::event;
use crate::process;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::site::Site;
use crate::table::Table;
use crate::INGEST;

const STARTS: usize = 30;

/// Time on a processor until the function asks for its first request.
const FIRST_POLL_CPU_MS: f64 = 10.0;

pub async fn measure(site: &Site, table: &mut Table) {
    table.heading("start of the function (p50 of 30)");
    for (label, authority) in [
        ("own authority", None),
        ("roots of Amazon RDS", Some("rds")),
        ("system roots", Some("system")),
    ] {
        let mut environment = site.environment_with(&[("LOG_LEVEL", "info")]);
        if let Some(authority) = authority {
            environment = site.environment_with(&[
                ("LOG_LEVEL", "info"),
                ("DB_CA", authority),
                ("AWS_REGION", "eu-west-1"),
            ]);
        }
        let (cpu, wall) = first_poll(site, &environment).await;
        let name = format!("CPU to the first poll, {label}");
        if authority == Some("system") {
            table.figure(&name, format!("{:.2} ms", cpu.p50() / 1e3));
        } else {
            table.target(&name, cpu.p50() / 1e3, FIRST_POLL_CPU_MS, "ms");
        }
        table.figure(
            &format!("wall time to the first poll, {label}"),
            format!("{:.2} ms", wall.p50() / 1e3),
        );
    }
    let (cpu, wall) = first_row(site).await;
    table.figure(
        "wall time to the first committed row",
        format!("{:.2} ms", wall.p50() / 1e3),
    );
    table.figure(
        "CPU to the first committed row",
        format!("{:.2} ms", cpu.p50() / 1e3),
    );
}

async fn first_poll(site: &Site, environment: &[(&'static str, String)]) -> (Sample, Sample) {
    let (mut cpu, mut wall) = (Sample::default(), Sample::default());
    for _ in 0..STARTS {
        let began = Instant::now();
        let ingest = site.start_with(INGEST, environment).await;
        ingest.api.first_poll().await;
        wall.add(began.elapsed());
        cpu.add(process::cpu(ingest.pid()));
        ingest.stop().await;
    }
    (cpu, wall)
}

async fn first_row(site: &Site) -> (Sample, Sample) {
    let (mut cpu, mut wall) = (Sample::default(), Sample::default());
    let environment = site.environment_with(&[("LOG_LEVEL", "info")]);
    let request = Request::post(Shape::V2, site.key.expose(), &event()).json();
    for _ in 0..STARTS {
        let began = Instant::now();
        let ingest = site.start_with(INGEST, &environment).await;
        let reply = ingest.outcome(request.clone(), Duration::from_secs(10)).await;
        wall.add(began.elapsed());
        cpu.add(process::cpu(ingest.pid()));
        assert!(format!("{reply:?}").contains("receipt"), "{reply:?}");
        ingest.stop().await;
    }
    (cpu, wall)
}
