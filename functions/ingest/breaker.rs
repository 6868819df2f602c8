//! Whether it is worth asking the database; pure, the clock is handed in.
//!
//! In: what became of those who asked. Out: go, go as the one who finds out, or do not. While the database is away
//! nobody waits for it but one at a time, at growing intervals, and who finds it back opens the way for all.

use std::time::{Duration, Instant};

/// Faults in a row that make the database one that is away. A single one may be a lock, or a connection that idled
/// for too long.
const FAULTS_TO_OPEN: u32 = 2;

/// The first interval is short, since most that is away is back at once (a failover to a proxy's next host).
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// The longest interval, so that a database that is back is found within five seconds, connecting included.
const LONGEST_INTERVAL: Duration = Duration::from_secs(2);

/// A sandbox of many is later than another by up to this share of an interval (of 256), so that they do not all
/// come at once.
const SPREAD: u32 = 64;

/// One who finds out and has not told by now will not: the function was frozen or ended. Above what a landing takes.
const FINDING_OUT_MAX: Duration = Duration::from_secs(12);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Ask; all is well as far as is known.
    Go,
    /// Ask, for all others.
    FindOut,
    /// Do not ask: it was away a moment ago.
    Spare,
}

/// What became of one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The database answered.
    There,
    /// It did not, or not as one that works.
    Away,
    /// Nobody got as far as asking it.
    Nothing,
}

/// Remembers what was found.
#[derive(Debug, Default)]
pub struct Breaker {
    faults: u32,
    /// From when on somebody may find out; nothing while all is well.
    closed_until: Option<Instant>,
    finding_out_since: Option<Instant>,
}

impl Breaker {
    /// For one who is about to ask.
    pub fn way(&mut self, now: Instant) -> Way {
        let Some(closed_until) = self.closed_until else {
            return Way::Go;
        };
        let is_being_found_out = self
            .finding_out_since
            .is_some_and(|since| now.saturating_duration_since(since) < FINDING_OUT_MAX);
        if now < closed_until || is_being_found_out {
            return Way::Spare;
        }
        self.finding_out_since = Some(now);
        Way::FindOut
    }

    /// From one who asked because of `way`. `spread` tells one sandbox from another.
    pub fn tell(&mut self, now: Instant, way: Way, found: Found, spread: u8) {
        if found == Found::There {
            *self = Self::default();
            return;
        }
        if way == Way::FindOut {
            self.finding_out_since = None;
        }
        if found == Found::Nothing {
            return;
        }
        if way != Way::FindOut && self.closed_until.is_some() {
            // One who had gone before it was known: no news, and no reason to wait longer.
            return;
        }
        self.faults = self.faults.saturating_add(1);
        if self.faults >= FAULTS_TO_OPEN {
            let doublings = (self.faults - FAULTS_TO_OPEN).min(16);
            let interval = (FIRST_INTERVAL * (1 << doublings)).min(LONGEST_INTERVAL);
            let spread = interval * (u32::from(spread) % SPREAD) / 256;
            self.closed_until = Some(now + interval + spread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One who asks at a time, or tells, in milliseconds.
    enum Step {
        Asks(u64, Way),
        Tells(u64, Found),
        Finds(u64, Found),
    }
    use Found::{Away, Nothing, There};
    use Step::{Asks, Finds, Tells};
    use Way::{FindOut, Go, Spare};

    #[test]
    fn while_it_is_away_one_at_a_time_finds_out_and_who_finds_it_opens_the_way() {
        let stories: &[(&str, &[Step])] = &[
            ("well", &[Asks(0, Go), Tells(1, There), Asks(2, Go)]),
            (
                "one fault",
                &[
                    Tells(0, Away),
                    Asks(1, Go),
                    Tells(2, There),
                    Tells(3, Away),
                    Asks(4, Go),
                ],
            ),
            (
                "two faults",
                &[
                    Tells(0, Away),
                    Tells(1, Away),
                    Asks(2, Spare),
                    Asks(250, Spare),
                    Asks(251, FindOut),
                ],
            ),
            (
                "one at a time",
                &[
                    Tells(0, Away),
                    Tells(0, Away),
                    Asks(250, FindOut),
                    Asks(251, Spare),
                    Asks(9_000, Spare),
                ],
            ),
            (
                "one that never tells",
                &[
                    Tells(0, Away),
                    Tells(0, Away),
                    Asks(250, FindOut),
                    Asks(12_249, Spare),
                    Asks(12_250, FindOut),
                ],
            ),
            (
                "it is back",
                &[
                    Tells(0, Away),
                    Tells(0, Away),
                    Asks(300, FindOut),
                    Finds(301, There),
                    Asks(302, Go),
                    Asks(303, Go),
                ],
            ),
            (
                "it is still away",
                &[
                    Tells(0, Away),
                    Tells(0, Away),
                    Asks(250, FindOut),
                    Finds(300, Away),
                    Asks(799, Spare),
                    Asks(800, FindOut),
                    Finds(1_000, Away),
                    Asks(1_999, Spare),
                    Asks(2_000, FindOut),
                    Finds(2_000, Away),
                    Asks(3_999, Spare),
                    Asks(4_000, FindOut),
                    Finds(4_000, Away),
                    Asks(5_999, Spare),
                    Asks(6_000, FindOut),
                ],
            ),
            (
                "who did not get as far leaves it to the next",
                &[
                    Tells(0, Away),
                    Tells(0, Nothing),
                    Asks(1, Go),
                    Tells(1, Away),
                    Asks(251, FindOut),
                    Finds(252, Nothing),
                    Asks(252, FindOut),
                ],
            ),
            (
                "stragglers that find it away are no news",
                &[
                    Tells(0, Away),
                    Tells(0, Away),
                    Tells(200, Away),
                    Asks(250, FindOut),
                    Tells(260, Away),
                    Asks(270, Spare),
                ],
            ),
            (
                "one who had gone before it was away finds it there",
                &[
                    Asks(0, Go),
                    Tells(1, Away),
                    Tells(2, Away),
                    Tells(3, There),
                    Asks(4, Go),
                ],
            ),
        ];
        for (label, steps) in stories {
            let mut breaker = Breaker::default();
            let start = Instant::now();
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Asks(ms, way) => {
                        let found = breaker.way(start + Duration::from_millis(*ms));
                        assert_eq!(found, *way, "{label}, step {number}");
                    }
                    Tells(ms, found) => breaker.tell(start + Duration::from_millis(*ms), Go, *found, 0),
                    Finds(ms, found) => breaker.tell(start + Duration::from_millis(*ms), FindOut, *found, 0),
                }
            }
        }
    }

    #[test]
    fn sandboxes_come_back_at_different_times_and_in_time() {
        let start = Instant::now();
        let longest = |spread| {
            let mut breaker = Breaker::default();
            (0..40).for_each(|_| breaker.tell(start, FindOut, Away, spread));
            breaker.closed_until.unwrap() - start
        };
        assert_eq!(longest(0), LONGEST_INTERVAL);
        assert!((0..=u8::MAX).all(|spread| longest(spread) < LONGEST_INTERVAL * 5 / 4));
        assert!(longest(1) > longest(0));
    }
}
