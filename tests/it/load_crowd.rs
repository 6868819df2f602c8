//! More sandboxes than the login may have connections: the budget holds, who finds no room is told when to come again,
//! and a database that comes back is not overrun.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::crowd::{most_in_a_second, Crowd};
use crate::INGEST;

const PROCESSES: usize = 16;
const CONNECTIONS: usize = 6;

/// How long the database is away: long enough for each process to have found that out.
const AWAY: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_crowd_keeps_to_the_budget_and_comes_back_without_a_storm() {
    let crowd = Crowd::start(INGEST, PROCESSES, CONNECTIONS).await;
    let (mut stored, mut unknown, mut pauses) = (0, 0, HashSet::new());
    for _ in 0..4 {
        let heard = crowd.turn().await;
        assert!(heard.stored <= CONNECTIONS, "{heard:?}");
        stored += heard.stored;
        unknown += heard.unknown;
        pauses.extend(heard.come_again);
        assert!(crowd.connections().await <= CONNECTIONS);
    }
    assert!(stored >= CONNECTIONS, "only {stored} were stored");
    assert!(pauses.len() > 2, "all are to come again after {pauses:?} s");

    crowd.site.database.cluster.stop();
    let began = Instant::now();
    while began.elapsed() < AWAY {
        let heard = crowd.turn().await;
        assert_eq!(heard.stored, 0, "{heard:?}");
        unknown += heard.unknown;
    }
    let skipped = crowd.site.database.cluster.log().len();
    crowd.site.database.cluster.start_again();
    let (back, mut turns) = (Instant::now(), 0);
    while back.elapsed() < Duration::from_secs(10) {
        let heard = crowd.turn().await;
        turns += 1;
        unknown += heard.unknown;
        stored += heard.stored;
        if heard.stored == CONNECTIONS {
            break;
        }
    }
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "{turns} turns, and not back yet"
    );
    // Each comes at most once in each of its intervals, the shortest of which are over; the rest look on.
    let most = most_in_a_second(&crowd.arrivals(skipped));
    assert!(most <= 2 * PROCESSES, "{most} in a second, {turns} turns");
    assert!(crowd.connections().await <= CONNECTIONS);

    let admin = crowd.site.database.superuser().await;
    let count = admin
        .query_one("select count(*) from raw.site_tracking_events_r", &[])
        .await;
    let rows = usize::try_from(count.unwrap().get::<_, i64>(0)).unwrap();
    assert!(
        (stored..=stored + unknown).contains(&rows),
        "{rows} rows, {stored} stored, {unknown} unknown"
    );
    crowd.stop().await;
}
