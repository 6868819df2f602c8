//! What a request is about, by its method and path alone; pure.
//!
//! `OPTIONS` of any path is a browser's question, `GET /health` and `GET /health/ready` an operator's; a beacon is
//! sent with `POST` or `PUT` to any path. Keys, bodies and the database are not known here.

use super::api_event::ApiEvent;
use super::failure::Refusal;

/// Methods that bring a beacon, as the `Allow` header names them beside `OPTIONS`.
pub const ALLOWED: &str = "POST, PUT, OPTIONS";

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// What a browser asks before it sends.
    Preflight,
    /// Does the function run?
    Alive,
    /// Does the database answer?
    Ready,
    /// Events to store.
    Beacon,
}

/// # Errors
/// The event is no HTTP request, or the method or path is not served.
pub fn route(event: &ApiEvent<'_>) -> Result<Route, Refusal> {
    match &*event.method.to_ascii_uppercase() {
        "" => Err(Refusal::NotHttp),
        "OPTIONS" => Ok(Route::Preflight),
        "POST" | "PUT" => Ok(Route::Beacon),
        "GET" | "HEAD" => match event.path.trim_end_matches('/') {
            "/health" if asks_for_ready(&event.query) => Ok(Route::Ready),
            "/health" => Ok(Route::Alive),
            "/health/ready" => Ok(Route::Ready),
            path if event.query.is_empty() || is_script(path) => Err(Refusal::NoSuchPath),
            _ => Err(Refusal::Method),
        },
        _ => Err(Refusal::Method),
    }
}

fn asks_for_ready(query: &str) -> bool {
    query.split('&').any(|pair| pair == "ready" || pair == "ready=1")
}

fn is_script(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() >= 3 && bytes[bytes.len() - 3..].eq_ignore_ascii_case(b".js")
}
