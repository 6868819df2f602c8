//! Who has which connection: as many as there are turns, each with one call at a time.
//!
//! In: connections, and who asks for one. Out: the right to use one, then one that nobody else uses. A call that hangs,
//! is stopped or takes its connection along is nobody else's. How connections are made is not known here.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Client;

use super::ConnectError;

/// Connections of one process at most. One that serves a request at a time has one, and the budget of the stack counts
/// that. One that serves many has no more than these: a few calls that are slow leave room for others, and two more
/// would carry little more on the cores that such a process has.
pub const CONNECTIONS_MAX: usize = 4;

pub(super) struct Lending {
    turns: Arc<Semaphore>,
    free: Mutex<Vec<Free>>,
    one_connects: tokio::sync::Mutex<()>,
    lost: Arc<AtomicU32>,
    reconnects: AtomicU32,
}

/// A connection that nobody has.
pub(super) struct Free {
    pub client: Client,
    pub since: Instant,
}

/// The right to a connection; another's when dropped.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    lost: Arc<AtomicU32>,
}

/// A connection that nobody else uses meanwhile. Dropped, it is closed.
pub struct Lent {
    client: Option<Client>,
    is_cancelled: AtomicBool,
    turn: Turn,
}

impl Lending {
    pub fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            free: Mutex::default(),
            one_connects: tokio::sync::Mutex::default(),
            lost: Arc::default(),
            reconnects: AtomicU32::new(0),
        }
    }

    pub async fn turn(&self, until: Instant) -> Result<Turn, ConnectError> {
        let waiting = self.turns.clone().acquire_owned();
        match tokio::time::timeout_at(until.into(), waiting).await {
            Ok(Ok(permit)) => Ok(Turn {
                _permit: permit,
                lost: self.lost.clone(),
            }),
            Ok(Err(_)) | Err(_) => Err(ConnectError::Busy),
        }
    }

    pub async fn one_connects(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.one_connects.lock().await
    }

    /// The one that was used last: the others may idle until the server ends them.
    pub fn free(&self) -> Option<Free> {
        self.all_free().pop()
    }

    pub fn give(&self, client: Client) {
        let since = Instant::now();
        self.all_free().push(Free { client, since });
    }

    pub fn take_back(&self, mut lent: Lent) {
        if lent.is_cancelled.load(Ordering::Relaxed) {
            return;
        }
        if let Some(client) = lent.client.take_if(|client| !client.is_closed()) {
            self.give(client);
        }
    }

    pub fn lose(&self, connections: u32) {
        self.lost.fetch_add(connections, Ordering::Relaxed);
    }

    /// The one in hand and all that are free.
    pub fn lose_all(&self) {
        let all = std::mem::take(&mut *self.all_free());
        self.lose(1 + u32::try_from(all.len()).unwrap_or(u32::MAX));
    }

    /// A connection was made: in place of one that was lost, if one was.
    pub fn count_reconnect(&self) {
        let one_less = |lost: u32| lost.checked_sub(1);
        let counted = self
            .lost
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        self.reconnects
            .fetch_add(u32::from(counted.is_ok()), Ordering::Relaxed);
    }

    pub fn reconnects(&self) -> u32 {
        self.reconnects.swap(0, Ordering::Relaxed)
    }

    fn all_free(&self) -> MutexGuard<'_, Vec<Free>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    pub(super) fn lent(self, client: Client) -> Lent {
        Lent {
            client: Some(client),
            is_cancelled: AtomicBool::new(false),
            turn: self,
        }
    }
}

impl Lent {
    pub(super) fn never_again(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

impl Deref for Lent {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
            .as_ref()
            .expect("it is taken only by who ends the loan")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.client.is_some() {
            self.turn.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_so_many_turns_and_who_waits_in_vain_is_told_so() {
        let lending = Lending::new();
        let mut turns = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            turns.push(lending.turn(Instant::now()).await.ok().unwrap());
        }
        assert!(matches!(
            lending.turn(Instant::now()).await,
            Err(ConnectError::Busy)
        ));
        turns.pop();
        assert!(lending.turn(Instant::now()).await.is_ok());
    }

    #[test]
    fn a_connection_is_a_reconnect_where_one_was_lost() {
        let lending = Lending::new();
        lending.count_reconnect();
        assert_eq!(lending.reconnects(), 0, "the first");
        lending.lose(2);
        for reconnects in [1, 1, 0] {
            lending.count_reconnect();
            assert_eq!(lending.reconnects(), reconnects);
        }
    }
}
