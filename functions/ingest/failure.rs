//! Why a request did not do what it asked: a refusal is the sender's doing and is shown to it, a fault is ours and
//! never is.
//!
//! Each refusal has a tag for machines and a sentence for people. Which status goes with it is `reply`'s to say.

use std::fmt;

use tokio_postgres::error::SqlState;

use super::beacon::{BODY_MAX_BYTES, EVENTS_MAX, UNPACKED_MAX_BYTES};
use super::route;
use crate::db::ConnectError;

/// Why nothing was stored.
#[derive(Debug)]
pub enum Failure {
    /// The sender's doing.
    Refused(Refusal),
    /// Ours.
    Fault(Fault),
    /// Ours, and the events may be stored all the same: a call went out and was not answered.
    Uncertain(Fault),
}

/// What the sender did that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The event is neither an HTTP API's nor a REST API's.
    NotHttp,
    /// No page is served there.
    NoSuchPath,
    /// The method brings no beacon.
    Method,
    /// No site key anywhere.
    NoKey,
    /// Something begins like a site key and is none.
    MalformedKey,
    /// Two site keys.
    TwoKeys,
    /// A site key that nobody made.
    UnknownKey,
    /// A site key that is no longer valid.
    RevokedKey,
    /// The site key's tenant is not there.
    UnknownTenant,
    /// The site key is not for pages of this origin.
    Origin,
    /// A body of this many bytes is too large.
    TooLarge(usize),
    /// A compressed body unpacks to too many bytes.
    UnpacksTooLarge,
    /// So many events are too many.
    TooMany(usize),
    /// Nothing was sent.
    NoEvent,
    /// Not one of the events could be stored.
    NoneStorable(Vec<RefusedEvent>),
}

/// Where a body stops being what it seems to be; no step of the ladder takes it, and it is quarantined as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// What cannot be read on.
    pub what: &'static str,
    /// Byte from 0: of the unpacked body, or of the body as it was sent where it cannot be unpacked.
    pub offset: usize,
}

/// One event of a beacon that was left out or quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Its place in the beacon, from 0.
    pub index: usize,
    /// Why.
    pub flaw: Flaw,
    /// Byte of the event at which the reason stands, where it stands at one.
    pub offset: Option<usize>,
}

/// Why one event cannot be stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is `{}`.
    EmptyEvent,
    /// It holds the character U+0000.
    Nul,
    /// It holds one half of a surrogate pair.
    LoneSurrogate,
    /// A number has more digits or a larger exponent than a database should be given.
    NumberRange,
    /// It is nested too deep.
    TooDeep,
    /// It has an object of more members, or more names and values, than a database should be given.
    TooManyValues,
    /// It holds a byte that is no UTF-8.
    InvalidUtf8,
    /// It is no JSON, among others that are.
    NotJson,
    /// It is a whole body that no step of the ladder takes.
    Undecodable,
    /// The database refused it for a reason that was not foreseen.
    NotStorable,
}

/// What went wrong on our side.
#[derive(Debug)]
pub enum Fault {
    /// There is no connection.
    Connect(ConnectError),
    /// The connection was lost, twice.
    ConnectionLost(String),
    /// The database did not answer in time.
    TimedOut,
    /// The database refused the call itself.
    Database {
        /// SQLSTATE.
        sqlstate: SqlState,
        /// PostgreSQL's message, where it cannot hold a sender's data.
        message: Option<String>,
    },
    /// Other beacons have all the room there is for bodies.
    NoRoom,
    /// The database answered what it should not.
    Unexpected(&'static str),
    /// The database was away a moment ago, and was not asked again.
    Spared,
}

impl Refusal {
    /// A word for machines.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::NoSuchPath => "no_such_path",
            Self::Method => "method",
            Self::NoKey => "no_key",
            Self::MalformedKey => "malformed_key",
            Self::TwoKeys => "two_keys",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::UnknownTenant => "unknown_tenant",
            Self::Origin => "origin",
            Self::TooLarge(_) | Self::UnpacksTooLarge => "too_large",
            Self::TooMany(_) => "too_many",
            Self::NoEvent => "no_event",
            Self::NoneStorable(refused) => refused
                .first()
                .map_or("not_storable", |refused| refused.flaw.tag()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("this is no HTTP request of an API gateway"),
            Self::NoSuchPath => {
                f.write_str("nothing is served here; send beacons with POST, or GET and a query")
            }
            Self::Method => write!(
                f,
                "a beacon is sent with POST, PUT or GET; allowed: {}",
                route::ALLOWED
            ),
            Self::NoKey => {
                f.write_str("no site key; put it into the path, the query parameter k or x-api-key")
            }
            Self::MalformedKey => {
                f.write_str("the site key is malformed; copy it again, all 34 characters of stk_...")
            }
            Self::TwoKeys => f.write_str("two different site keys; send one"),
            Self::UnknownKey => f.write_str("the site key is not known here"),
            Self::RevokedKey => f.write_str("the site key has been revoked"),
            Self::UnknownTenant => f.write_str("the site key's tenant does not exist any more"),
            Self::Origin => f.write_str("the site key is not for pages of this origin"),
            Self::TooLarge(bytes) => {
                write!(
                    f,
                    "the body has {bytes} bytes, the limit is {BODY_MAX_BYTES}; send it in parts"
                )
            }
            Self::UnpacksTooLarge => {
                write!(
                    f,
                    "the body unpacks to more than {UNPACKED_MAX_BYTES} bytes; send it in parts"
                )
            }
            Self::TooMany(events) => {
                write!(
                    f,
                    "the beacon has {events} events, the limit is {EVENTS_MAX}; send it in parts"
                )
            }
            Self::NoEvent => f.write_str("neither the body nor the query holds an event"),
            Self::NoneStorable(_) => f.write_str("no event could be stored"),
        }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset } = self;
        write!(
            f,
            "the body cannot be read: {what} at byte {offset}; its bytes are kept"
        )
    }
}

