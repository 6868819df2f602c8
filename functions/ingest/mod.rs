//! The story of one request: `api_event → route → caller → beacon → keeper → landing → reply`, one line per file.
//!
//! In: the gateway's event, loosely typed. Out: the answer that the gateway sends on, always: a sender's fault, a
//! dead database and an event that is none are answers too, never errors of the function. Receipt, event keys and
//! the clock are drawn here, once per request, and handed to stages that are pure. What is no request is a queue's
//! event or an operator's action, neither of which can come over HTTP: a sender chooses no top-level name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::config;
use crate::db::Database;
use crate::log::Log;

mod loose_json;
pub mod api_event;
pub mod route;
pub mod caller;
pub mod room;
pub mod beacon;
pub mod stamp;
pub mod keeper;
pub mod breaker;
pub mod landing;
pub mod queue;
pub mod replay;
pub mod dead_letters;
pub mod doctor;
mod plants;
pub mod explain;
pub mod health;
pub mod failure;
mod blame;
pub mod limits;
pub mod reply;
mod account;

pub use account::could_not_start;

use account::{Account, Asks, Batch, Start};
use api_event::ApiEvent;
use beacon::{Decoded, Ping, UNPACKED_MAX_BYTES};
use explain::Explanation;
use failure::{Failure, Undecodable};
use keeper::{Keeper, Kept, Queued};
use landing::{Effort, Landed};
use queue::Queue;
use reply::Reply;
use room::Room;
use route::Route;

/// What became of a request that did not fail.
pub enum Outcome {
    /// A browser asked what it may send.
    Preflight,
    /// The function runs; the database was not asked.
    Alive,
    /// The database answered.
    Ready,
    /// There is something to `GET` there, if a beacon's query comes with it.
    Look,
    /// What would become of a beacon.
    Explained(Box<Explanation>),
    /// A beacon's events are committed.
    Landed {
        /// UUIDv7 in `batch_id` of its rows.
        receipt: Uuid,
        /// What became of each event.
        landed: Landed,
    },
    /// No step of the ladder took the body; its bytes are committed.
    Undecodable {
        /// UUIDv7 in `batch_id` of its row.
        receipt: Uuid,
        /// What it is not.
        why: Undecodable,
        /// What became of the one event that the whole body is.
        landed: Landed,
    },
    /// The database is away; a beacon's events are in the queue.
    Queued {
        /// UUIDv7 in `batch_id` of its rows to be.
        receipt: Uuid,
        /// What will become of each event.
        queued: Queued,
        /// Where no step of the ladder took the body, what it is not.
        undecodable: Option<Undecodable>,
    },
}

/// What the function answers.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a gateway.
    Reply(Reply),
    /// To the queue.
    Kept(replay::Kept),
    /// To an operator.
    Report(dead_letters::Report),
    /// To an operator who asks what is wrong.
    Examined(doctor::Examined),
}

/// The function between its requests: its connections, room for bodies, and what the breaker remembers.
pub struct Ingest {
    keeper: Keeper,
    edge: config::Edge,
    room: Room,
    log: Log,
    is_warm: AtomicBool,
}

impl Ingest {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(
        database: config::Database,
        queue: Option<config::Queue>,
        edge: config::Edge,
        log: Log,
    ) -> Self {
        Self {
            keeper: Keeper::new(Database::new(database), queue.map(Queue::new)),
            edge,
            room: Room::new(),
            log,
            is_warm: AtomicBool::new(false),
        }
    }

    /// Connects ahead of the first request. A database that is away costs the start nothing but this line.
    pub async fn connect_ahead(&self) {
        let connecting = self.keeper.database.connect_ahead().await;
        account::connected_ahead(&self.log, connecting.err());
    }

    /// One event, from whoever sent it to the answer that it takes; writes one line about it.
    pub async fn handle(&self, event: &RawValue, request_id: &str) -> Answer {
        let request = ApiEvent::read(event);
        if request.method.is_empty() {
            // What is rare is boxed, here and below, so that a request's own future stays small.
            if let Some(deliveries) = replay::deliveries(event) {
                return Answer::Kept(Box::pin(self.replay(&deliveries, request_id)).await);
            }
            if let Some(action) = dead_letters::action(event) {
                if action == dead_letters::Action::Doctor {
                    return Answer::Examined(Box::pin(self.examine(request_id)).await);
                }
                return Answer::Report(Box::pin(self.act(action, request_id)).await);
            }
        }
        Answer::Reply(self.reply(&request, request_id).await)
    }

