//! The requests of a round, as files: cases recorded from real clients. `RECORD_REQUESTS=1` writes them.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};

use super::world::World;
use crate::support::http_api::Seen;
use crate::support::tools;

/// A file per page in `tests/browser/recorded`.
pub fn save(world: &World) {
    if std::env::var_os("RECORD_REQUESTS").is_none() {
        return;
    }
    let folder = tools::project().join("tests/browser/recorded");
    std::fs::create_dir_all(&folder).unwrap();
    for (page, key) in &world.pages {
        let requests: Vec<Value> = world.requests(page).iter().map(request).collect();
        let recorded = json!({
            "page": page.name,
            "site_key": key.expose(),
            "marks": world.marks(page),
            "requests": requests,
        });
        let text = serde_json::to_string_pretty(&recorded).unwrap() + "\n";
        std::fs::write(folder.join(format!("{}.json", page.name)), text).unwrap();
    }
}

fn request(seen: &Seen) -> Value {
    json!({
        "method": seen.method,
        "path": seen.path,
        "query": seen.query,
        "headers": seen.headers,
        "body_base64": STANDARD.encode(&seen.body),
    })
}
