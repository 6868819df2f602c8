//! What the database says of a key and an origin, with nothing stored.
//!
//! It is the same function that stores, asked about no events: it looks the key up, judges the origin, and neither
//! inserts a row nor draws a number or a transaction id.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

use super::super::caller::Caller;
use super::super::failure::{Failure, Fault};
use super::call::refusal;
use super::CALL_TIMEOUT;
use crate::db::Database;

const ASK: &str = "select verdict from raw.ingest_tracking_beacon(\
     $1, $2, null, null, array[]::jsonb[], null, null, $3, null, null, null, false)";

/// The first may meet a connection that died unseen.
const ATTEMPTS: u8 = 2;

/// # Errors
/// The key is unknown or revoked, or not for this origin; or there is no database to ask.
pub async fn verdict(database: &Database, caller: &Caller, received: SystemTime) -> Result<(), Failure> {
    let parameters = (caller.site_key.hash().to_vec(), caller.origin.clone());
    for _ in 0..ATTEMPTS {
        match ask(database, &parameters, received).await? {
            Ok(verdict) => return refusal(verdict.as_deref()),
            Err(_) => continue,
        }
    }
    Err(Fault::Unexpected("the verdict on a key could not be had").into())
}

/// Whether this login may ask at all; what is asked about is no key.
///
/// # Errors
/// There is no database to ask, or it refuses the question; in words for the operator.
pub async fn may_call(database: &Database, now: SystemTime) -> Result<(), String> {
    match ask(database, &(Vec::new(), None), now).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(why),
        Err(fault) => Err(fault.to_string()),
    }
}

type Asked = Result<Option<String>, String>;

async fn ask(
    database: &Database,
    (api_key_hk, origin): &(Vec<u8>, Option<String>),
    received: SystemTime,
) -> Result<Asked, Fault> {
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (api_key_hk, Type::BYTEA),
        (origin, Type::TEXT),
        (&received, Type::TIMESTAMPTZ),
    ];
    let client = database.client().await.map_err(Fault::Connect)?;
    let asking = client.query_typed(ASK, &parameters);
    let why = match tokio::time::timeout(CALL_TIMEOUT, asking).await {
        Ok(Ok(rows)) => {
            database.keep(client);
            return Ok(Ok(rows.first().and_then(|row| row.try_get(0).ok())));
        }
        Ok(Err(error)) => match error.as_db_error() {
            Some(refused) => format!("{} {}", refused.code().code(), refused.message()),
            None => "the connection was lost".to_owned(),
        },
        Err(_) => "no answer in time".to_owned(),
    };
    Ok(Err(why))
}
