//! The queue in which dead letters rest: how many there are, some of them, and what becomes of one.

use std::time::Duration;

use serde_json::json;

use super::{PutBack, Queue, Received, BATCH_MAX, CALL_TIMEOUT, REASON};

/// Whoever waits, however shortly, is told of messages on any of the disks ("Amazon SQS short and long polling").
const ALL_DISKS_S: u64 = 1;

impl Queue {
    /// How many rest there, roughly: Amazon SQS counts on many disks.
    ///
    /// # Errors
    /// The queue is away; in words for the operator.
    pub async fn dead_letters(&self) -> Result<u64, String> {
        const COUNTS: [&str; 2] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let body = json!({ "QueueUrl": self.dead_letters_url, "AttributeNames": COUNTS });
        let answer = self.ask("GetQueueAttributes", &body).await?;
        let count = |name: &str| answer["Attributes"][name].as_str()?.parse::<u64>().ok();
        Ok(COUNTS.into_iter().filter_map(count).sum())
    }

    /// Whether both queues answer this function.
    ///
    /// # Errors
    /// The first that does not; in words for the operator.
    pub async fn are_there(&self) -> Result<(), String> {
        for url in [&self.url, &self.dead_letters_url] {
            let body = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
            self.ask("GetQueueAttributes", &body).await?;
        }
        Ok(())
    }

    /// Some of them, none only where there are none; nobody else sees these for `time`.
    ///
    /// # Errors
    /// The queue is away; in words for the operator.
    pub async fn dead(&self, time: Duration) -> Result<Vec<Received>, String> {
        let body = json!({ "QueueUrl": self.dead_letters_url, "MaxNumberOfMessages": BATCH_MAX,
            "WaitTimeSeconds": ALL_DISKS_S, "VisibilityTimeout": time.as_secs(), "MessageAttributeNames": [REASON] });
        let mut answer = self.ask("ReceiveMessage", &body).await?;
        let messages = answer["Messages"].take();
        Ok(serde_json::from_value(messages).unwrap_or_default())
    }

    /// Lets others see these again.
    ///
    /// # Errors
    /// The queue is away; in words for the operator.
    pub async fn let_rest(&self, messages: &[Received]) -> Result<(), String> {
        let back: Vec<PutBack> = messages
            .iter()
            .enumerate()
            .map(|(place, message)| PutBack {
                id: place.to_string(),
                receipt_handle: message.receipt_handle.clone(),
                visibility_timeout: 0,
            })
            .collect();
        self.make_visible(&self.dead_letters_url, &back, CALL_TIMEOUT)
            .await
    }

    /// Deletes one that is in the other queue again.
    ///
    /// # Errors
    /// The queue is away; in words for the operator.
    pub async fn forget_dead(&self, message: &Received) -> Result<(), String> {
        let body = json!({ "QueueUrl": self.dead_letters_url, "ReceiptHandle": message.receipt_handle });
        self.ask("DeleteMessage", &body).await.map(drop)
    }
}

impl Received {
    /// Why it rests, where we put it there.
    pub fn reason(&self) -> Option<&str> {
        self.message_attributes[REASON]["StringValue"].as_str()
    }
}
