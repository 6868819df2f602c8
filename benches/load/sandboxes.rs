//! Two hundred sandboxes with one request at a time each, and a login with the connections that the template gives it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::crowd::{most_in_a_second, Crowd};
use crate::support::tools;
use crate::INGEST;

const PROCESSES: usize = 200;

/// Turns before the database stops.
const TURNS: usize = 20;

/// How long it is away.
const AWAY: Duration = Duration::from_secs(20);

/// It must be found within this.
const BACK: Duration = Duration::from_secs(30);

pub async fn measure() {
    let budget = budget();
    let crowd = Crowd::start(INGEST, PROCESSES, budget).await;
    println!("{PROCESSES} sandboxes, {budget} connections");
    let (mut stored, mut refused, mut most, mut pauses) = (0, 0, 0, HashSet::new());
    for _ in 0..TURNS {
        let heard = crowd.turn().await;
        stored += heard.stored;
        refused += heard.come_again.len();
        pauses.extend(heard.come_again);
        most = most.max(crowd.connections().await);
    }
    println!("stored {stored}, turned away {refused}, connections at most {most}");
    println!("Retry-After of {} different lengths", pauses.len());
    assert!(most <= budget && stored > 0 && pauses.len() > 2);
    crowd.site.database.cluster.stop();
    let away = Instant::now();
    let mut turns = 0;
    while away.elapsed() < AWAY {
        assert_eq!(crowd.turn().await.stored, 0);
        turns += 1;
    }
    println!("away {} s: {turns} turns, all turned away", AWAY.as_secs());
    come_back(&crowd, budget).await;
    crowd.stop().await;
}

async fn come_back(crowd: &Crowd, budget: usize) {
    let skipped = crowd.site.database.cluster.log().len();
    crowd.site.database.cluster.start_again();
    let back = Instant::now();
    let (mut first, mut sent) = (None, 0);
    while back.elapsed() < BACK {
        let heard = crowd.turn().await;
        sent += PROCESSES;
        if heard.stored > 0 {
            first.get_or_insert(back.elapsed());
        }
        if heard.stored == budget {
            break;
        }
    }
    let all = back.elapsed();
    let first = first.expect("somebody finds the database");
    let storm = most_in_a_second(&crowd.arrivals(skipped));
    println!("back: the first after {first:.1?}, {budget} after {all:.1?}, {sent} requests meanwhile");
    println!("connections tried within a second: at most {storm}");
    assert!(all < BACK && storm <= 2 * PROCESSES && crowd.connections().await <= budget);
}

/// The default of the template's parameter.
fn budget() -> usize {
    let template = std::fs::read_to_string(tools::project().join("template.yaml")).unwrap();
    let (_, behind) = template
        .split_once("  IngestConnectionLimit:\n")
        .expect("the parameter");
    let line = behind
        .lines()
        .find_map(|line| line.trim().strip_prefix("Default: "));
    line.expect("its default").parse().expect("a number")
}
