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
    let api_key_hk = caller.site_key.hash();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&api_key_hk.as_slice(), Type::BYTEA),
        (&caller.origin, Type::TEXT),
        (&received, Type::TIMESTAMPTZ),
    ];
    for _ in 0..ATTEMPTS {
        let client = database.client().await.map_err(Fault::Connect)?;
        let asking = client.query_typed(ASK, &parameters);
        match tokio::time::timeout(CALL_TIMEOUT, asking).await {
            Ok(Ok(rows)) => {
                let verdict = rows.first().and_then(|row| row.try_get::<_, &str>(0).ok());
                return refusal(verdict);
            }
            _ => database.discard(&client).await,
        }
    }
    Err(Fault::Unexpected("the verdict on a key could not be had").into())
}
