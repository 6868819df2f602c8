//! Around the work: a panic in it, or no end to it, is an outcome like any other.

use std::future::Future;

use tokio::time::Instant;

use super::failure::{Failure, Kind};
use super::time_left::GRACE;

/// Runs `work` in a task of its own until it ends, panics, or is [`GRACE`] past `end`.
///
/// # Errors
/// The work's own, or one that says that it panicked or had to be given up. Whether it had committed is not known
/// then.
pub async fn finish<T: Send + 'static>(
    end: Instant,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let mut task = tokio::spawn(work);
    match tokio::time::timeout_at(end + GRACE, &mut task).await {
        Ok(ended) => ended.unwrap_or_else(|_| Err(panicked())),
        Err(_) => {
            task.abort();
            Err(Failure {
                may_have_made: true,
                ..Failure::new(
                    Kind::Deadline,
                    "the database did not answer in time",
                    "see pg_stat_activity for what blocks, then try again",
                )
            })
        }
    }
}

/// Runs `work`, which keeps its own time, in a task of its own.
///
/// # Errors
/// It panicked.
pub async fn catch<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    tokio::spawn(work).await.map_err(|_| panicked())
}

fn panicked() -> Failure {
    Failure {
        may_have_made: true,
        ..Failure::new(
            Kind::Panic,
            "the function has a defect and stopped in the middle of its work",
            "see the line with outcome panic in its log, and report it; nothing of this attempt was committed \
             unless the ledger says so",
        )
    }
}
