//! From nothing to the first question, and to the first committed row.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use site_tracking::config::Ca;
use site_tracking::tls;

use crate::bare::event;
use crate::process;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::site::Site;
use crate::table::Table;
use crate::INGEST;

const STARTS: usize = 30;

/// The roots of the operating system, where Debian and its kin keep them.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Time on a processor until the function asks for its first request.
const FIRST_POLL_CPU_MS: f64 = 10.0;

/// Time on a processor for a connector that trusts one region's roots.
const CONNECTOR_CPU_MS: f64 = 5.0;

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
    connector(table);
    let everybody = everybody(site);
    let system = site.environment_with(&[
        ("LOG_LEVEL", "info"),
        ("DB_CA", "system"),
        ("SSL_CERT_FILE", &everybody.display().to_string()),
    ]);
    let own = site.environment_with(&[("LOG_LEVEL", "info")]);
    let [own, system] = first_rows(site, [&own, &system]).await;
    std::fs::remove_file(everybody).unwrap();
    for (label, (cpu, wall)) in [("own authority", &own), ("system roots", &system)] {
        table.figure(
            &format!("to the first committed row, {label}: wall, CPU"),
            format!("{:.2} ms, {:.2} ms", wall.p50() / 1e3, cpu.p50() / 1e3),
        );
    }
    let [wall, cpu] = [system.1.p50() / own.1.p50(), system.0.p50() / own.0.p50()];
    table.figure(
        "the same, system roots against own authority",
        format!("{wall:.2} times, {cpu:.2} times"),
    );
}

/// What a connector alone costs. With the system's roots the difference of the first polls above tells, since a process
/// asks once where they are.
fn connector(table: &mut Table) {
    // A process learns of its own time at each tick: many together, or it would see none or a whole one.
    let own = || process::cpu(std::process::id());
    let before = own();
    for _ in 0..STARTS {
        tls::connector(&Ca::Rds(Some("eu-west-1".to_owned()))).unwrap();
    }
    let each_ms = (own() - before).as_secs_f64() * 1e3 / STARTS as f64;
    let name = "CPU of a connector, roots of Amazon RDS";
    table.target(name, each_ms, CONNECTOR_CPU_MS, "ms");
}

/// A file with the roots of this system and the server's own.
fn everybody(site: &Site) -> PathBuf {
    let mut pem = std::fs::read(SYSTEM_ROOTS).expect("the system has roots, package ca-certificates");
    pem.extend(std::fs::read(site.database.cluster.authority_pem()).unwrap());
    let file = std::env::temp_dir().join(format!("site-tracking-roots-{}.pem", std::process::id()));
    std::fs::write(&file, pem).unwrap();
    file
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

/// CPU and wall of each environment, which take turns.
async fn first_rows(site: &Site, environments: [&[(&'static str, String)]; 2]) -> [(Sample, Sample); 2] {
    let mut samples = <[(Sample, Sample); 2]>::default();
    let request = Request::post(Shape::V2, site.key.expose(), &event()).json();
    for _ in 0..STARTS {
        for (environment, (cpu, wall)) in environments.iter().zip(&mut samples) {
            let began = Instant::now();
            let ingest = site.start_with(INGEST, environment).await;
            let reply = ingest.outcome(request.clone(), Duration::from_secs(10)).await;
            wall.add(began.elapsed());
            cpu.add(process::cpu(ingest.pid()));
            assert!(format!("{reply:?}").contains("receipt"), "{reply:?}");
            ingest.stop().await;
        }
    }
    samples
}
