//! What Lambda does between a queue and a function, and what it does on a bad day: delivers twice, to two at once, late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{json, Value};
use site_tracking::aws::{Aws, Service};

use super::sandbox::Sandbox;
use super::support::event_source::{record, EventSource};
use super::support::{moto, wait};

/// Between two questions to an empty queue.
const PAUSE: Duration = Duration::from_millis(100);

/// One request to the queue, on a loaded machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// To empty the queue after the last fault. Its server looks at every message at each question: a long run's tens of
/// thousands are slow to go.
const DRAIN_LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Once,
    /// Nothing is delivered.
    Rests,
    Twice,
    ToTwoAtOnce,
    /// Its time is over before the function has it, and somebody else had it meanwhile.
    Late,
}

pub struct Source {
    pub queue: EventSource,
    client: Aws,
    sandboxes: [Sandbox; 2],
    manner: Mutex<Manner>,
    hits: AtomicU64,
    /// Of messages that were put back.
    handles: Mutex<HashMap<String, String>>,
}

impl Source {
    pub fn new(queue: EventSource, moto_url: &str, sandboxes: [Sandbox; 2]) -> Self {
        Self {
            queue,
            client: moto::client(moto_url),
            sandboxes,
            manner: Mutex::default(),
            hits: AtomicU64::new(0),
            handles: Mutex::default(),
        }
    }

    pub fn sandboxes(&self) -> &[Sandbox; 2] {
        &self.sandboxes
    }

    pub fn delivers(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Batches that were delivered in a bad manner.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    /// Delivers what is there, once round.
    pub async fn turn(&self) {
        let manner = *self.manner.lock().unwrap();
        let records = match manner {
            Manner::Rests => Vec::new(),
            _ => self.receive().await,
        };
        if records.is_empty() {
            return tokio::time::sleep(PAUSE).await;
        }
        self.remember(&records);
        let [one, other] = &self.sandboxes;
        match manner {
            Manner::Once | Manner::Rests => {
                let failed = invoke(one, &records).await;
                return self.forget(&records, &failed).await;
            }
            Manner::Twice => {
                let first = invoke(one, &records).await;
                let second = invoke(one, &records).await;
                self.forget(&records, &first).await;
                self.forget(&records, &second).await;
            }
            Manner::ToTwoAtOnce => {
                let (first, second) = tokio::join!(invoke(one, &records), invoke(other, &records));
                self.forget(&records, &first).await;
                self.forget(&records, &second).await;
            }
            Manner::Late => {
                self.show(&records).await;
                let again = self.receive().await;
                self.remember(&again);
                let failed = invoke(one, &again).await;
                self.forget(&again, &failed).await;
                let failed = invoke(other, &records).await;
                self.forget(&records, &failed).await;
            }
        }
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    /// Delivers until nothing is left, without the pauses that messages were given.
    pub async fn drain(&self) {
        self.delivers(Manner::Once);
        wait::until_async("an empty queue", DRAIN_LIMIT, || async {
            let handles: Vec<String> = self
                .handles
                .lock()
                .unwrap()
                .drain()
                .map(|(_, handle)| handle)
                .collect();
            for handle in handles {
                self.show_one(&handle).await;
            }
            self.turn().await;
            (self.queue.count(&self.queue.url).await == 0).then_some(())
        })
        .await;
    }

    /// Nothing where the queue's server is out of breath: the messages come again.
    async fn receive(&self) -> Vec<Value> {
        let body = json!({ "QueueUrl": self.queue.url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 30,
            "AttributeNames": ["All"], "MessageAttributeNames": ["All"] });
        let asking = self.client.call(
            Service::Sqs,
            "AmazonSQS.ReceiveMessage",
            body.to_string(),
            ANSWER_LIMIT,
        );
        let answer: Value = serde_json::from_slice(&asking.await.unwrap_or_default()).unwrap_or_default();
        answer["Messages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(record)
            .collect()
    }

    fn remember(&self, records: &[Value]) {
        let pairs = records
            .iter()
            .map(|record| (text(record, "messageId"), text(record, "receiptHandle")));
        self.handles.lock().unwrap().extend(pairs);
    }

    /// Deletes what the function does not call failed.
    async fn forget(&self, records: &[Value], failed: &[String]) {
        for record in records {
            let id = text(record, "messageId");
            if !failed.contains(&id) {
                self.handles.lock().unwrap().remove(&id);
                self.tell(
                    "DeleteMessage",
                    json!({ "ReceiptHandle": record["receiptHandle"] }),
                )
                .await;
            }
        }
    }

    async fn show(&self, records: &[Value]) {
        for record in records {
            self.show_one(&text(record, "receiptHandle")).await;
        }
    }

    async fn show_one(&self, handle: &str) {
        self.tell(
            "ChangeMessageVisibility",
            json!({ "ReceiptHandle": handle, "VisibilityTimeout": 0 }),
        )
        .await;
    }

    /// A handle may be too old: then another holds the message, and the queue says no.
    async fn tell(&self, action: &str, mut body: Value) {
        body["QueueUrl"] = json!(self.queue.url);
        let action = format!("AmazonSQS.{action}");
        let told = self
            .client
            .call(Service::Sqs, &action, body.to_string(), ANSWER_LIMIT);
        let _ = told.await;
    }
}

/// The ids that the function calls failed: all of them where it gives no answer.
async fn invoke(sandbox: &Sandbox, records: &[Value]) -> Vec<String> {
    let Some(answer) = sandbox.invoke(json!({ "Records": records }).to_string()).await else {
        return records.iter().map(|record| text(record, "messageId")).collect();
    };
    let failed = answer["batchItemFailures"].as_array();
    let failed = failed.unwrap_or_else(|| panic!("no answer to a queue: {answer}"));
    failed
        .iter()
        .map(|failure| text(failure, "itemIdentifier"))
        .collect()
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}
