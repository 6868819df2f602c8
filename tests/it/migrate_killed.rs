//! All or nothing, killed inside any statement: `migrate_at_once` has the kills between them.

use site_tracking::migrate::run::Pace;

use crate::migrate_predecessor::{COMPATIBLE, SURPLUS};
use crate::support::kills::{self, Tally};
use crate::support::postgres::Version;

/// A prime, so that the places fall on every kind of command; `make bench-migrate` tries all of them.
const STRIDE: i64 = 17;

#[tokio::test]
async fn killed_inside_any_statement_up_or_down_it_leaves_nothing() {
    found_nothing(kills::everywhere(Version::Newest, STRIDE).await);
}

#[tokio::test]
async fn killed_inside_any_statement_up_or_down_it_leaves_nothing_on_the_oldest() {
    found_nothing(kills::everywhere(Version::Oldest, STRIDE).await);
}

/// The same for an adoption, which has more commands, each of which costs more.
const ADOPTION_STRIDE: i64 = 29;

#[tokio::test]
async fn killed_inside_any_statement_of_an_adoption_or_its_delete_it_leaves_nothing() {
    found_nothing(kills::of_an_adoption(Version::Newest, COMPATIBLE, Pace::InOneGo, ADOPTION_STRIDE).await);
}

#[tokio::test]
async fn killed_inside_any_statement_of_an_adoption_in_steps_it_is_taken_up_or_undone() {
    let tally = kills::of_an_adoption(Version::Oldest, SURPLUS, Pace::InSteps, ADOPTION_STRIDE).await;
    assert!(tally.resumed > 1, "{tally:?}");
    found_nothing(tally);
}

fn found_nothing(tally: Tally) {
    println!("{tally:?}");
    assert!(tally.places > 3, "{tally:?}");
    assert_eq!(tally.leftovers, 0, "{tally:?}");
}
