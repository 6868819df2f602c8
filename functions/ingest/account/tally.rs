//! What became of a beacon's events, in numbers that add up; pure.
//!
//! In: the outcome, and how many events were found. Out: the metrics of one beacon: what was received is what was
//! stored, there already, quarantined, refused, queued or failed, in each line and so in any sum of lines. A beacon
//! that ends before its events are known counts as one event.

use serde::Serialize;

use super::super::failure::{Failure, Refusal, RefusedEvent};
use super::super::landing::Landed;
use super::super::Outcome;
use crate::log::metrics::{written, Directive, Directives, Metric, Unit};

/// Of one beacon, as fields of its line.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tally {
    beacons: usize,
    received: usize,
    stored: usize,
    duplicate: usize,
    quarantined: usize,
    refused: usize,
    queued: usize,
    failed: usize,
    events_per_beacon: usize,
    body_bytes: usize,
    breaker_open: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'static str>,
}

const STARTS: [Metric; 2] = [Metric::count("ColdStarts"), Metric::count("Reconnects")];

const BEACON: [Metric; 15] = [
    Metric::count("Beacons"),
    Metric::count("Received"),
    Metric::count("Stored"),
    Metric::count("Duplicate"),
    Metric::count("Quarantined"),
    Metric::count("Refused"),
    Metric::count("Queued"),
    Metric::count("Failed"),
    Metric::count("EventsPerBeacon"),
    Metric::new("BodyBytes", Unit::Bytes),
    Metric::new("DatabaseTime", Unit::Milliseconds),
    Metric::new("Duration", Unit::Milliseconds),
    Metric::count("BreakerOpen"),
    Metric::count("ColdStarts"),
    Metric::count("Reconnects"),
];

/// Of whatever is no beacon.
pub static OF_ANOTHER: Directives = Directives::new(|| written(&[Directive::by_stack(&STARTS)]));

static OF_A_BEACON: Directives = Directives::new(|| written(&[Directive::by_stack(&BEACON)]));

static OF_A_REFUSAL: Directives = Directives::new(|| {
    let by_tag = [Metric::count("Refused")];
    written(&[Directive::by_stack(&BEACON), Directive::by_tag(&by_tag)])
});

static OF_A_FAULT: Directives = Directives::new(|| {
    let by_tag = [Metric::count("Failed")];
    written(&[Directive::by_stack(&BEACON), Directive::by_tag(&by_tag)])
});

impl Tally {
    /// Of a beacon that ended so; `events` were found in it, or nobody got as far as that. None of what is no beacon.
    pub fn of(outcome: &Result<Outcome, Failure>, events: Option<usize>) -> Option<Self> {
        let all = events.unwrap_or(1);
        let tally = match outcome {
            Ok(Outcome::Landed { landed, .. } | Outcome::Undecodable { landed, .. }) => Self::landed(landed),
            Ok(Outcome::Queued { queued, .. }) => Self {
                queued: queued.events,
                quarantined: queued.quarantined.len(),
                ..Self::refused(&queued.refused)
            },
            Err(Failure::Refused(Refusal::NoneStorable(refused))) => Self::refused(refused),
            Err(Failure::Refused(refusal)) => Self {
                refused: all,
                tag: Some(refusal.tag()),
                ..Self::default()
            },
            Err(Failure::Fault(fault) | Failure::Uncertain(fault)) => Self {
                failed: all,
                tag: Some(fault.tag()),
                ..Self::default()
            },
            Ok(
                Outcome::Preflight | Outcome::Alive | Outcome::Ready | Outcome::Look | Outcome::Explained(_),
            ) => return None,
        };
        Some(tally.summed())
    }

    fn landed(landed: &Landed) -> Self {
        Self {
            stored: landed.stored,
            duplicate: landed.duplicates.len(),
            quarantined: landed.quarantined.len(),
            ..Self::refused(&landed.refused)
        }
    }

    /// Events of one beacon that are left out have one reason, or nearly all of them have.
    fn refused(refused: &[RefusedEvent]) -> Self {
        Self {
            refused: refused.len(),
            tag: refused.first().map(|refused| refused.flaw.tag()),
            ..Self::default()
        }
    }

    fn summed(self) -> Self {
        let Self {
            stored,
            duplicate,
            quarantined,
            refused,
            queued,
            failed,
            ..
        } = self;
        let received = stored + duplicate + quarantined + refused + queued + failed;
        Self {
            beacons: 1,
            received,
            events_per_beacon: received,
            ..self
        }
    }

    /// With what is known of it beside its events.
    #[must_use]
    pub fn with(self, body_bytes: usize, is_breaker_open: bool) -> Self {
        Self {
            body_bytes,
            breaker_open: u8::from(is_breaker_open),
            ..self
        }
    }

