//! What a request is about, by its method, path and wish for an image; pure.
//!
//! `OPTIONS` of any path is a browser's question, `GET /health` and `GET /health/ready` an operator's; a beacon is
//! sent with `POST` or `PUT` to any path, or with `GET` and a query, as pixels are. `HEAD` looks at what `GET` would
//! reach and stores nothing. Keys, bodies and the database are not known here.

use super::api_event::ApiEvent;
use super::failure::Refusal;

/// Methods that are served, as the `Allow` header names them.
pub const ALLOWED: &str = "GET, HEAD, POST, PUT, OPTIONS";

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// What a browser asks before it sends.
    Preflight,
    /// Does the function run?
    Alive,
    /// Does the database answer?
    Ready,
    /// Is there something to `GET`?
    Look,
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
        "GET" => page(event),
        "HEAD" => page(event).map(|route| match route {
            Route::Beacon => Route::Look,
            other => other,
        }),
        _ => Err(Refusal::Method),
    }
}

fn page(event: &ApiEvent<'_>) -> Result<Route, Refusal> {
    match event.path.trim_end_matches('/') {
        "/health" if asks_for_ready(&event.query) => Ok(Route::Ready),
        "/health" => Ok(Route::Alive),
        "/health/ready" => Ok(Route::Ready),
        path if ends_with(path, ".js") => Err(Refusal::NoSuchPath),
        _ if event.query.is_empty() && !wants_image(event) => Err(Refusal::NoSuchPath),
        _ => Ok(Route::Beacon),
    }
}

/// Whether somebody meant to send events, also where that is refused; a look is none, whatever it looks at.
pub fn is_beacon(event: &ApiEvent<'_>, route: &Result<Route, Refusal>) -> bool {
    matches!(route, Ok(Route::Beacon) | Err(_)) && !event.method.eq_ignore_ascii_case("HEAD")
}

/// Whether the answer goes into an `<img>`, which shows nothing but an image to the page.
pub fn wants_image(event: &ApiEvent<'_>) -> bool {
    let has = |name, is_image: fn(&str) -> bool| event.header(name).is_some_and(is_image);
    has("sec-fetch-dest", |value| value.eq_ignore_ascii_case("image"))
        || has("accept", |value| begins_with(value, "image/"))
        || ends_with(&event.path, ".gif")
        || ends_with(&event.path, ".png")
}

fn asks_for_ready(query: &str) -> bool {
    query.split('&').any(|pair| pair == "ready" || pair == "ready=1")
}

fn begins_with(text: &str, start: &str) -> bool {
    let begun = text.as_bytes().get(..start.len());
    begun.is_some_and(|begun| begun.eq_ignore_ascii_case(start.as_bytes()))
}

fn ends_with(path: &str, end: &str) -> bool {
    let bytes = path.as_bytes();
    let ended = bytes.len().checked_sub(end.len()).map(|at| &bytes[at..]);
    ended.is_some_and(|ended| ended.eq_ignore_ascii_case(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn routed(method: &str, path: &str, query: &str, header: (&str, &str)) -> Result<Route, &'static str> {
        let event = json!({ "httpMethod": method, "rawPath": path, "rawQueryString": query,
            "headers": { header.0: header.1 } });
        let raw = serde_json::value::to_raw_value(&event).unwrap();
        route(&ApiEvent::read(&raw)).map_err(|refusal| refusal.tag())
    }

    #[test]
    fn each_method_and_path_has_its_route() {
        let plain = ("accept", "*/*");
        let image = ("Accept", "image/avif,*/*");
        let missing = Err("no_such_path");
        for (method, path, query, header, expected) in [
            ("OPTIONS", "/x.js", "", plain, Ok(Route::Preflight)),
            ("post", "/", "", plain, Ok(Route::Beacon)),
            ("PUT", "/x.js", "", plain, Ok(Route::Beacon)),
            ("GET", "/health", "", plain, Ok(Route::Alive)),
            ("GET", "/health/", "", plain, Ok(Route::Alive)),
            ("GET", "/health", "x=1", plain, Ok(Route::Alive)),
            ("GET", "/health", "x=1&ready=1", plain, Ok(Route::Ready)),
            ("GET", "/health", "ready", plain, Ok(Route::Ready)),
            ("HEAD", "/health/ready", "", plain, Ok(Route::Ready)),
            ("GET", "/healthy", "", plain, missing),
            ("GET", "/", "", plain, missing),
            ("GET", "/", "e=pv", plain, Ok(Route::Beacon)),
            ("GET", "/", "", image, Ok(Route::Beacon)),
            ("GET", "/", "", ("accept", "IMAGE/png"), Ok(Route::Beacon)),
            ("GET", "/", "", ("accept", "text/html,image/png"), missing),
            ("GET", "/", "", ("accept", "image"), missing),
            ("GET", "/", "", ("sec-fetch-dest", "Image"), Ok(Route::Beacon)),
            ("GET", "/", "", ("sec-fetch-dest", "script"), missing),
            ("GET", "/o.GIF", "", plain, Ok(Route::Beacon)),
            ("GET", "/o.png", "", plain, Ok(Route::Beacon)),
            ("GET", "/gif", "", plain, missing),
            ("GET", "/t.js", "v=1", plain, missing),
            ("GET", "/t.JS/", "", image, missing),
            ("GET", "/js", "v=1", plain, Ok(Route::Beacon)),
            ("GET", "x", "v=1", plain, Ok(Route::Beacon)),
            ("HEAD", "/o.gif", "e=pv", plain, Ok(Route::Look)),
            ("HEAD", "/", "", plain, missing),
            ("DELETE", "/o.gif", "e=pv", image, Err("method")),
            ("", "/", "", plain, Err("not_http")),
        ] {
            let found = routed(method, path, query, header);
            assert_eq!(found, expected, "{method} {path}?{query} {header:?}");
        }
    }
}
