//! The guarantee, without luck: every way in which a few beacons can fare, told once each.
//!
//! What is driven is what is shipped: keeper, breaker, landing with its retries and its second pass, the queue's
//! messages, replay and the answer's status. Only PostgreSQL, Amazon SQS and the clock are models, at the two seams
//! [`super::landing::Server`] and [`super::queue::Requests`]. After each step the promises are checked; each plot is
//! told in all ways in which up to `depth` misfortunes can befall it.

use std::rc::Rc;
use std::time::Instant;

mod choices;
mod world;
mod database;
mod queue;
mod promises;
mod story;

use super::replay::REPLAY_TIMEOUT;
use choices::Choices;
use story::Kind::{Named, Nameless, Odd, Poison};
use story::Order::{AtOnce, OneByOne};
use story::Plot;
use world::Weather::{Away, Fair, Slow, SlowQueue};
use world::World;

const PLOTS: &[Plot] = &[
    Plot {
        label: "one beacon",
        beacons: &[&[Named, Nameless]],
        weather: Fair,
        has_queue: true,
        order: OneByOne,
        depth: 2,
    },
    Plot {
        label: "one beacon, no queue",
        beacons: &[&[Named, Nameless]],
        weather: Fair,
        has_queue: false,
        order: OneByOne,
        depth: 2,
    },
    Plot {
        label: "an odd event",
        beacons: &[&[Nameless, Odd]],
        weather: Fair,
        has_queue: true,
        order: OneByOne,
        depth: 1,
    },
    Plot {
        label: "an odd event and little time",
        beacons: &[&[Named, Odd]],
        weather: Slow,
        has_queue: false,
        order: OneByOne,
        depth: 2,
    },
    Plot {
        label: "an outage",
        beacons: &[&[Named], &[Nameless], &[Nameless]],
        weather: Away,
        has_queue: true,
        order: OneByOne,
        depth: 1,
    },
    Plot {
        label: "an outage, no queue",
        beacons: &[&[Named], &[Nameless]],
        weather: Away,
        has_queue: false,
        order: OneByOne,
        depth: 2,
    },
    Plot {
        label: "a fault of one's own",
        beacons: &[&[Poison], &[Named]],
        weather: Fair,
        has_queue: true,
        order: OneByOne,
        depth: 1,
    },
    Plot {
        label: "two at once",
        beacons: &[&[Named], &[Nameless]],
        weather: Fair,
        has_queue: true,
        order: AtOnce,
        depth: 1,
    },
];

#[test]
fn whatever_befalls_a_beacon_what_is_acknowledged_is_kept_and_nothing_is_stored_twice() {
    let (mut paths, mut states) = (0, 0);
    for plot in PLOTS {
        let told = explore(plot);
        println!(
            "{}: {} paths, {} states, up to {} misfortunes",
            plot.label,
            told.paths,
            told.states.len(),
            plot.depth
        );
        paths += told.paths;
        states += told.states.len();
    }
    println!("in all {paths} paths, {states} states");
}

/// A batch that is not answered in time is delivered again, whatever became of its messages: their copies would multiply.
#[test]
fn a_batch_of_the_queue_is_done_in_time_however_slow_the_queue_is() {
    let world = Rc::new(World::new(Choices::new(0), SlowQueue, Instant::now()));
    let (seconds, kept, copies) = story::replay_junk(10, &world);
    assert!(seconds <= REPLAY_TIMEOUT.as_secs(), "{seconds} s");
    // The one that was cut off is both.
    assert!(
        copies > 1 && kept + copies <= 10 + 1,
        "{kept} kept, {copies} copies"
    );
}

fn explore(plot: &Plot) -> Choices {
    let began = Instant::now();
    let mut choices = Choices::new(plot.depth);
    loop {
        let world = Rc::new(World::new(choices, plot.weather, began));
        story::tell(plot, &world);
        choices = world.choices.replace(Choices::new(0));
        if !choices.next_path() {
            return choices;
        }
    }
}
