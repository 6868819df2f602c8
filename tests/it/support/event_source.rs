//! Amazon SQS and what Lambda does between it and a function: receives messages, invokes the function with them, and
//! deletes those that it does not call failed ("Using Lambda with Amazon SQS").

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{json, Value};
use site_tracking::aws::Service;

use super::moto::Moto;
use super::site::Watched;
use super::wait;

/// Above all pauses between five refusals, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// So long nobody else sees a message that was handed over, unless it is put back before.
pub const HANDED_OVER: Duration = Duration::from_secs(30);

/// Messages of one invocation (`BatchSize` in template.yaml).
const BATCH: usize = 10;

/// A queue and its dead letters.
pub struct EventSource {
    pub moto: &'static Moto,
    pub url: String,
    pub dead_letters_url: String,
}

impl EventSource {
    pub async fn new() -> Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        let moto = SHARED.get_or_init(Moto::start);
        let name = uuid::Uuid::now_v7().simple().to_string();
        Self {
            moto,
            url: moto.queue(&format!("events-{name}")).await,
            dead_letters_url: moto.queue(&format!("dead-{name}")).await,
        }
    }

    /// `environment` with what `ingest` needs to find both.
    pub fn beside(&self, mut environment: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        environment.extend(self.moto.environment());
        environment.push(("QUEUE_URL", self.url.clone()));
        environment.push(("DEAD_LETTERS_URL", self.dead_letters_url.clone()));
        environment
    }

    pub async fn ask(&self, action: &str, body: Value) -> Value {
        self.moto
            .ask(Service::Sqs, &format!("AmazonSQS.{action}"), body)
            .await
    }

    pub async fn send(&self, text: &str) {
        self.ask(
            "SendMessage",
            json!({ "QueueUrl": self.url, "MessageBody": text }),
        )
        .await;
    }

    /// Messages that are visible now, as Lambda hands them over.
    pub async fn receive(&self) -> Vec<Value> {
        let messages = self.received(&self.url, HANDED_OVER.as_secs()).await;
        messages.iter().map(record).collect()
    }

    /// Dead letters, all of them.
    pub async fn dead_letters(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let some = self.received(&self.dead_letters_url, 1).await;
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    async fn received(&self, url: &str, visibility_s: u64) -> Vec<Value> {
        let body = json!({ "QueueUrl": url, "MaxNumberOfMessages": BATCH, "VisibilityTimeout": visibility_s,
            "AttributeNames": ["All"], "MessageAttributeNames": ["All"] });
        let answer = self.ask("ReceiveMessage", body).await;
        answer["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// One invocation with these records; the ids that the function calls failed.
    pub async fn invoke(&self, ingest: &Watched, records: &[Value]) -> Vec<String> {
        let answer = ingest.invoke(json!({ "Records": records }).to_string()).await;
        let failures = answer["batchItemFailures"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        let failed: Vec<String> = failures
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
            .collect();
        for record in records {
            if !failed.contains(&record["messageId"].as_str().unwrap().to_owned()) {
                let body = json!({ "QueueUrl": self.url, "ReceiptHandle": record["receiptHandle"] });
                self.ask("DeleteMessage", body).await;
            }
        }
        failed
    }

    /// Invokes until the queue holds nothing, seen or unseen.
    pub async fn drain(&self, ingest: &Watched) {
        wait::until_async("an empty queue", PATIENCE, || async {
            let records = self.receive().await;
            if !records.is_empty() {
                self.invoke(ingest, &records).await;
            }
            // A message that comes into sight between two of the counts is in none of them: the second look finds it.
            (self.count(&self.url).await == 0 && self.count(&self.url).await == 0).then_some(())
        })
        .await;
    }

    /// Messages in a queue: visible, handed over, delayed.
    pub async fn count(&self, url: &str) -> u64 {
        const COUNTS: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let body = json!({ "QueueUrl": url, "AttributeNames": COUNTS });
        let answer = self.ask("GetQueueAttributes", body).await;
        let count = |name: &&str| {
            answer["Attributes"][*name]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        COUNTS.iter().map(count).sum()
    }
}

/// A message as it stands in Lambda's event.
pub fn record(message: &Value) -> Value {
    let attributes = message["MessageAttributes"].as_object().into_iter().flatten();
    let attributes: serde_json::Map<String, Value> = attributes
        .map(|(name, value)| {
            let value = json!({ "stringValue": value["StringValue"], "dataType": value["DataType"] });
            (name.clone(), value)
        })
        .collect();
    json!({ "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"], "attributes": message["Attributes"], "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"], "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:events", "awsRegion": "eu-west-1" })
}
