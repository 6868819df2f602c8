//! What the queue hands over: its event, record by record; pure.
//!
//! In: the JSON of an event source mapping. Out: one delivery for each record. What is absent or of an odd type is
//! empty, so that no record can cost its neighbours. What a text means is not known here.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

use super::super::loose_json::{self, Object};
use super::super::queue::{Tries, FAULTS, REFUSALS};

/// The mark of this queue's kind in a record.
const SOURCE: &str = "aws:sqs";

/// One message, handed over once more.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// By this the queue is told which ones failed.
    pub id: Cow<'a, str>,
    /// By this it is put back.
    pub handle: Cow<'a, str>,
    /// Its text.
    pub text: Cow<'a, str>,
    /// How often it was handed over, this time included.
    pub receives: u32,
    /// How it fared before.
    pub tries: Tries,
    /// When it was sent to the queue, where the queue says so.
    pub sent: Option<SystemTime>,
}

impl Delivery<'_> {
    /// How long it has been in the queue; nothing where nobody says so.
    pub fn age(&self, now: SystemTime) -> Duration {
        let since_sent = self.sent.and_then(|sent| now.duration_since(sent).ok());
        since_sent.unwrap_or_default()
    }
}

/// The records of a queue's event; `None` where it is none.
pub fn deliveries(event: &RawValue) -> Option<Vec<Delivery<'_>>> {
    let records = Object::of(event).get("Records")?;
    let records: Vec<Object<'_>> = loose_json::elements(records)
        .into_iter()
        .map(Object::of)
        .collect();
    let is_of_a_queue = |record: &Object<'_>| record.text("eventSource").as_deref() == Some(SOURCE);
    records
        .iter()
        .any(is_of_a_queue)
        .then(|| records.iter().map(delivery).collect())
}

fn delivery<'a>(record: &Object<'a>) -> Delivery<'a> {
    let attributes = record.object("attributes");
    let counted = record.object("messageAttributes");
    let count = |name| number(counted.object(name).text("stringValue")).unwrap_or(0);
    let sent_ms: Option<u64> = number(attributes.text("SentTimestamp"));
    Delivery {
        id: record.text("messageId").unwrap_or_default(),
        handle: record.text("receiptHandle").unwrap_or_default(),
        text: record.text("body").unwrap_or_default(),
        receives: number(attributes.text("ApproximateReceiveCount")).unwrap_or(1),
        tries: Tries {
            refusals: count(REFUSALS),
            faults: count(FAULTS),
        },
        sent: sent_ms.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
    }
}

fn number<N: std::str::FromStr>(text: Option<Cow<'_, str>>) -> Option<N> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: &serde_json::Value) -> Option<Vec<(String, String, u32, Tries)>> {
        let raw = serde_json::value::to_raw_value(event).unwrap();
        let deliveries = deliveries(&raw)?.into_iter();
        let parts = deliveries.map(|d| (d.id.into_owned(), d.text.into_owned(), d.receives, d.tries));
        Some(parts.collect())
    }

    #[test]
    fn each_record_is_read_whatever_its_neighbours_are() {
        let good = json!({ "messageId": "1", "receiptHandle": "h", "eventSource": "aws:sqs", "body": "{\"a\":1}",
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "1767323045000" },
            "messageAttributes": { "refusals": { "stringValue": "2", "dataType": "Number" },
                "faults": { "stringValue": "7", "dataType": "Number" } } });
        let event = json!({ "Records": [good, null, { "messageId": "2", "body": 7, "attributes": [] }] });
        let tries = |refusals, faults| Tries { refusals, faults };
        let empty = (String::new(), String::new(), 1, tries(0, 0));
        let expected = vec![
            ("1".to_owned(), "{\"a\":1}".to_owned(), 3, tries(2, 7)),
            empty,
            ("2".to_owned(), "7".to_owned(), 1, tries(0, 0)),
        ];
        assert_eq!(read(&event), Some(expected));
    }

    #[test]
    fn what_is_no_queues_event_is_none() {
        for event in [
            json!({}),
            json!({ "Records": [] }),
            json!({ "Records": [{ "eventSource": "aws:s3" }] }),
            json!({ "body": "{\"Records\":[{\"eventSource\":\"aws:sqs\"}]}", "httpMethod": "POST" }),
            json!([]),
        ] {
            assert_eq!(read(&event), None, "{event}");
        }
    }
}
