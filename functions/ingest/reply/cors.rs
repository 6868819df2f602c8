//! The headers that let a page of any origin send and read; on every answer.
//!
//! Origin and requested headers are echoed: a star fails as soon as a browser sends credentials, which it does for
//! some beacons unasked, and a fixed list of headers loses every tracker that has one of its own. Which origins may
//! write is decided by the site key, not here.

use super::super::api_event::ApiEvent;

/// Browsers cap it, at two hours or a day.
const MAX_AGE_S: &str = "86400";

/// Longest value that is echoed; a browser's are far shorter.
pub const ECHO_MAX_BYTES: usize = 2_048;

/// For a preflight that names no header.
const USUAL_HEADERS: &str = "Content-Type";

/// Gives each header to `header`.
pub fn headers(event: &ApiEvent<'_>, header: &mut impl FnMut(&'static str, &str)) {
    match echoed(event, "origin") {
        Some(origin) => {
            header("Access-Control-Allow-Origin", origin);
            header("Access-Control-Allow-Credentials", "true");
        }
        None => {
            header("Access-Control-Allow-Origin", "*");
        }
    }
    let requested = echoed(event, "access-control-request-headers");
    header("Access-Control-Allow-Headers", requested.unwrap_or(USUAL_HEADERS));
    header("Access-Control-Allow-Methods", super::route::ALLOWED);
    header("Access-Control-Max-Age", MAX_AGE_S);
    let exposed = [super::RECEIPT, super::OUTCOME, super::RETRY_AFTER];
    header("Access-Control-Expose-Headers", &exposed.join(", "));
    // A page that isolates itself may show only what says this of itself.
    header("Cross-Origin-Resource-Policy", "cross-origin");
    header(
        "Vary",
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    );
}

/// A header's value, if it can stand in an answer.
fn echoed<'e>(event: &'e ApiEvent<'_>, name: &str) -> Option<&'e str> {
    let is_printable = |value: &&str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    event
        .header(name)
        .filter(|value| value.len() <= ECHO_MAX_BYTES)
        .filter(is_printable)
}
