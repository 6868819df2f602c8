//! Cold start of `ingest`: reads the environment, connects ahead, asks for the first request.

// The story of a request is one future, and each of its stages one level deeper in it.
#![recursion_limit = "256"]

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{service_fn, Error, LambdaEvent, Runtime};
use serde_json::value::RawValue;
use site_tracking::config::{Ca, Environment, Function, Invalid};
use site_tracking::ingest::{self, Ingest};
use site_tracking::log::Log;

fn main() -> ExitCode {
    match configured(&Environment::of_process()) {
        Ok(ingest) => run(Arc::new(ingest)),
        Err(invalid) => ingest::could_not_start(&invalid),
    }
}

fn configured(environment: &Environment) -> Result<Ingest, Invalid> {
    let log = Log::new(environment.log_level()?, &environment.stack_name()?);
    let database = environment.database(Function::Ingest)?;
    let queue = environment.queue()?;
    let edge = environment.edge()?;
    if database.ca != Ca::System {
        site_tracking::tls::skip_system_roots();
    }
    Ok(Ingest::new(database, queue, edge, log))
}

#[tokio::main(flavor = "current_thread")]
async fn run(ingest: Arc<Ingest>) -> ExitCode {
    let ahead = ingest.clone();
    tokio::spawn(async move { ahead.connect_ahead().await });
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let ingest = ingest.clone();
        async move { Ok::<_, Error>(ingest.handle(&event.payload, &event.context.request_id).await) }
    });
    match Runtime::new(handler).run_concurrent().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
