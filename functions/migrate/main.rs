//! Cold start of `migrate`: reads the environment and waits for events.
//!
//! Whatever is wrong with the environment, the function starts: a function that does not start answers nobody, and a
//! stack without an answer hangs for an hour.

use lambda_runtime::{service_fn, Diagnostic, Error, LambdaEvent};
use serde_json::value::RawValue;
use site_tracking::config::{Environment, LogLevel};
use site_tracking::log::Log;
use site_tracking::migrate::{log_panic, Invocation, Migrate};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let environment = Environment::of_process();
    let stack = environment.stack_name().unwrap_or_default();
    let log = Log::new(environment.log_level().unwrap_or(LogLevel::Info), &stack);
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| log_panic(&panics, panic)));
    let migrate = Migrate::new(environment, log);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let migrate = &migrate;
        async move {
            let invocation = Invocation {
                request_id: event.context.request_id,
                deadline_ms: event.context.deadline,
            };
            // On the heap: the compiler gives up on laying out all stages of a deploy inside one future.
            let answered = Box::pin(migrate.handle(&event.payload, &invocation)).await;
            answered.map_err(|undelivered| Diagnostic {
                error_type: "Undelivered".to_owned(),
                error_message: undelivered.to_string(),
            })
        }
    }))
    .await
}
