//! What the senders were told, to be held against what is stored.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use super::fault::Kind;
use super::support::gateway::Answer;

/// What a sender was told of one attempt.
#[derive(Clone, Debug)]
pub enum Told {
    /// 200.
    Stored {
        receipt: String,
        /// Place of an event, and the receipt under which it is stored.
        duplicates: Vec<(usize, String)>,
    },
    /// 202.
    Queued { receipt: String },
    /// 503, and nothing was stored.
    Unavailable,
    /// 503, and nobody knows.
    Unknown,
    /// Nothing at all.
    NoAnswer,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub tenant: usize,
    /// What tells each event from all others; the same in the next attempt where the sender names its events.
    pub marks: Vec<String>,
    pub told: Told,
    /// Who it was that sent it, to a sandbox of its own.
    pub place: usize,
    pub counts: Counts,
    /// The fault at its end.
    pub during: Option<Kind>,
    /// Whether something happened meanwhile that explains why nobody knows what became of it.
    pub is_explained: bool,
}

/// Events by what became of each, as the sender was told.
pub type Counts = [u64; 5];

/// Their names in the answer, where it has them, and in the log.
pub const COUNTED: [(&str, &str); 5] = [
    ("stored", "Stored"),
    ("duplicate", "Duplicate"),
    ("quarantined", "Quarantined"),
    ("queued", "Queued"),
    ("failed", "Failed"),
];

/// Of an answer to so many events; a fault fails all of them.
pub fn counts(reply: Option<&Value>, events: usize) -> Counts {
    let Some(answer) = reply.map(Answer::of) else {
        return Counts::default();
    };
    match answer.status {
        503 => [0, 0, 0, 0, events as u64],
        _ => COUNTED.map(|(name, _)| answer.body[name].as_u64().unwrap_or_default()),
    }
}

/// All attempts of one world.
#[derive(Default)]
pub struct Account {
    attempts: Mutex<Vec<Attempt>>,
    last_200: Mutex<Option<Instant>>,
}

impl Account {
    pub fn note(&self, attempt: Attempt, began: Instant) {
        if matches!(attempt.told, Told::Stored { .. }) {
            let mut last = self.last_200.lock().unwrap();
            *last = (*last).max(Some(began));
        }
        self.attempts.lock().unwrap().push(attempt);
    }

    /// Whether a request that began after `time` was answered 200.
    pub fn has_200_since(&self, time: Instant) -> bool {
        self.last_200.lock().unwrap().is_some_and(|last| last > time)
    }

    /// How many attempts have ended so far that were not answered 200.
    pub fn detours(&self) -> usize {
        let attempts = self.attempts.lock().unwrap();
        let is_detour = |attempt: &&Attempt| !matches!(attempt.told, Told::Stored { .. });
        attempts.iter().filter(is_detour).count()
    }

    pub fn all(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }
}

impl Told {
    /// # Panics
    /// It is an answer that no beacon of ours should get.
    pub fn by(reply: Option<Value>) -> Self {
        let Some(reply) = reply else {
            return Self::NoAnswer;
        };
        let answer = Answer::of(&reply);
        let receipt = || answer.body["receipt"].as_str().unwrap_or_default().to_owned();
        match (answer.status, answer.tag()) {
            (200, _) => Self::Stored {
                receipt: receipt(),
                duplicates: duplicates(&answer.body),
            },
            (202, _) => Self::Queued { receipt: receipt() },
            (503, "unavailable") => Self::Unavailable,
            (503, "outcome_unknown") => Self::Unknown,
            _ => panic!("no sender expects {answer:?}"),
        }
    }

    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Queued { .. })
    }

    /// Whether the event of this place was there already.
    pub fn is_duplicate(&self, place: usize) -> bool {
        match self {
            Self::Stored { duplicates, .. } => duplicates.iter().any(|(index, _)| *index == place),
            _ => false,
        }
    }

    /// Whether the events may be stored though nobody said so.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::NoAnswer)
    }
}

fn duplicates(body: &Value) -> Vec<(usize, String)> {
    let of = |duplicate: &Value| {
        let place = usize::try_from(duplicate["index"].as_u64()?).ok()?;
        Some((place, duplicate["receipt"].as_str()?.to_owned()))
    };
    let all = body["duplicates"].as_array().into_iter().flatten();
    all.filter_map(of).collect()
}