impl Flaw {
    const ALL: [Self; 10] = [
        Self::EmptyEvent,
        Self::Nul,
        Self::LoneSurrogate,
        Self::NumberRange,
        Self::TooDeep,
        Self::TooManyValues,
        Self::InvalidUtf8,
        Self::NotJson,
        Self::Undecodable,
        Self::NotStorable,
    ];

    /// The flaw that a word for machines means.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flaw| flaw.tag() == tag)
    }

    /// A word for machines.
    pub fn tag(self) -> &'static str {
        match self {
            Self::EmptyEvent => "empty_event",
            Self::Nul => "nul",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NumberRange => "number_range",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NotJson => "not_json",
            Self::Undecodable => "undecodable",
            Self::NotStorable => "not_storable",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::EmptyEvent => "the event is empty",
            Self::Nul => "a string holds the character U+0000, which no database text can",
            Self::LoneSurrogate => "a string holds half of a surrogate pair",
            Self::NumberRange => "a number has more than 1000 digits or an exponent beyond 1000",
            Self::TooDeep => "the event is nested deeper than 512",
            Self::TooManyValues => "the event has an object of more than 1,000 members, or its beacon more than a million names and values",
            Self::InvalidUtf8 => "a byte of the event is no UTF-8",
            Self::NotJson => "the event is no JSON",
            Self::Undecodable => "the body is neither JSON nor a form nor anything else that is known",
            Self::NotStorable => "the database refused the event",
        }
    }
}

impl Fault {
    /// A word for alarms.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Busy) => "busy",
            Self::Connect(_) => "no_connection",
            Self::ConnectionLost(_) => "connection_lost",
            Self::TimedOut => "timed_out",
            Self::Database { .. } => "database",
            Self::NoRoom => "no_room",
            Self::Unexpected(_) => "unexpected",
            Self::Spared => "spared",
        }
    }

    /// SQLSTATE where PostgreSQL gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Connect(error) => error.sqlstate(),
            Self::Database { sqlstate, .. } => Some(sqlstate.code()),
            _ => None,
        }
    }
}

/// For the operator's log.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::ConnectionLost(why) => write!(f, "the connection was lost twice: {why}"),
            Self::TimedOut => f.write_str("the database did not answer in time; look for locks and load"),
            Self::Database { sqlstate, message } => {
                write!(f, "the database refused the call: {}", sqlstate.code())?;
                message.iter().try_for_each(|message| write!(f, " {message}"))?;
                write!(f, ": {}", remedy(sqlstate))
            }
            Self::NoRoom => {
                f.write_str("bodies of other beacons are in the way; lower AWS_LAMBDA_MAX_CONCURRENCY")
            }
            Self::Unexpected(what) => write!(f, "{what}: apply V001 of this release again"),
            Self::Spared => {
                f.write_str("the database was away a moment ago; see the faults before this line")
            }
        }
    }
}

fn remedy(sqlstate: &SqlState) -> &'static str {
    match sqlstate.code() {
        "42883" | "3F000" | "42P01" => "apply V001 to this database",
        "42501" => "grant tracking_ingest_role to DB_USER",
        "57014" => "look for locks and load",
        "53100" => "the disk is full",
        "25006" => "this server is read-only; DB_HOST must name the primary",
        _ => "see the server's log",
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
