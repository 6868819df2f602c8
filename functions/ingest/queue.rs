//! The queue that keeps beacons while the database is away, and the one in which dead letters rest.
//!
//! In: a landing, or the text of a message. Out: Amazon SQS has it on several disks, or it is not there. A message is
//! what `message` and `parts` make of a beacon; what a text holds is not known here, and is never logged.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use super::landing::Landing;
use super::replay::Delivery;
use crate::aws::{Aws, AwsError, Service};
use crate::config;

mod message;
mod parts;
mod dead;

pub use message::{read, Message};
pub use parts::TEXT_MAX_BYTES;

/// The attribute that counts how often the database refused a message.
pub const REFUSALS: &str = "refusals";

/// The attribute that counts how often a message was too old for a fault that may be its own.
pub const FAULTS: &str = "faults";

/// The attribute that says why a dead letter is one.
pub const REASON: &str = "reason";

/// All messages of one beacon, within what the function's ten seconds leave behind the database's five.
pub const TAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Any other call, or a set of them that belong together.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Messages that one call may speak of (Amazon SQS API reference).
pub const BATCH_MAX: usize = 10;

/// How a message fared before; it travels with it.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Tries {
    /// How often it was refused.
    pub refusals: u32,
    /// How often it was too old for a fault that may be its own.
    pub faults: u32,
}

/// Two queues and the way to them.
pub struct Queue<R = Aws> {
    aws: R,
    url: String,
    dead_letters_url: String,
}

/// Why a beacon is not in the queue.
pub struct NotTaken {
    /// Whether some of its messages are.
    pub is_partly_taken: bool,
    /// For the operator.
    pub why: String,
}

/// A message that is to come again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutBack {
    id: String,
    receipt_handle: String,
    visibility_timeout: u64,
}

/// A message as the queue hands it over to who asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Received {
    /// By this it is deleted.
    pub receipt_handle: String,
    /// Its text.
    pub body: String,
    #[serde(default)]
    message_attributes: Value,
}

impl PutBack {
    /// `delivery` comes again after `pause`.
    pub fn of(delivery: &Delivery<'_>, place: usize, pause: Duration) -> Self {
        Self {
            id: place.to_string(),
            receipt_handle: delivery.handle.clone().into_owned(),
            visibility_timeout: pause.as_secs(),
        }
    }
}

/// Who answers for queues: Amazon SQS.
#[expect(
    async_fn_in_trait,
    reason = "whoever spawns knows who is asked, and so whether that is `Send`"
)]
pub trait Requests {
    /// Asks for `action` (`AmazonSQS.SendMessage`), with `body` in JSON; all of it ends `within` that time.
    ///
    /// # Errors
    /// There is no answer, or it is no.
    async fn ask(&self, action: &str, body: String, within: Duration) -> Result<Bytes, AwsError>;
}

impl Requests for Aws {
    async fn ask(&self, action: &str, body: String, within: Duration) -> Result<Bytes, AwsError> {
        self.call(Service::Sqs, action, body, within).await
    }
}

impl Queue {
    /// Reaches for nothing yet.
    pub fn new(config: config::Queue) -> Self {
        Self::asking(Aws::new(config.aws), &config.url, &config.dead_letters_url)
    }
}

impl<R: Requests> Queue<R> {
    /// The queues of these URLs, with `aws` to answer for them.
    pub fn asking(aws: R, url: &str, dead_letters_url: &str) -> Self {
        Self {
            aws,
            url: url.to_owned(),
            dead_letters_url: dead_letters_url.to_owned(),
        }
    }

