//! The story of one request: `api_event → route → caller → beacon → landing → reply`, one line per file.
//!
//! In: the gateway's event, loosely typed. Out: the answer that the gateway sends on, always: a sender's fault, a
//! dead database and an event that is none are answers too, never errors of the function. Receipt, event keys and
//! the clock are drawn here, once per request, and handed to stages that are pure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

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
pub mod landing;
pub mod explain;
pub mod health;
pub mod failure;
pub mod limits;
pub mod reply;
mod account;

pub use account::could_not_start;

use account::Account;
use api_event::ApiEvent;
use beacon::{Decoded, Ping, UNPACKED_MAX_BYTES};
use explain::Explanation;
use failure::{Failure, Undecodable};
use landing::Landed;
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
}

/// The function between its requests: one connection, room for bodies, and nothing that a request leaves behind.
pub struct Ingest {
    database: Database,
    edge: config::Edge,
    room: Room,
    log: Log,
    is_warm: AtomicBool,
}

impl Ingest {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(database: config::Database, edge: config::Edge, log: Log) -> Self {
        Self {
            database: Database::new(database),
            edge,
            room: Room::new(),
            log,
            is_warm: AtomicBool::new(false),
        }
    }

    /// Connects ahead of the first request. A database that is away costs the start nothing but this line.
    pub async fn connect_ahead(&self) {
        let connecting = self.database.client().await;
        account::connected_ahead(&self.log, connecting.err());
    }

    /// One request, from the gateway's event to the gateway's answer; writes one line about it.
    pub async fn handle(&self, gateway: &RawValue, request_id: &str) -> Reply {
        let began = Instant::now();
        let receipt = Uuid::now_v7();
        let mut account = Account::new(request_id, !self.is_warm.swap(true, Ordering::Relaxed));
        let event = ApiEvent::read(gateway);
        let outcome = self.outcome(&event, receipt, &mut account).await;
        let reply = reply::reply(&event, &outcome, receipt);
        account.close(&self.log, &outcome, reply.status(), began.elapsed());
        reply
    }

    async fn outcome(
        &self,
        event: &ApiEvent<'_>,
        receipt: Uuid,
        account: &mut Account<'_>,
    ) -> Result<Outcome, Failure> {
        match route::route(event)? {
            Route::Preflight => Ok(Outcome::Preflight),
            Route::Alive => Ok(Outcome::Alive),
            Route::Ready => Ok(health::ready(&self.database).await.map(|()| Outcome::Ready)?),
            Route::Look => Ok(Outcome::Look),
            Route::Beacon if explain::is_asked_for(event, &self.edge) => {
                let _room = self.room.take(UNPACKED_MAX_BYTES).await?;
                let explanation = explain::explain(event, &self.edge, &self.database).await;
                Ok(Outcome::Explained(Box::new(explanation)))
            }
            Route::Beacon => self.land(event, receipt, account).await,
        }
    }

    async fn land(
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
        let landing = landing::Landing {
            caller: &caller,
            beacon: &beacon,
            receipt,
            received,
            began,
        };
        let landed = landing.land(&self.database, &mut account.effort).await?;
        Ok(match beacon.undecodable {
            None => Outcome::Landed { receipt, landed },
            Some(why) => Outcome::Undecodable { receipt, why, landed },
        })
    }
}