    /// Which of these fields are metrics.
    pub fn directives(&self) -> &'static Directives {
        match (self.refused, self.failed) {
            (0, 0) => &OF_A_BEACON,
            (_, 0) => &OF_A_REFUSAL,
            _ => &OF_A_FAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::failure::{Fault, Flaw, Undecodable};
    use crate::ingest::keeper::Queued;
    use crate::ingest::landing::Duplicate;
    use serde_json::{json, Value};
    use uuid::Uuid;

    fn events(count: usize, flaw: Flaw) -> Vec<RefusedEvent> {
        let one = |index| RefusedEvent {
            index,
            flaw,
            offset: None,
        };
        (0..count).map(one).collect()
    }

    fn landed() -> Landed {
        let duplicate = |index| Duplicate {
            index,
            first_receipt: None,
        };
        Landed {
            stored: 5,
            quarantined: events(3, Flaw::Nul),
            duplicates: (0..2).map(duplicate).collect(),
            refused: events(1, Flaw::EmptyEvent),
        }
    }

    fn queued() -> Queued {
        Queued {
            events: 4,
            quarantined: events(2, Flaw::Nul),
            refused: events(1, Flaw::EmptyEvent),
            because: Fault::TimedOut,
        }
    }

    #[test]
    fn each_outcome_of_a_beacon_adds_up_and_nothing_else_counts() {
        let receipt = Uuid::nil();
        let undecodable = || Undecodable { what: "", offset: 0 };
        type Row = (Result<Outcome, Failure>, Option<usize>, Option<Value>);
        let rows: [Row; 14] = [
            (
                Ok(Outcome::Landed {
                    receipt,
                    landed: landed(),
                }),
                Some(11),
                Some(
                    json!({"Received": 11, "Stored": 5, "Duplicate": 2, "Quarantined": 3, "Refused": 1, "Tag": "empty_event"}),
                ),
            ),
            (
                Ok(Outcome::Landed {
                    receipt,
                    landed: Landed::default(),
                }),
                Some(0),
                Some(json!({"Received": 0})),
            ),
            (
                Ok(Outcome::Undecodable {
                    receipt,
                    why: undecodable(),
                    landed: Landed {
                        quarantined: events(1, Flaw::Undecodable),
                        ..Landed::default()
                    },
                }),
                Some(1),
                Some(json!({"Received": 1, "Quarantined": 1})),
            ),
            (
                Ok(Outcome::Queued {
                    receipt,
                    queued: queued(),
                    undecodable: None,
                }),
                Some(7),
                Some(
                    json!({"Received": 7, "Queued": 4, "Quarantined": 2, "Refused": 1, "Tag": "empty_event"}),
                ),
            ),
            (
                Err(Refusal::NoneStorable(events(3, Flaw::EmptyEvent)).into()),
                None,
                Some(json!({"Received": 3, "Refused": 3, "Tag": "empty_event"})),
            ),
            (
                Err(Refusal::NoKey.into()),
                None,
                Some(json!({"Received": 1, "Refused": 1, "Tag": "no_key"})),
            ),
            (
                Err(Refusal::UnknownKey.into()),
                Some(9),
                Some(json!({"Received": 9, "Refused": 9, "Tag": "unknown_key"})),
            ),
            (
                Err(Fault::Spared.into()),
                Some(9),
                Some(json!({"Received": 9, "Failed": 9, "Tag": "spared"})),
            ),
            (
                Err(Failure::Uncertain(Fault::TimedOut)),
                None,
                Some(json!({"Received": 1, "Failed": 1, "Tag": "timed_out"})),
            ),
            (Ok(Outcome::Preflight), None, None),
            (Ok(Outcome::Alive), None, None),
            (Ok(Outcome::Ready), None, None),
            (Ok(Outcome::Look), None, None),
            (
                Err(Fault::NoRoom.into()),
                None,
                Some(json!({"Received": 1, "Failed": 1, "Tag": "no_room"})),
            ),
        ];
        for (outcome, events, expected) in rows {
            let tally = Tally::of(&outcome, events);
            let found = tally.map(|tally| json!(tally));
            for name in [
                "Received",
                "Stored",
                "Duplicate",
                "Quarantined",
                "Refused",
                "Queued",
                "Failed",
                "Tag",
            ] {
                let of = |value: &Option<Value>| value.as_ref().map(|value| value[name].clone());
                let default = if name == "Tag" { Value::Null } else { json!(0) };
                let wanted = of(&expected).map(|value| if value.is_null() { default } else { value });
                assert_eq!(of(&found), wanted, "{name} of {found:?}, expected {expected:?}");
            }
            let per_beacon = found
                .as_ref()
                .map(|found| found["EventsPerBeacon"] == found["Received"]);
            assert_eq!(per_beacon, expected.map(|_| true));
        }
    }
}
