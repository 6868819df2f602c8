//! What was stored, against what a case says; payloads are compared by PostgreSQL's own `jsonb =`.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};
use uuid::Uuid;

use super::case::{Case, Keys};
use super::{container, recipe};
use crate::support::site::Site;

/// The rows of the tenant `$2`, and for each the places of the expectations in the case `$1` whose payload and
/// request it has. PostgreSQL reads the expectation itself, so that no number passes through another reader.
const ROWS: &str = "
    select jsonb_build_object(
        'status', r.processing_status, 'quarantine', r.raw_payload -> '_quarantine',
        'payload', left(r.raw_payload::text, 400), 'request', r.request, 'receipt', r.batch_id,
        'client_ip', host(r.client_ip), 'user_agent', r.user_agent, 'error', r.error_message,
        'received_ms', (extract(epoch from r.received_timestamp) * 1000)::bigint,
        'whole', r::text,
        'matches', (
            select coalesce(jsonb_agg(e.place - 1), '[]')
            from jsonb_array_elements($1::text::jsonb #> '{expect,rows}') with ordinality e(expected, place)
            where e.expected -> 'payload' = r.raw_payload
              and (not e.expected ? 'request' or r.request @> (e.expected -> 'request'))))
    from raw.site_tracking_events_r r
    where r.tenant_hk = $2
    order by r.raw_event_id";

/// The expectations in the case `$1` as PostgreSQL writes them, every digit there.
const EXPECTED: &str = "
    select left(expected::text, 400)
    from jsonb_array_elements($1::text::jsonb #> '{expect,rows}') expected";

/// The expectations of a case, to be shown.
pub async fn expected(site: &Site, case: &Case) -> Vec<String> {
    let rows = site.admin.query(EXPECTED, &[&case.text]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The rows of the case's tenant.
pub async fn of(site: &Site, case: &Case, keys: &Keys) -> Vec<Value> {
    let rows = site
        .admin
        .query(ROWS, &[&case.text, &keys.tenant.as_bytes()])
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Everything in which `rows` are not what `case` says, in whatever order they were stored.
pub fn differences(case: &Case, keys: &Keys, expected: &[String], rows: &[Value]) -> Vec<String> {
    let mut waiting: Vec<(usize, &Value)> = case.expect()["rows"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .collect();
    let mut found = Vec::new();
    for row in rows {
        let matching = waiting
            .iter()
            .position(|(place, expected)| is_match(*place, expected, row));
        match matching {
            Some(at) => drop(waiting.remove(at)),
            None => found.push(format!(
                "a row that is not expected: {} {} {}",
                row["status"], row["payload"], row["request"]
            )),
        }
        found.extend(around(case, keys, row));
    }
    let missing = waiting.iter().map(|(place, _)| &expected[*place]);
    found.extend(missing.map(|expected| format!("no row for {expected}")));
    found
}

/// Every row names a receipt that a sender was given.
pub fn receipt_differences(rows: &[Value], receipts: &[Uuid]) -> Vec<String> {
    let is_known = |row: &&Value| {
        let receipt = row["receipt"]
            .as_str()
            .and_then(|text| Uuid::parse_str(text).ok());
        receipt.is_some_and(|receipt| receipts.contains(&receipt))
    };
    let strangers = rows.iter().filter(|row| !is_known(row));
    strangers
        .map(|row| {
            format!(
                "a row under the receipt {}, which no answer named",
                row["receipt"]
            )
        })
        .collect()
}

fn is_match(place: usize, expected: &Value, row: &Value) -> bool {
    let Some(told) = expected.get("quarantined") else {
        let matches = row["matches"].as_array().unwrap();
        return row["status"] == json!("PENDING") && matches.contains(&json!(place));
    };
    let kept = &row["quarantine"];
    let bytes = STANDARD.decode(kept["bytes"].as_str().unwrap_or_default());
    row["status"] == json!("ERROR")
        && !row["error"].is_null()
        && kept["v"] == json!(1)
        && kept["encoding"] == json!("base64")
        && kept["tag"] == told["tag"]
        && (told["offset"].is_null() || kept["offset"] == told["offset"])
        && bytes.is_ok_and(|bytes| bytes == recipe::build(&told["bytes"]))
}

/// What holds for every row: who sent it, when it came, and that no site key stands in it.
fn around(case: &Case, keys: &Keys, row: &Value) -> Vec<String> {
    let [container, ..] = case.traits();
    let mut expected = vec![(
        "user_agent",
        json!(case.header("user-agent").unwrap_or(container::USER_AGENT)),
    )];
    // A load balancer tells neither the time nor, but for a list that senders can write to, the address.
    if !container.starts_with("alb") {
        expected.push(("client_ip", json!(container::SOURCE_IP)));
        expected.push(("received_ms", json!(container::RECEIVED_MS)));
    }
    if let Some(client_ip) = case.expect().get("client_ip") {
        expected.retain(|(name, _)| *name != "client_ip");
        expected.push(("client_ip", client_ip.clone()));
    }
    let different = expected.iter().filter(|(name, value)| row[*name] != *value);
    let mut found: Vec<String> = different
        .map(|(name, value)| format!("{name} is {}, expected {value}", row[*name]))
        .collect();
    let whole = row["whole"].as_str().unwrap();
    if keys.secrets().any(|secret| whole.contains(secret)) {
        found.push(format!(
            "a site key is stored: {} {}",
            row["payload"], row["request"]
        ));
    }
    found
}
