//! The model of Amazon SQS at its requests: messages, dead letters, and answers that do not come.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::world::{Message, Sandbox, Weather};
use crate::aws::AwsError;
use crate::ingest::queue::{Requests, Tries, FAULTS, REFUSALS};

pub const QUEUE: &str = "queue";
pub const DEAD_LETTERS: &str = "dead letters";

/// What a request takes while the queue is slow: as long as it may.
const SLOW_S: u64 = 3;

/// A queue as one process sees it.
pub struct Sqs(pub Sandbox);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Taken,
    Refused,
    Denied,
    Unreachable,
    TakenUnanswered,
    Overdue,
    Killed,
    TakenAndKilled,
}

const SENDING: &[Sending] = &[
    Sending::Taken,
    Sending::Refused,
    Sending::Denied,
    Sending::Unreachable,
    Sending::TakenUnanswered,
    Sending::Overdue,
    Sending::Killed,
    Sending::TakenAndKilled,
];

impl Requests for Sqs {
    async fn ask(&self, action: &str, body: String, within: Duration) -> Result<Bytes, AwsError> {
        self.0.step().await;
        let body: Value = serde_json::from_str(&body).expect("a request in JSON");
        let world = &self.0.world;
        if action == "AmazonSQS.SendMessage" && world.weather.get() == Weather::SlowQueue {
            world.wait(within.as_secs().min(SLOW_S));
            if within.as_secs() < SLOW_S {
                // The worst that may have become of it.
                self.put(&body);
                return Err(AwsError::TimedOut);
            }
        }
        match action {
            "AmazonSQS.SendMessage" => self.take(&body).await,
            // A pause that was not set is another pause.
            "AmazonSQS.ChangeMessageVisibilityBatch" => {
                match self
                    .0
                    .happens("puts back", &[Sending::Taken, Sending::Refused, Sending::Killed])
                {
                    Sending::Killed => self.0.die().await,
                    Sending::Refused => Err(refused(503)),
                    _ => Ok(Bytes::new()),
                }
            }
            other => panic!("the model knows no {other}"),
        }
    }
}

impl Sqs {
    async fn take(&self, body: &Value) -> Result<Bytes, AwsError> {
        let outcome = self.0.happens("queues", SENDING);
        if matches!(
            outcome,
            Sending::Taken | Sending::TakenUnanswered | Sending::TakenAndKilled
        ) {
            self.put(body);
        }
        match outcome {
            Sending::Taken => Ok(Bytes::new()),
            Sending::Refused => Err(refused(503)),
            Sending::Denied => Err(refused(403)),
            Sending::Unreachable => Err(AwsError::Network("unreachable")),
            Sending::TakenUnanswered => Err(AwsError::Unanswered("cut")),
            Sending::Overdue => Err(AwsError::TimedOut),
            Sending::Killed | Sending::TakenAndKilled => self.0.die().await,
        }
    }

    fn put(&self, body: &Value) {
        let text = body["MessageBody"].as_str().expect("a text").to_owned();
        let count = |name: &str| {
            let count = body["MessageAttributes"][name]["StringValue"].as_str();
            count.map_or(0, |count| count.parse().expect("a number"))
        };
        let state = &mut *self.0.world.state.borrow_mut();
        match body["QueueUrl"].as_str() {
            Some(DEAD_LETTERS) => state.dead_letters.push(text),
            _ => {
                state.messages += 1;
                state.queue.push(Message {
                    id: state.messages,
                    text,
                    receives: 0,
                    tries: Tries {
                        refusals: count(REFUSALS),
                        faults: count(FAULTS),
                    },
                });
            }
        }
    }
}

fn refused(status: u16) -> AwsError {
    AwsError::Refused {
        status,
        code: String::new(),
    }
}
