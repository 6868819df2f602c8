//! The floor: the same SQL call over one connection, with nothing around it.

use std::time::SystemTime;

use serde_json::value::RawValue;
use serde_json::{json, Value};
use tokio_postgres::types::{Json, ToSql, Type};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::site::{Site, PASSWORD};

const CALL: &str = "select verdict, event_index, raw_event_id, first_batch_id, audit_error \
     from raw.ingest_tracking_beacon($1, $2, $3, $4, $5, $6, $7, $8, $9, null, null, $10)";

/// One event of about 1 KB, as a page view of a chatty tracker has it.
pub fn event() -> String {
    let page = "https://canary-shop.example/basket?step=2&campaign=autumn-sale";
    json!({
        "event": "page_view", "page": page, "title": "Basket", "referrer": page, "viewport": [1280, 720],
        "session": "0b54f6f0-6a0e-4c0b-9a3e-3f1c5f0f7a51", "text": "x".repeat(700),
    })
    .to_string()
}

pub struct Bare {
    client: Client,
    api_key_hk: [u8; 32],
    request: Value,
}

impl Bare {
    pub async fn connect(site: &Site) -> Self {
        Self {
            client: site.database.client(&site.login, PASSWORD).await,
            api_key_hk: site.key.hash(),
            request: json!({
                "method": "POST", "path": "/e", "content_type": "application/json",
                "origin": "https://canary-shop.example", "referrer": "https://canary-shop.example/basket",
            }),
        }
    }

    /// One beacon with `count` events.
    pub async fn call(&self, event: &RawValue, count: usize) {
        let payloads = vec![Json(event); count];
        let keys: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
            (&self.api_key_hk.as_slice(), Type::BYTEA),
            (&"https://canary-shop.example", Type::TEXT),
            (&"203.0.113.77".parse::<std::net::IpAddr>().unwrap(), Type::INET),
            (&"canary-agent/1.0 (X11; Linux x86_64)", Type::TEXT),
            (&payloads, Type::JSONB_ARRAY),
            (&keys, Type::UUID_ARRAY),
            (&Uuid::now_v7().to_string(), Type::VARCHAR),
            (&SystemTime::now(), Type::TIMESTAMPTZ),
            (&Json(&self.request), Type::JSONB),
            (&true, Type::BOOL),
        ];
        let rows = self.client.query_typed(CALL, &parameters).await.unwrap();
        assert!(rows.len() == count && rows[0].get::<_, &str>(0) == "ok");
    }
}
