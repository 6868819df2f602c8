//! The answer that CloudFormation reads: a status, a reason, the resource's id, some data; never past its limit.
//!
//! In: the envelope of the request and what came of it. Out: the bytes of the PUT. Pure; `send.rs` delivers it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::cfn_event::Envelope;

/// CloudFormation takes no longer answer ("Custom resource response objects").
pub const LIMIT_BYTES: usize = 4096;

/// Ends a reason that had to be cut.
const CUT: &str = "…";

/// One note must not take the room of all others.
const NOTE_BYTES: usize = 700;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Done, or nothing to do.
    Success,
    /// Not done; the reason says why.
    Failed,
}

/// What CloudFormation is told.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: Status,
    /// In words.
    pub reason: String,
    /// What a person should know beside that, the weightier first.
    pub notes: Vec<String>,
    /// The resource's id.
    pub physical_resource_id: String,
    /// What a template may read by `Fn::GetAtt`.
    pub data: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: Status,
    reason: &'a str,
    physical_resource_id: &'a str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: &'a Map<String, Value>,
}

impl Answer {
    /// The answer as it is sent: with as many notes as there is room for and how many are left out, or else with the
    /// reason cut, on a character's boundary, to what the limit leaves for it.
    pub fn encode(&self, envelope: &Envelope) -> Vec<u8> {
        for told in (0..=self.notes.len()).rev() {
            let body = self.body(envelope, &self.with_notes(told));
            if body.len() <= LIMIT_BYTES {
                return body;
            }
        }
        let room = LIMIT_BYTES.saturating_sub(self.body(envelope, "").len() + CUT.len());
        self.body(envelope, &format!("{}{CUT}", fitting(&self.reason, room)))
    }

    /// The reason, and of the notes the first so many.
    fn with_notes(&self, told: usize) -> String {
        let mut text = self.reason.clone();
        for note in self.notes.iter().take(told) {
            text.push_str("; ");
            text.push_str(fitting(note, NOTE_BYTES));
            text.push_str(if fitting(note, NOTE_BYTES) == note {
                ""
            } else {
                CUT
            });
        }
        if told < self.notes.len() {
            let left_out = self.notes.len() - told;
            text += &format!("; {left_out} notes are left out here, see the function's log");
        }
        text
    }

    fn body(&self, envelope: &Envelope, reason: &str) -> Vec<u8> {
        serde_json::to_vec(&Body {
            status: self.status,
            reason,
            physical_resource_id: &self.physical_resource_id,
            stack_id: &envelope.stack_id,
            request_id: &envelope.request_id,
            logical_resource_id: &envelope.logical_resource_id,
            data: &self.data,
        })
        .expect("strings and maps with string keys are always JSON")
    }
}

/// The longest beginning of `text` that takes no more than `room` bytes inside a JSON string.
fn fitting(text: &str, room: usize) -> &str {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += serde_json::to_string(&character).map_or(usize::MAX, |quoted| quoted.len() - 2);
        if taken > room {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reason: &str) -> (usize, Value) {
        encoded_with(reason, &[])
    }

    fn encoded_with(reason: &str, notes: &[&str]) -> (usize, Value) {
        let envelope = Envelope {
            response_url: None,
            stack_id: "arn:aws:cloudformation:eu-west-1:123456789012:stack/site/1".to_owned(),
            logical_resource_id: "RawLayer".to_owned(),
            request_id: "r".to_owned(),
            physical_resource_id: None,
        };
        let answer = Answer {
            status: Status::Failed,
            reason: reason.to_owned(),
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
            physical_resource_id: envelope.own_id(),
            data: Map::from_iter([("Outcome".to_owned(), Value::from("failed"))]),
        };
        let bytes = answer.encode(&envelope);
        (bytes.len(), serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_reason_of_any_length_and_script_fits_and_keeps_its_beginning() {
        for piece in ["x", "ä", "😀", "\"", "\n", "\u{1}", "a\u{7f}€"] {
            for count in [1, 500, 680, 3600, 3700, 3800, 5000] {
                let reason = piece.repeat(count);
                let (length, answer) = encoded(&reason);
                let told = answer["Reason"].as_str().unwrap();
                assert!(length <= LIMIT_BYTES, "{piece:?} × {count}: {length}");
                let kept = told.strip_suffix(CUT).unwrap_or(told);
                assert!(reason.starts_with(kept), "{piece:?} × {count}");
                assert!(
                    kept == reason || length > LIMIT_BYTES - 12,
                    "{piece:?} × {count}: {length}"
                );
                assert_eq!(answer["Status"], "FAILED");
            }
        }
    }

    #[test]
    fn the_first_notes_are_told_and_how_many_are_left_out() {
        let bulk = "x".repeat(100);
        let mut notes = vec!["run this", bulk.as_str()];
        assert_eq!(
            encoded_with("done", &notes).1["Reason"],
            format!("done; run this; {bulk}")
        );
        notes.extend([bulk.as_str(); 98]);
        let (length, answer) = encoded_with("done", &notes);
        let told = answer["Reason"].as_str().unwrap();
        assert!(length <= LIMIT_BYTES && length > LIMIT_BYTES - 110, "{length}");
        assert!(told.starts_with(&format!("done; run this; {bulk}; x")), "{told}");
        let left_out = 99 - told.matches(&bulk).count();
        let end = format!("; {left_out} notes are left out here, see the function's log");
        assert!(told.ends_with(&end), "{told}");
    }

    #[test]
    fn a_long_note_leaves_room_for_the_next_and_a_long_reason_for_no_note() {
        let long = "ä".repeat(5000);
        let (_, answer) = encoded_with("done", &[&long, "run this"]);
        let told = answer["Reason"].as_str().unwrap();
        assert!(told.ends_with("ä…; run this"), "{told}");
        let (length, answer) = encoded_with(&long, &["run this"]);
        let told = answer["Reason"].as_str().unwrap();
        assert!(length <= LIMIT_BYTES && told.ends_with("ä…"), "{told}");
    }

    #[test]
    fn the_longest_reason_that_fits_is_not_cut() {
        let (empty, _) = encoded("");
        let room = LIMIT_BYTES - empty;
        assert_eq!(encoded(&"x".repeat(room)).1["Reason"], "x".repeat(room));
        let (length, answer) = encoded(&"x".repeat(room + 1));
        assert!(length <= LIMIT_BYTES && answer["Reason"].as_str().unwrap().ends_with(CUT));
    }
}
