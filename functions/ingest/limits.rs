//! Every limit on what a sender may send, in one table: the constant, its value, what happens beyond it.
//!
//! The constants stand where they are applied, each with its reason; this is the table that README.md is tested
//! against and that explanations show.

use super::{beacon, caller, reply};

/// A limit.
pub struct Limit {
    /// The constant.
    pub name: &'static str,
    /// The largest that is taken.
    pub value: usize,
    /// Of what.
    pub of: &'static str,
    /// What becomes of more.
    pub beyond: &'static str,
}

const REFUSED: &str = "413 `too_large`";
const UNDECODABLE: &str = "400 `undecodable`, the bytes are quarantined";
const CUT: &str = "cut at a character's end, noted";
const QUARANTINED: &str = "the event is quarantined";

const fn limit(name: &'static str, value: usize, of: &'static str, beyond: &'static str) -> Limit {
    Limit {
        name,
        value,
        of,
        beyond,
    }
}

/// All of them, in the order in which a request meets them.
pub const ALL: &[Limit] = &[
    limit(
        "BODY_MAX_BYTES",
        beacon::BODY_MAX_BYTES,
        "bytes of a body as sent",
        REFUSED,
    ),
    limit(
        "UNPACKED_MAX_BYTES",
        beacon::UNPACKED_MAX_BYTES,
        "bytes of a body without its compression",
        REFUSED,
    ),
    limit(
        "LAYERS_MAX",
        beacon::LAYERS_MAX,
        "compressions on top of each other",
        UNDECODABLE,
    ),
    limit(
        "STREAMS_MAX",
        beacon::STREAMS_MAX,
        "gzip members, or zstd frames, one after the other",
        UNDECODABLE,
    ),
    limit(
        "EVENTS_MAX",
        beacon::EVENTS_MAX,
        "events of a beacon",
        "413 `too_many`",
    ),
    limit("FIELDS_MAX", beacon::FIELDS_MAX, "fields of a form", UNDECODABLE),
    limit(
        "BOUNDARY_MAX",
        beacon::BOUNDARY_MAX,
        "characters of a multipart boundary",
        UNDECODABLE,
    ),
    limit(
        "HEADERS_MAX",
        beacon::HEADERS_MAX,
        "headers of a part of a multipart body",
        UNDECODABLE,
    ),
    limit(
        "ENVELOPES_MAX_BYTES",
        beacon::ENVELOPES_MAX_BYTES,
        "bytes of all copies of an envelope",
        "it stands beside the first event alone, noted",
    ),
    limit("DEPTH_MAX", beacon::DEPTH_MAX, "nesting of an event", QUARANTINED),
    limit(
        "NUMBER_MAX_DIGITS",
        beacon::NUMBER_MAX_DIGITS,
        "digits of a number",
        QUARANTINED,
    ),
    limit(
        "EXPONENT_MAX",
        beacon::EXPONENT_MAX as usize,
        "size of a number's exponent",
        QUARANTINED,
    ),
    limit(
        "MEMBERS_MAX",
        beacon::MEMBERS_MAX,
        "members of an object",
        QUARANTINED,
    ),
    limit(
        "VALUES_MAX",
        beacon::VALUES_MAX,
        "names and values of a beacon's events",
        QUARANTINED,
    ),
    limit(
        "USER_AGENT_MAX_BYTES",
        caller::USER_AGENT_MAX_BYTES,
        "bytes of a user agent",
        CUT,
    ),
    limit(
        "ORIGIN_MAX_BYTES",
        caller::ORIGIN_MAX_BYTES,
        "bytes of an origin",
        CUT,
    ),
    limit("PATH_MAX_BYTES", caller::PATH_MAX_BYTES, "bytes of a path", CUT),
    limit(
        "QUERY_MAX_BYTES",
        caller::QUERY_MAX_BYTES,
        "bytes of a query in `request`",
        CUT,
    ),
    limit(
        "HEADER_MAX_BYTES",
        caller::HEADER_MAX_BYTES,
        "bytes of every other header in `request`",
        CUT,
    ),
    limit(
        "NAMED_MAX",
        reply::NAMED_MAX,
        "events that an answer names in a list",
        "they are counted",
    ),
    limit(
        "ECHO_MAX_BYTES",
        reply::ECHO_MAX_BYTES,
        "bytes of an origin, or of requested headers, that a CORS answer repeats",
        "`*`, or `Content-Type`, stands in the answer",
    ),
];
