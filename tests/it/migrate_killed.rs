//! All or nothing, killed inside any statement: `migrate_at_once` has the kills between them.

use crate::support::kills::{self, Tally};
use crate::support::postgres::Version;

/// A prime, so that the places fall on every kind of command; `make bench-migrate` tries all of them.
const STRIDE: i64 = 11;

#[tokio::test]
async fn killed_inside_any_statement_up_or_down_it_leaves_nothing() {
    found_nothing(kills::everywhere(Version::Newest, STRIDE).await);
}

#[tokio::test]
async fn killed_inside_any_statement_up_or_down_it_leaves_nothing_on_the_oldest() {
    found_nothing(kills::everywhere(Version::Oldest, STRIDE).await);
}

fn found_nothing(tally: Tally) {
    println!("kill points: {}, leftovers: {}", tally.places, tally.leftovers);
    assert!(tally.places > 15, "{tally:?}");
    assert_eq!(tally.leftovers, 0, "{tally:?}");
}
