//! The one call: its text, its parameters, its rows.
//!
//! One Parse/Bind/Describe/Execute/Sync with the unnamed statement: one round trip, and nothing that a pooler would
//! have to remember. All types are built in, so that none has to be looked up.

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{to_sql_checked, IsNull, ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::super::beacon::Event;
use super::super::failure::{Failure, Fault, Refusal};
use super::Landing;

const LAND: &str = "select verdict, event_index, raw_event_id, first_batch_id, audit_error \
     from raw.ingest_tracking_beacon($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// What a row is that nobody has to process.
const QUARANTINED: &str = "ERROR";

/// The first byte of `jsonb` on the wire.
const JSONB_VERSION: u8 = 1;

/// What the database said.
#[derive(Debug, Default)]
pub struct Answer {
    /// Why the database refuses all of it: its verdict on key and origin.
    pub refusal: Option<String>,
    /// SQLSTATE with which the audit of stored events failed.
    pub audit_error: Option<String>,
    /// One for each event that was sent.
    pub rows: Vec<EventRow>,
}

/// What became of one event.
#[derive(Debug)]
pub struct EventRow {
    /// Place among the events that were sent, from 0.
    pub index: usize,
    /// Whether this call stored it.
    pub is_new: bool,
    /// The receipt under which it was there already; empty where a direct caller gave none.
    pub first_receipt: Option<String>,
}

/// Whether the database's own audit function hears of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// It does, and may cost the statement time-out.
    On,
    /// It has failed already.
    Off,
}

/// Sends `events` and waits for the answer: that of a committed statement where there is no transaction around it.
///
/// # Errors
/// Those of PostgreSQL and of the connection.
pub async fn call(
    client: &Client,
    landing: &Landing<'_>,
    events: &[Event<'_>],
    audit: Audit,
) -> Result<Answer, Error> {
    let stamp = landing.stamp;
    let payloads: Vec<Jsonb<'_>> = events.iter().map(|event| Jsonb(&event.payload)).collect();
    let keys: Vec<Uuid> = events.iter().map(|event| event.key).collect();
    let receipt = stamp.receipt.to_string();
    let is_audited = audit == Audit::On;
    let (statuses, errors) = quarantined(events).unzip();
    let parameters: [(&(dyn ToSql + Sync), Type); 12] = [
        (&stamp.api_key_hk.as_slice(), Type::BYTEA),
        (&stamp.origin, Type::TEXT),
        (&stamp.client_ip, Type::INET),
        (&stamp.user_agent, Type::TEXT),
        (&payloads, Type::JSONB_ARRAY),
        (&keys, Type::UUID_ARRAY),
        (&receipt, Type::VARCHAR),
        (&stamp.received, Type::TIMESTAMPTZ),
        (&Jsonb(stamp.request.get()), Type::JSONB),
        (&statuses, Type::VARCHAR_ARRAY),
        (&errors, Type::TEXT_ARRAY),
        (&is_audited, Type::BOOL),
    ];
    Answer::read(&client.query_typed(LAND, &parameters).await?)
}

/// A column of each event's status, and one of each event's error.
type Verdicts = (Vec<Option<&'static str>>, Vec<Option<String>>);

/// Status and error of each event; absent where all of them are to be processed.
fn quarantined(events: &[Event<'_>]) -> Option<Verdicts> {
    if events.iter().all(|event| event.quarantined.is_none()) {
        return None;
    }
    let each = events.iter().map(|event| {
        let (flaw, offset) = event.quarantined?;
        let error = format!("{} at byte {offset}: {}", flaw.tag(), flaw.sentence());
        Some((QUARANTINED, error))
    });
    Some(each.map(Option::unzip).unzip())
}

/// A JSON text as PostgreSQL takes it: it is checked already, and not read once more.
#[derive(Debug)]
struct Jsonb<'a>(&'a str);

impl ToSql for Jsonb<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.reserve(1 + self.0.len());
        out.put_u8(JSONB_VERSION);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

impl Answer {
    fn read(rows: &[Row]) -> Result<Self, Error> {
        let mut answer = Self::default();
        for row in rows {
            let verdict: &str = row.try_get(0)?;
            if verdict != "ok" {
                answer.refusal = Some(verdict.to_owned());
                continue;
            }
            let index: i32 = row.try_get(1)?;
            let id: Option<i64> = row.try_get(2)?;
            answer.rows.push(EventRow {
                index: usize::try_from(index).unwrap_or(usize::MAX),
                is_new: id.is_some(),
                first_receipt: row.try_get(3)?,
            });
            answer.audit_error = row.try_get::<_, Option<String>>(4)?.or(answer.audit_error);
        }
        Ok(answer)
    }

    /// # Errors
    /// The key is unknown or revoked, or not for this origin.
    pub fn verdict(&self) -> Result<(), Failure> {
        refusal(self.refusal.as_deref().or(Some("ok")))
    }
}

/// # Errors
/// The database's verdict is anything but good.
pub fn refusal(verdict: Option<&str>) -> Result<(), Failure> {
    match verdict {
        Some("ok") => Ok(()),
        Some("unknown") => Err(Refusal::UnknownKey.into()),
        Some("revoked") => Err(Refusal::RevokedKey.into()),
        Some("origin") => Err(Refusal::Origin.into()),
        _ => Err(Fault::Unexpected("a verdict that is not known").into()),
    }
}
