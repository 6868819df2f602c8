//! A real browser, real trackers as they are published: each event that leaves a page is one row, once.
//!
//! Pages and collector are of different sites, over HTTPS. Each page gives its tracker events that carry a mark with
//! an emoji; rows are counted by it. What the trackers are told, and need, is in tests/browser/README.md.

use crate::support::http_api::Trouble;

mod world;
mod pages;
mod recording;

use pages::{Page, Retries, IN_THE_WAY, PAGES};
use world::{World, SAID_FAREWELL, TRIED_AGAIN};

/// A tracker may stop sending what it kept at the first request that takes longer than its patience (Snowplow's is
/// five seconds, which a loaded machine may need) and go on at the next visit.
const RETURNS: [&str; 3] = ["return-1", "return-2", "return-3"];

#[tokio::test(flavor = "multi_thread")]
async fn each_event_that_left_the_browser_is_exactly_one_row() {
    let world = World::new(&PAGES).await;
    world.visit_all("first").await;
    world.wait_for_rows().await;
    world.rest(TRIED_AGAIN).await;
    world.leave_all().await;
    world.wait_for_rows().await;
    world.rest(SAID_FAREWELL).await;
    let mut faults = world.reports(|page| page.expected_complaints).await;
    for (page, mark, rows) in world.rows_per_mark().await {
        if rows != 1 {
            faults.push(format!("{}: {rows} rows of {mark:?}", page.name));
        }
    }
    faults.extend(world.resent());
    recording::save(&world);
    world.close().await;
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_with_an_id_is_stored_twice_when_its_answer_comes_too_late() {
    let faults = after(Trouble::Stalled, once_where_named);
    assert_eq!(faults.await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_with_an_id_is_stored_twice_when_a_stored_event_is_answered_503() {
    let faults = after(Trouble::Lost, once_where_named);
    assert_eq!(faults.await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_gateway_refused_once_is_stored_once_if_its_tracker_tries_again() {
    let faults = after(Trouble::Refused, |page, _, rows| match page.retries {
        Retries::Yes => rows == 1,
        Retries::No => rows <= 1,
    });
    assert_eq!(faults.await, Vec::<String>::new());
}

/// README, "When something is wrong".
#[tokio::test(flavor = "multi_thread")]
async fn the_console_says_what_keeps_a_beacon_or_its_answer_away() {
    let world = World::new(&IN_THE_WAY).await;
    world
        .gateway
        .trouble(|seen| (seen.method == "POST").then_some(Trouble::Refused));
    world.visit_all("first").await;
    let said = world.reports(|_| &[]).await;
    world.close().await;
    for (page, piece) in [
        ("throttled", "has been blocked by CORS policy"),
        (
            "strict",
            "violates the following Content Security Policy directive",
        ),
    ] {
        let is_told = |line: &String| line.starts_with(page) && line.contains(piece);
        assert!(said.iter().any(is_told), "{page}: {piece}: {said:#?}");
    }
}

fn once_where_named(page: &Page, mark: &str, rows: i64) -> bool {
    if page.has_id(mark) {
        rows == 1
    } else {
        rows >= 1
    }
}

/// One request of each tracker goes wrong, its visitor goes away and comes back. What is wrong with the rows then.
async fn after(trouble: Trouble, is_right: fn(&Page, &str, i64) -> bool) -> Vec<String> {
    let trackers: Vec<Page> = PAGES
        .into_iter()
        .filter(|page| !page.events_at.is_empty())
        .collect();
    let world = World::new(&trackers).await;
    world.trouble_once_each(trouble);
    world.visit_all("first").await;
    world.wait_for_trouble().await;
    world.rest(TRIED_AGAIN).await;
    world.leave_all().await;
    for visit in RETURNS {
        world.visit_all(visit).await;
        world.rest(TRIED_AGAIN).await;
        world.leave_all().await;
        if world.all_that_is_tried_again_is_here().await {
            break;
        }
    }
    world.gateway.release();
    world.rest(SAID_FAREWELL).await;
    let counts = world.rows_per_mark().await;
    let wrong = counts
        .into_iter()
        .filter(|(page, mark, rows)| !is_right(page, mark, *rows));
    let faults: Vec<String> = wrong
        .map(|(page, mark, rows)| format!("{}: {rows} rows of {mark:?}", page.name))
        .collect();
    if !faults.is_empty() {
        println!("{}", world.story_of(&faults));
    }
    world.close().await;
    faults
}
