//! Room for bodies: how many bytes all beacons of one process may have unpacked at the same time.
//!
//! In: how many bytes a body may have inside. Out: the room for them, given back as far as they turn out to be fewer,
//! and when the beacon has been answered. A beacon for which there is none waits, and is asked to come again if it
//! waits in vain. What a body is, is not known here.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use super::beacon::UNPACKED_MAX_BYTES;
use super::failure::Fault;

/// Bytes of all bodies of a process, unpacked. A body on its way to the database is there some five times over: as
/// itself, as events, as the message of the call, as what TLS makes of it. One of the largest and a hundred of the
/// usual ones beside it stay below the 128 MB that a function has at least.
pub const ROOM_BYTES: usize = UNPACKED_MAX_BYTES + UNPACKED_MAX_BYTES / 4;

/// How long a beacon waits for room: half of what its landing may take, so that the other half is left for it.
const ROOM_TIMEOUT: Duration = Duration::from_secs(4);

/// Permits are of this many bytes: a semaphore counts no further than 32 bits.
const UNIT_BYTES: usize = 1024;

/// The room of one process.
pub struct Room(Semaphore);

/// Some of it; given back when dropped.
pub struct Held<'r>(SemaphorePermit<'r>);

impl Room {
    /// All of it is free.
    pub fn new() -> Self {
        Self(Semaphore::new(ROOM_BYTES / UNIT_BYTES))
    }

    /// Room for `bytes`, at most [`ROOM_BYTES`] of them. A small body may pass larger ones that wait.
    ///
    /// # Errors
    /// There is none within [`ROOM_TIMEOUT`].
    pub async fn take(&self, bytes: usize) -> Result<Held<'_>, Fault> {
        let units = units(bytes);
        match self.0.try_acquire_many(units) {
            Ok(permit) => Ok(Held(permit)),
            Err(TryAcquireError::Closed) => Err(Fault::NoRoom),
            Err(TryAcquireError::NoPermits) => {
                let waiting = tokio::time::timeout(ROOM_TIMEOUT, self.0.acquire_many(units)).await;
                let permit = waiting.ok().and_then(Result::ok);
                permit.map(Held).ok_or(Fault::NoRoom)
            }
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Held<'_> {
    /// Gives back what is more than `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let excess = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(excess));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.min(ROOM_BYTES).div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `bytes` more have to wait.
    async fn is_full_for(room: &Room, bytes: usize) -> bool {
        tokio::select! {
            biased;
            _ = room.take(bytes) => false,
            () = tokio::task::yield_now() => true,
        }
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_bytes_and_no_more() {
        let room = Room::new();
        let mut first = room.take(UNPACKED_MAX_BYTES).await.unwrap();
        let rest = room.take(ROOM_BYTES - UNPACKED_MAX_BYTES).await.unwrap();
        assert!(is_full_for(&room, 1).await, "a full room");
        first.shrink_to(UNPACKED_MAX_BYTES - UNIT_BYTES + 1);
        assert!(is_full_for(&room, 1).await, "a unit that is begun is not free");
        first.shrink_to(UNPACKED_MAX_BYTES - UNIT_BYTES);
        assert!(is_full_for(&room, UNIT_BYTES + 1).await, "room for one unit");
        assert!(!is_full_for(&room, UNIT_BYTES).await, "room for one unit");
        drop((first, rest));
        assert!(
            !is_full_for(&room, usize::MAX).await,
            "nobody is too large for an empty room"
        );
    }

    #[tokio::test]
    async fn all_bodies_together_reach_the_limit_and_no_further() {
        for (bytes, is_full) in [
            (ROOM_BYTES - 1, false),
            (ROOM_BYTES, false),
            (ROOM_BYTES + 1, true),
        ] {
            let room = Room::new();
            let _one = room.take(UNPACKED_MAX_BYTES).await.unwrap();
            let rest = bytes - UNPACKED_MAX_BYTES;
            assert_eq!(is_full_for(&room, rest).await, is_full, "{bytes}");
        }
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_another_has_left() {
        let room = Room::new();
        let all = room.take(ROOM_BYTES).await.unwrap();
        let leaving = async {
            tokio::task::yield_now().await;
            drop(all);
        };
        let (waited, ()) = tokio::join!(room.take(UNPACKED_MAX_BYTES), leaving);
        assert!(waited.is_ok());
    }
}
