//! Every event is stored once, under its own tenant, with its text exact, whatever its neighbours are.

use serde_json::json;

use crate::support::gateway::{Request, Shape};
use crate::support::site::{Row, Site};
use crate::INGEST;

const V2: Shape = Shape::V2;

#[tokio::test]
async fn what_a_sender_wrote_is_what_is_stored() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for (body, base64) in [
        (
            r#"{"n":18446744073709551616,"d":0.1234567890123456789012345678,"e":1.50}"#,
            false,
        ),
        (r#"{"emoji":"😀 \ud83d\ude00","slash":"\\u0000 \/"}"#, false),
        (r#"{"a":{"b":[1,[2,{"c":null}],true]},"":"","é":"ü"}"#, true),
    ] {
        let post = Request::post(V2, site.key.expose(), body);
        let post = if base64 {
            post.base64(body.as_bytes())
        } else {
            post
        };
        let answer = ingest.send(&post).await;
        assert_eq!(answer.body["stored"], json!(1), "{body}");
        let sql = "select raw_payload = $1::text::jsonb from raw.site_tracking_events_r order by raw_event_id desc limit 1";
        let is_equal: bool = site.admin.query_one(sql, &[&body]).await.unwrap().get(0);
        assert!(is_equal, "{body}: {:?}", site.rows().await.last());
    }
    let exact = site.rows().await[0]["text"].to_string();
    assert!(
        exact.contains("18446744073709551616") && exact.contains("0.1234567890123456789012345678"),
        "{exact}"
    );
    assert!(exact.contains("1.50"), "{exact}");
    ingest.stop().await;
}

#[tokio::test]
async fn any_label_or_none_is_fine_for_json() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for label in [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("text/plain;charset=UTF-8"),
        Some("application/x-www-form-urlencoded"),
        Some("application/vnd.tracker+json"),
        Some("😀"),
    ] {
        for base64 in [false, true] {
            let request = Request::post(V2, site.key.expose(), r#"{"a":1}"#).header("content-type", label);
            let request = if base64 {
                request.base64(br#"{"a":1}"#)
            } else {
                request
            };
            assert_eq!(ingest.send(&request).await.status, 200, "{label:?}");
        }
    }
    assert_eq!(site.count().await, 14);
    ingest.stop().await;
}

#[tokio::test]
async fn a_batch_lands_in_its_order_with_its_odd_events_quarantined_in_their_place() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let good: Vec<String> = (0..100).map(|n| format!("{{\"n\":{n}}}")).collect();
    let mut events = good.clone();
    events.insert(0, "{}".to_owned());
    events.insert(50, r#"{"x":"\u0000"}"#.to_owned());
    events.push(r#"{"x":"\ud800"}"#.to_owned());
    let body = format!("[{}]", events.join(","));
    let answer = ingest.send(&Request::post(V2, site.key.expose(), &body)).await;
    assert_eq!((answer.status, &answer.body["stored"]), (200, &json!(100)));
    let errors = answer.body["errors"].as_array().unwrap();
    let indexes: Vec<_> = errors
        .iter()
        .map(|error| (error["index"].clone(), error["error"].clone()))
        .collect();
    let expected = [(0, "empty_event"), (50, "nul"), (102, "lone_surrogate")];
    assert_eq!(indexes, expected.map(|(index, tag)| (json!(index), json!(tag))));
    let rows = site.rows().await;
    let is_quarantined = |row: &&Row| row["raw_payload"].get("_quarantine").is_some();
    let places: Vec<usize> = (0..rows.len())
        .filter(|place| is_quarantined(&&rows[*place]))
        .collect();
    assert_eq!(places, [49, 101]);
    let stored = rows.iter().filter(|row| !is_quarantined(row));
    let texts: Vec<String> = stored
        .map(|row| row["text"].as_str().unwrap().replace(' ', ""))
        .collect();
    assert_eq!(texts, good);
    ingest.stop().await;
}

#[tokio::test]
async fn a_named_event_is_stored_once_and_its_duplicate_names_the_first_receipt() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let event = r#"{"messageId":"8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a","a":1}"#;
    let single = Request::post(V2, site.key.expose(), event);
    let first = ingest.send(&single).await.body["receipt"].clone();
    let again = ingest.send(&single).await;
    assert_eq!(
        (again.status, &again.body["stored"], &again.body["duplicate"]),
        (200, &json!(0), &json!(1))
    );
    assert_eq!(
        again.body["duplicates"],
        json!([{ "index": 0, "receipt": first }])
    );

    let batch = format!("[{{\"b\":1}},{event},{{\"b\":1}}]");
    let batch = ingest.send(&Request::post(V2, site.key.expose(), &batch)).await;
    assert_eq!(
        (&batch.body["stored"], &batch.body["duplicate"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        batch.body["duplicates"],
        json!([{ "index": 1, "receipt": first }])
    );
    assert_eq!(site.count().await, 3, "equal events without a name are two");

    let other = event.replace("8c4d", "9c4d");
    let twice = format!("[{other},{other}]");
    let twice = ingest.send(&Request::post(V2, site.key.expose(), &twice)).await;
    assert_eq!(
        (&twice.body["stored"], &twice.body["duplicate"]),
        (&json!(1), &json!(1)),
        "{twice:?}"
    );
    assert_eq!(twice.body["duplicates"][0]["receipt"], twice.body["receipt"]);

    let clash = other.replace("9c4d", "ac4d");
    let clash = format!("[{clash},{}]", clash.replace("\"a\":1", "\"a\":2"));
    let clash = ingest.send(&Request::post(V2, site.key.expose(), &clash)).await;
    assert_eq!(clash.body["stored"], json!(2));
    assert_eq!(
        site.rows().await.last().unwrap()["request"]["notes"],
        json!(["event_key_reused"])
    );
    ingest.stop().await;
}

#[tokio::test]
async fn tenants_never_meet() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let other = site.another_key("canary-other", None).await;
    let event = r#"{"messageId":"8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a"}"#;
    for key in [&site.key, &other, &site.key, &other] {
        assert_eq!(
            ingest.send(&Request::post(V2, key.expose(), event)).await.status,
            200
        );
    }
    let rows = site.rows().await;
    let tenants: Vec<_> = rows.iter().map(|row| row["tenant"].as_str().unwrap()).collect();
    assert_eq!(tenants, ["canary-tenant", "canary-other"]);
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(rows[1]["api_key_hk"], hex(other.hash()));
    ingest.stop().await;
}

#[tokio::test]
async fn an_event_that_the_database_refuses_unforeseen_costs_no_neighbour() {
    let site = Site::new().await;
    let sql =
        "create function public.refuse() returns trigger language plpgsql as $$ begin return new; end $$;
               create trigger refuse before insert on raw.site_tracking_events_r
                 for each row execute function public.refuse()";
    site.admin.batch_execute(sql).await.unwrap();
    for (label, refusal) in [
        (
            "data exception",
            "raise exception using errcode = '22003', message = 'canary of ' || new.raw_payload::text",
        ),
        ("check", "raise exception using errcode = '23514'"),
        ("raised by a trigger", "raise exception 'canary'"),
        ("left out by a trigger", "return null"),
        ("limit", "raise exception using errcode = '54001'"),
    ] {
        let sql = format!(
            "create or replace function public.refuse() returns trigger language plpgsql as $$
               begin if new.raw_payload ? 'poison' then {refusal}; end if; return new; end $$;
             delete from raw.site_tracking_events_r"
        );
        site.admin.batch_execute(&sql).await.unwrap();
        let ingest = site.start(INGEST).await;
        let body: Vec<String> = (0..20)
            .map(|n| {
                if n == 3 || n == 17 {
                    "{\"poison\":1}".into()
                } else {
                    format!("{{\"n\":{n}}}")
                }
            })
            .collect();
        let body = format!("[{}]", body.join(","));
        let answer = ingest.send(&Request::post(V2, site.key.expose(), &body)).await;
        assert_eq!(
            (answer.status, &answer.body["stored"]),
            (200, &json!(18)),
            "{label}: {answer:?}"
        );
        let errors = &answer.body["errors"];
        assert_eq!(
            (&errors[0]["index"], &errors[1]["index"]),
            (&json!(3), &json!(17)),
            "{label}"
        );
        assert_eq!(errors[0]["error"], "not_storable", "{label}");
        let rows = site.rows().await;
        assert_eq!(rows.len(), 20, "{label}");
        let kept = rows
            .iter()
            .filter(|row| row["processing_status"] == "ERROR")
            .count();
        assert_eq!((kept, &answer.body["quarantined"]), (2, &json!(2)), "{label}");
        assert!(
            rows.iter().all(|row| row["batch_id"] == answer.body["receipt"]),
            "{label}"
        );

        let named = Request::post(
            V2,
            site.key.expose(),
            r#"{"poison":1,"messageId":"named-poison-0001"}"#,
        );
        assert_eq!(ingest.send(&named).await.body["quarantined"], 1, "{label}");
        let again = ingest.send(&named).await;
        assert_eq!(again.body["duplicate"], 1, "{label}: {again:?}");
        let alone = ingest
            .send(&Request::post(V2, site.key.expose(), "{\"poison\":2}"))
            .await;
        let tag = &alone.body["errors"][0]["error"];
        assert_eq!(
            (alone.status, tag),
            (200, &json!("not_storable")),
            "{label}: {alone:?}"
        );
        let log = ingest.stop().await;
        assert!(log.contains("\"isolated\""), "{label}: {log}");
    }
}

#[tokio::test]
async fn an_event_that_a_trigger_leaves_out_is_never_answered_as_if_it_were_there() {
    let site = Site::new().await;
    let sql =
        "create function public.skip() returns trigger language plpgsql as $$ begin return null; end $$;
               create trigger skip before insert on raw.site_tracking_events_r
                 for each row execute function public.skip()";
    site.admin.batch_execute(sql).await.unwrap();
    let ingest = site.start(INGEST).await;
    for body in [
        r#"{"a":1}"#,
        r#"{"a":1,"messageId":"named-0001"}"#,
        r#"[{"a":2},{"a":3}]"#,
    ] {
        let answer = ingest.send(&Request::post(V2, site.key.expose(), body)).await;
        assert_eq!(
            (answer.status, answer.tag()),
            (400, "not_storable"),
            "{body}: {answer:?}"
        );
    }
    // The function as it was: it answers as if a duplicate were there.
    let lies = "create or replace function raw.ingest_tracking_beacon(bytea, text, inet, text, jsonb[], uuid[], varchar,
                 timestamptz, jsonb, varchar[], text[], boolean default true)
                 returns table (verdict text, event_index integer, raw_event_id bigint, first_batch_id varchar, audit_error text)
                 language sql security definer as $$ select 'ok', 0, null::bigint, null::varchar, null::text $$";
    let lies = format!("drop function raw.ingest_tracking_beacon; {lies}; grant execute on function raw.ingest_tracking_beacon to {}", site.login);
    site.admin.batch_execute(&lies).await.unwrap();
    let answer = ingest
        .send(&Request::post(V2, site.key.expose(), r#"{"a":1}"#))
        .await;
    // It came behind a commit, and what else that holds is not known.
    assert_eq!(
        (answer.status, answer.tag()),
        (503, "outcome_unknown"),
        "{answer:?}"
    );
    assert_eq!(site.count().await, 0);
    ingest.stop().await;
}

#[tokio::test]
async fn an_error_that_may_tell_of_the_payload_is_logged_by_its_code_alone() {
    let site = Site::new().await;
    let sql = "create function public.refuse() returns trigger language plpgsql as $$ begin
                 raise exception using errcode = 'ZZ001', message = 'canary of ' || new.raw_payload::text; end $$;
               create trigger refuse before insert on raw.site_tracking_events_r
                 for each row execute function public.refuse()";
    site.admin.batch_execute(sql).await.unwrap();
    let ingest = site.start(INGEST).await;
    let answer = ingest
        .send(&Request::post(V2, site.key.expose(), r#"{"a":1}"#))
        .await;
    assert_eq!((answer.status, answer.tag()), (503, "unavailable"));
    let log = ingest.stop().await;
    assert!(log.contains("\"sqlstate\":\"ZZ001\""), "{log}");
}

#[tokio::test]
async fn an_audit_that_raises_or_hangs_costs_no_event() {
    for (body, sqlstate) in [
        ("raise exception 'canary'", "P0001"),
        ("perform pg_sleep(60)", "57014"),
    ] {
        let site = Site::new().await;
        let sql = format!(
            "create schema util;
             create function util.log_audit_event(text, text, text, text, jsonb) returns jsonb language plpgsql
               as $$ begin if $1 = 'RAW_EVENT_INGESTED' and $3 <> '' then {body}; end if; return null; end $$;
             create or replace function raw.audit_tracking_events(p_tenant_hk bytea, p_event_ids bigint[], p_batch_id varchar)
             {}",
            audit_wrapper()
        );
        site.admin.batch_execute(&sql).await.unwrap();
        let sql = format!("alter role {} set statement_timeout = '1s'", site.login);
        site.admin.batch_execute(&sql).await.unwrap();
        let ingest = site.start(INGEST).await;
        for body in [r#"{"a":1}"#, r#"[{"a":2},{"a":3}]"#] {
            let answer = ingest.send(&Request::post(V2, site.key.expose(), body)).await;
            assert_eq!(answer.status, 200, "{sqlstate}: {answer:?}");
        }
        assert_eq!(site.count().await, 3, "{sqlstate}");
        let log = ingest.stop().await;
        assert!(
            log.contains(&format!("\"audit_sqlstate\":\"{sqlstate}\"")),
            "{log}"
        );
    }
}

/// The body that V001 gives the function where an audit function is there when it is applied.
fn audit_wrapper() -> String {
    let file = crate::support::database::v001("create");
    let after = file
        .split("create or replace function raw.audit_tracking_events(")
        .nth(1)
        .unwrap();
    let from = after.find("returns text").unwrap();
    let to = after.find("$$;").unwrap();
    after[from..to + 3].to_owned()
}
