//! Pages that send, one after the other, and send again what was not acknowledged, as trackers do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use uuid::Uuid;

use super::account::{self, Attempt, Told};
use super::seed::Seed;
use super::support::gateway::{Request, Shape};
use super::world::World;

/// Between two beacons of a page, at most; a fault must find requests, not a machine out of breath.
const PAUSE_MS: u64 = 60;

/// The same while beacons are queued, which takes no time: the queue's server must be able to empty it again.
const QUEUED_PAUSE_MS: u64 = 600;

/// Before a beacon that was not acknowledged is sent again.
const AGAIN: Duration = Duration::from_millis(250);

/// A batch has so many events, and two more at most.
const BATCH_LEAST: u64 = 2;

/// How a tracker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether its events have ids of their own, which stay when they are sent again.
    pub names: bool,
    pub batches: bool,
}

impl Manner {
    pub const ALL: [Self; 4] = [
        Self::of(true, false),
        Self::of(false, false),
        Self::of(true, true),
        Self::of(false, true),
    ];

    const fn of(names: bool, batches: bool) -> Self {
        Self { names, batches }
    }
}

/// Sends until the world ends, and to the end what it has begun.
pub async fn send(world: Arc<World>, place: usize, mut seed: Seed) {
    let manner = Manner::ALL[place % Manner::ALL.len()];
    let tenant = place % world.keys.len();
    while !world.is_over() {
        let events = match manner.batches {
            true => BATCH_LEAST + seed.below(3),
            false => 1,
        };
        let mut marks = new_marks(events);
        let mut pause_ms = PAUSE_MS;
        loop {
            let told = attempt(&world, place, tenant, manner, &marks).await;
            if matches!(told, Told::Queued { .. }) {
                pause_ms = QUEUED_PAUSE_MS;
            }
            if told.is_acknowledged() || told.is_open() && !manner.names {
                break;
            }
            if !manner.names {
                marks = new_marks(events);
            }
            tokio::time::sleep(AGAIN).await;
        }
        tokio::time::sleep(Duration::from_millis(seed.below(pause_ms))).await;
    }
}

fn new_marks(events: u64) -> Vec<String> {
    (0..events).map(|_| Uuid::now_v7().to_string()).collect()
}

async fn attempt(world: &World, place: usize, tenant: usize, manner: Manner, marks: &[String]) -> Told {
    let event = |mark: &String| match manner.names {
        true => json!({ "messageId": mark, "mark": mark }),
        false => json!({ "mark": mark }),
    };
    let body: Value = match manner.batches {
        true => marks.iter().map(event).collect(),
        false => event(&marks[0]),
    };
    let request = Request::post(Shape::V2, &world.keys[tenant], &body.to_string());
    let began = Instant::now();
    let reply = world.sandboxes[place].invoke(request.json()).await;
    let counts = account::counts(reply.as_ref(), marks.len());
    let told = Told::by(reply);
    let noted = Attempt {
        tenant,
        place,
        counts,
        marks: marks.to_vec(),
        told: told.clone(),
        during: world.fault(),
        is_explained: world.may_have_hidden_since(began),
    };
    world.account.note(noted, began);
    told
}
