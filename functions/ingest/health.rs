//! Whether the database answers, for the operator's probe.
//!
//! The question is an empty message on a connection that beacons use; it names no table, and the answer says yes
//! or no and nothing about the server.

use std::time::Duration;

use super::failure::Fault;
use crate::db::Database;

/// A server that needs longer for an empty message is not ready for beacons.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// # Errors
/// No connection, or no answer on it in time.
pub async fn ready(database: &Database) -> Result<(), Fault> {
    let client = database.client().await.map_err(Fault::Connect)?;
    match tokio::time::timeout(ANSWER_TIMEOUT, client.check_connection()).await {
        Ok(Ok(())) => {
            database.keep(client);
            Ok(())
        }
        Ok(Err(error)) => Err(Fault::ConnectionLost(error.to_string())),
        Err(_) => Err(Fault::TimedOut),
    }
}
