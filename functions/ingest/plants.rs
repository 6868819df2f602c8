//! Faults that are put in on purpose, so that tests of the whole can show that they would find them.
//!
//! Each is a feature of its own, which no shipped build has. They break what the rest of this folder promises: that
//! nothing is acknowledged before it is kept, and that nothing that is sent again is stored again.

#[cfg(feature = "plant-acknowledge-before-commit")]
pub use acknowledge::as_if_committed;

#[cfg(feature = "plant-new-key-per-retry")]
pub use rename::with_new_keys;

#[cfg(feature = "plant-acknowledge-before-commit")]
mod acknowledge {
    use crate::ingest::landing::{Landed, Landing};

    /// What is told of a call that went out, whatever became of it.
    pub fn as_if_committed(landing: &Landing<'_>) -> Landed {
        Landed {
            stored: landing.beacon.events.len(),
            ..Landed::default()
        }
    }
}

#[cfg(feature = "plant-new-key-per-retry")]
mod rename {
    use std::borrow::Cow;

    use uuid::Uuid;

    use crate::ingest::beacon::Event;

    /// The same events as a sender would name them that forgets what it sent.
    pub fn with_new_keys<'e>(events: &'e [Event<'_>]) -> Vec<Event<'e>> {
        let renamed = events.iter().map(|event| Event {
            index: event.index,
            payload: Cow::Borrowed(&*event.payload),
            key: Uuid::now_v7(),
            quarantined: event.quarantined,
        });
        renamed.collect()
    }
}
