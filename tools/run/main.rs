//! `make run`: the whole path on this machine, until Ctrl-C.
//!
//! A throwaway PostgreSQL with TLS, V001 applied by `migrate` as CloudFormation would, a demo tenant and its key,
//! `ingest` behind `cargo lambda watch` as its least-privileged login; then a line per row. What is started here
//! ends here, whichever way this program ends.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

mod announcement;
mod deploy;
mod http;
mod rows;
mod settings;
mod watch;

#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::any::Any;
use std::process::ExitCode;

use settings::Settings;
use support::postgres::Cluster;
use tokio::signal::unix::{signal, SignalKind};
use tokio_postgres::Client;
use watch::Watch;

/// One sentence: what went wrong and what to do.
type Failed = String;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("error: {}", what_it_said(panic.payload()));
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(until_interrupted()),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// Of the support for tests, which fails by panicking with a sentence.
fn what_it_said(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a step of the start failed")
}

async fn until_interrupted() -> Result<(), Failed> {
    let settings = Settings::read()?;
    tokio::select! {
        ended = run(&settings) => ended,
        word = interruption() => {
            eprintln!("{}; stopping what was started", word?);
            Ok(())
        }
    }
}

async fn run(settings: &Settings) -> Result<(), Failed> {
    announcement::withdraw();
    settings.say_postgres();
    let cluster = Cluster::start(&settings.postgres_bin, &["fsync = off"]);
    let database = deploy::database(&cluster).await?;
    eprintln!(
        "starting the functions under cargo lambda watch on port {}",
        settings.port
    );
    let mut watch = Watch::start(settings, &deploy::environment(&cluster)).await?;
    tokio::select! {
        failed = watch.ended() => Err(failed),
        ended = serve(settings, &cluster, &database) => ended,
    }
}

async fn serve(settings: &Settings, cluster: &Cluster, database: &Client) -> Result<(), Failed> {
    eprintln!("applying V001 through migrate, as CloudFormation would");
    let site = deploy::deploy(settings, cluster, database).await?;
    http::get_health(settings.port).await?;
    let _ready = announcement::make(settings, cluster, &site)?;
    Err(rows::print_as_they_land(database).await)
}

/// The name of the signal that came.
async fn interruption() -> Result<&'static str, Failed> {
    let listen = |kind| signal(kind).map_err(|error| format!("no signals: {error}"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "asked to end",
        _ = hang_up.recv() => "the terminal went away",
    })
}
