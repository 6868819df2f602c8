//! Whether the database answers the migrator's login and takes writes: what every other action needs.
//!
//! In: a connection. Out: the server's version and how long an answer takes; a server that would refuse every write is
//! told as that. It looks at nothing of ours and needs no right.

use serde_json::{json, Map, Value};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::failure::Failure;
use super::run::millis;

const ASKED: &str = "select current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
    current_setting('transaction_read_only') = 'on'";

/// Asks it.
///
/// # Errors
/// It takes no writes; or the database's.
pub async fn ready(client: &Client) -> Result<Map<String, Value>, Failure> {
    let started = Instant::now();
    let rows = client.query_typed(ASKED, &[]).await?;
    let answer_ms = millis(started);
    let (version, is_standby, is_read_only): (String, bool, bool) = match rows.first() {
        Some(row) => (row.get(0), row.get(1), row.get(2)),
        None => return Ok(Map::new()),
    };
    for (is_so, why, remedy) in [
        (
            is_standby,
            "the server is a standby",
            "name the host of the primary",
        ),
        (
            is_read_only,
            "transactions are read-only here",
            "see default_transaction_read_only of the login, the database and the server",
        ),
    ] {
        if is_so {
            return Err(Failure::refused(
                format!("the database takes no writes: {why}"),
                remedy,
            ));
        }
    }
    Ok(Map::from_iter([
        ("server_version".to_owned(), json!(version)),
        ("answer_ms".to_owned(), json!(answer_ms)),
    ]))
}