    /// Takes all events of a beacon.
    ///
    /// # Errors
    /// Not all of its messages were accepted in time.
    pub async fn take(&self, landing: &Landing<'_>) -> Result<(), NotTaken> {
        let texts =
            parts::texts(landing.stamp, &landing.beacon.events).map_err(|parts::TooLarge| NotTaken {
                is_partly_taken: false,
                why: format!(
                    "an event is larger than the {TEXT_MAX_BYTES} bytes of a message, also compressed"
                ),
            })?;
        let until = Instant::now() + TAKE_TIMEOUT;
        let mut is_partly_taken = false;
        for text in &texts {
            let patience = until.saturating_duration_since(Instant::now());
            if let Err(error) = self.send(&self.url, text, &[], Duration::ZERO, patience).await {
                is_partly_taken |= error.may_be_done();
                let why = told(&error);
                return Err(NotTaken { is_partly_taken, why });
            }
            is_partly_taken = true;
        }
        Ok(())
    }

    /// Sends a message round once more, with how it fared.
    ///
    /// # Errors
    /// It was not accepted in time; in words for the operator.
    pub async fn send_again(
        &self,
        text: &str,
        tries: Tries,
        after: Duration,
        within: Duration,
    ) -> Result<(), String> {
        let attributes = [
            (REFUSALS, "Number", tries.refusals.to_string()),
            (FAULTS, "Number", tries.faults.to_string()),
        ];
        let sent = self.send(&self.url, text, &attributes, after, within).await;
        sent.map_err(|error| told(&error))
    }

    /// Puts a message among the dead letters.
    ///
    /// # Errors
    /// It was not accepted in time; in words for the operator.
    pub async fn lay_to_rest(&self, text: &str, reason: &str, within: Duration) -> Result<(), String> {
        let attributes = [(REASON, "String", reason.to_owned())];
        let sent = self
            .send(&self.dead_letters_url, text, &attributes, Duration::ZERO, within)
            .await;
        sent.map_err(|error| told(&error))
    }

    /// Sends a dead letter round once more.
    ///
    /// # Errors
    /// It was not accepted; in words for the operator.
    pub async fn send_once_more(&self, text: &str) -> Result<(), String> {
        let sent = self
            .send(&self.url, text, &[], Duration::ZERO, CALL_TIMEOUT)
            .await;
        sent.map_err(|error| told(&error))
    }

    /// Says when messages that stay in the queue are to come again.
    ///
    /// # Errors
    /// The queue does not know of it in time; in words for the operator.
    pub async fn put_back(&self, messages: &[PutBack], within: Duration) -> Result<(), String> {
        self.make_visible(&self.url, messages, within).await
    }

    async fn make_visible(&self, url: &str, messages: &[PutBack], within: Duration) -> Result<(), String> {
        for some in messages.chunks(BATCH_MAX) {
            let body = json!({ "QueueUrl": url, "Entries": some });
            let told_it = self.call("ChangeMessageVisibilityBatch", &body, within).await;
            told_it.map_err(|error| told(&error))?;
        }
        Ok(())
    }

    async fn send(
        &self,
        url: &str,
        text: &str,
        attributes: &[(&str, &str, String)],
        after: Duration,
        patience: Duration,
    ) -> Result<(), AwsError> {
        let attributes = attributes.iter().map(|(name, kind, value)| {
            let value = json!({ "DataType": kind, "StringValue": value });
            ((*name).to_owned(), value)
        });
        let attributes: serde_json::Map<String, Value> = attributes.collect();
        let body = json!({ "QueueUrl": url, "MessageBody": text, "DelaySeconds": after.as_secs(),
            "MessageAttributes": attributes });
        self.call("SendMessage", &body, patience).await.map(drop)
    }

    async fn ask(&self, action: &str, body: &Value) -> Result<Value, String> {
        let answer = self.call(action, body, CALL_TIMEOUT).await;
        answer.map_err(|error| told(&error))
    }

    async fn call(&self, action: &str, body: &Value, patience: Duration) -> Result<Value, AwsError> {
        let action = format!("AmazonSQS.{action}");
        let answer = self.aws.ask(&action, body.to_string(), patience).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

fn told(error: &AwsError) -> String {
    format!("the queue: {error}; check QUEUE_URL, the function's permissions and its way to SQS")
}
