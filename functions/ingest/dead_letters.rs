//! What an operator does with dead letters: looks at them, and sends them round once more.
//!
//! In: a direct invocation, `{"action": …}`. Out: counts, receipts, times and reasons; no payload, no key, no address.
//! A dead letter that is sent again goes through the queue like any other, with none of its refusals counted.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;

use super::loose_json::Object;
use super::queue::{self, Queue, Received};

/// Below the function's ten seconds, with one call to spare.
const TIME: Duration = Duration::from_secs(6);

/// Dead letters that are shown; the rest is counted.
const SHOWN_MAX: usize = 50;

/// While they are looked at nobody else sees them.
const LOOKED_AT: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// `dead_letters`
    List,
    /// `replay_dead_letters`
    Replay,
    /// `doctor`, which is not about dead letters.
    Doctor,
    /// Anything else.
    Unknown(String),
}

/// The action of a direct invocation; `None` where the event names none.
pub fn action(event: &RawValue) -> Option<Action> {
    let name = Object::of(event).text("action")?;
    Some(match &*name {
        "dead_letters" => Action::List,
        "replay_dead_letters" => Action::Replay,
        "doctor" => Action::Doctor,
        other => Action::Unknown(other.to_owned()),
    })
}

/// What the operator is told.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether it was done.
    pub ok: bool,
    /// Messages that rest now, as far as the queue knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// Messages that were sent round once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<usize>,
    /// Some of those that rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<DeadLetter>,
    /// What is wrong, and the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One message that rests.
#[derive(Debug, Serialize)]
pub struct DeadLetter {
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    /// The tag of the last refusal; the queue itself moves a message without one.
    reason: String,
}

/// Does it.
pub async fn act(action: Action, queue: Option<&Queue>) -> Report {
    let Some(queue) = queue else {
        return failed("this function has no queue; set QUEUE_URL and DEAD_LETTERS_URL".to_owned());
    };
    match action {
        Action::List => list(queue).await,
        Action::Replay => replay(queue).await,
        Action::Doctor | Action::Unknown(_) => {
            failed("action must be dead_letters, replay_dead_letters or doctor".to_owned())
        }
    }
}

fn failed(error: String) -> Report {
    Report {
        error: Some(error),
        ..Report::default()
    }
}

async fn list(queue: &Queue) -> Report {
    let mut seen = Vec::new();
    let (dead_letters, looked) = match queue.dead_letters().await {
        Ok(count) => (Some(count), look(queue, &mut seen).await),
        Err(why) => (None, Err(why)),
    };
    Report {
        ok: looked.is_ok(),
        dead_letters,
        shown: seen.iter().take(SHOWN_MAX).map(shown).collect(),
        error: looked.err(),
        ..Report::default()
    }
}

async fn look(queue: &Queue, seen: &mut Vec<Received>) -> Result<(), String> {
    let until = Instant::now() + TIME;
    while seen.len() < SHOWN_MAX && Instant::now() < until {
        let more = queue.dead(LOOKED_AT).await?;
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    queue.let_rest(seen).await
}

fn shown(message: &Received) -> DeadLetter {
    let read = queue::read(&message.body).ok();
    DeadLetter {
        receipt: read.as_ref().map(|m| m.stamp.receipt.to_string()),
        received: read
            .as_ref()
            .map(|m| humantime::format_rfc3339_millis(m.stamp.received).to_string()),
        events: read.as_ref().map(|m| m.beacon.events.len()),
        reason: message.reason().unwrap_or("moved by the queue").to_owned(),
    }
}

async fn replay(queue: &Queue) -> Report {
    let mut replayed = 0;
    let done = send_all(queue, &mut replayed).await;
    let counted = queue.dead_letters().await;
    Report {
        ok: done.is_ok() && counted.is_ok(),
        replayed: Some(replayed),
        dead_letters: counted.as_ref().ok().copied(),
        error: done.err().or(counted.err()),
        ..Report::default()
    }
}

/// First sent, then deleted: one that comes twice is stored once.
async fn send_all(queue: &Queue, replayed: &mut usize) -> Result<(), String> {
    let until = Instant::now() + TIME;
    while Instant::now() < until {
        let messages = queue.dead(LOOKED_AT).await?;
        if messages.is_empty() {
            break;
        }
        for (place, message) in messages.iter().enumerate() {
            if Instant::now() >= until {
                return queue.let_rest(&messages[place..]).await;
            }
            queue.send_once_more(&message.body).await?;
            *replayed += 1;
            queue.forget_dead(message).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_named_at_the_top_and_nowhere_else() {
        for (event, expected) in [
            (r#"{"action":"dead_letters"}"#, Some(Action::List)),
            (r#"{"action":"replay_dead_letters"}"#, Some(Action::Replay)),
            (r#"{"action":"doctor"}"#, Some(Action::Doctor)),
            (r#"{"action":"x"}"#, Some(Action::Unknown("x".to_owned()))),
            (r#"{"action":{}}"#, None),
            (r#"{"body":"{\"action\":\"dead_letters\"}"}"#, None),
            ("[]", None),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(event).unwrap();
            assert_eq!(action(&raw), expected, "{event}");
        }
    }
}