    async fn replay(&self, deliveries: &[replay::Delivery<'_>], request_id: &str) -> replay::Kept {
        let began = Instant::now();
        let mut effort = Effort::default();
        let (kept, replayed) = replay::replay(deliveries, &self.keeper, &mut effort).await;
        let batch = Batch {
            request_id,
            start: self.start(),
            reconnects: self.keeper.database.reconnects(),
            duration: began.elapsed(),
        };
        account::replayed(&self.log, &batch, &replayed, &effort);
        kept
    }

    fn start(&self) -> Start {
        match self.is_warm.swap(true, Ordering::Relaxed) {
            true => Start::Warm,
            false => Start::Cold,
        }
    }

    async fn act(&self, action: dead_letters::Action, request_id: &str) -> dead_letters::Report {
        let report = dead_letters::act(action, self.keeper.queue.as_ref()).await;
        account::acted(&self.log, request_id, &report);
        report
    }

    async fn examine(&self, request_id: &str) -> doctor::Examined {
        let keeper = &self.keeper;
        let examined = doctor::examine(&keeper.database, keeper.queue.as_ref()).await;
        account::examined(&self.log, request_id, &examined);
        examined
    }

    async fn reply(&self, event: &ApiEvent<'_>, request_id: &str) -> Reply {
        let began = Instant::now();
        let receipt = Uuid::now_v7();
        let mut account = Account::new(request_id, self.start());
        let outcome = self.outcome(event, receipt, &mut account).await;
        account.reconnects = self.keeper.database.reconnects();
        let reply = reply::reply(event, &outcome, receipt);
        account.close(&self.log, &outcome, reply.status(), began.elapsed());
        reply
    }

    async fn outcome(
        &self,
        event: &ApiEvent<'_>,
        receipt: Uuid,
        account: &mut Account<'_>,
    ) -> Result<Outcome, Failure> {
        let route = route::route(event);
        if explain::is_asked_for(event, &self.edge) || !route::is_beacon(event, &route) {
            account.asks = Asks::Other;
        }
        match route? {
            Route::Preflight => Ok(Outcome::Preflight),
            Route::Alive => Ok(Outcome::Alive),
            Route::Ready => Ok(health::ready(&self.keeper.database)
                .await
                .map(|()| Outcome::Ready)?),
            Route::Look => Ok(Outcome::Look),
            Route::Beacon if account.asks == Asks::Other => {
                let _room = self.room.take(UNPACKED_MAX_BYTES).await?;
                let explanation = explain::explain(event, &self.edge, &self.keeper.database).await;
                Ok(Outcome::Explained(Box::new(explanation)))
            }
            Route::Beacon => self.keep(event, receipt, account).await,
        }
    }

    async fn keep(
        &self,
        event: &ApiEvent<'_>,
        receipt: Uuid,
        account: &mut Account<'_>,
    ) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let body = event.body();
        let coding = event.header("content-encoding");
        let mut room = self.room.take(beacon::most_bytes(&body, coding)).await?;
        let unpacked = beacon::unpack(&body, coding);
        room.shrink_to(unpacked.bytes.len());
        account.read(body.bytes.len(), unpacked.coding);
        let decoded = beacon::decode(&body.bytes, &unpacked, &event.query, Ping::of(event));
        let claims = decoded.as_ref().map(Decoded::claims).unwrap_or_default();
        let mut caller = caller::caller(event, &claims, &self.edge)?;
        drop(claims);
        let decoded = decoded?;
        account.decoded(decoded.step);
        let received = event.received_or(SystemTime::now());
        let beacon = beacon::beacon(&decoded, caller.sender(received), &mut Uuid::now_v7)?;
        account.understood(&beacon);
        caller.note(&beacon.notes);
        let stamp = caller.into_stamp(receipt, received)?;
        let landing = landing::Landing {
            stamp: &stamp,
            beacon: &beacon,
            began,
        };
        let kept = self.keeper.keep(&landing, &mut account.effort).await?;
        Ok(Outcome::of(receipt, kept, beacon.undecodable))
    }
}

impl Outcome {
    fn of(receipt: Uuid, kept: Kept, undecodable: Option<Undecodable>) -> Self {
        match (kept, undecodable) {
            (Kept::Landed(landed), None) => Self::Landed { receipt, landed },
            (Kept::Landed(landed), Some(why)) => Self::Undecodable { receipt, why, landed },
            (Kept::Queued(queued), undecodable) => Self::Queued {
                receipt,
                queued,
                undecodable,
            },
        }
    }
}

#[cfg(test)]
mod model;
