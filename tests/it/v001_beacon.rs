//! `raw.ingest_tracking_beacon`: key and origin verdicts, each event once, batches, concurrent retries, audit.

use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::refusal;

/// A key without an origin list, for tenant `t`.
const KEYS: &str = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk, allowed_origins, is_active, revoked_at)
    values (sha256('open'), 't', 'tenant', null, true, null),
      (sha256('another tenant''s'), 'u', 'other', null, true, null),
      (sha256('listed'), 't', 'tenant', array['https://a.example', 'https://*.b.example:8443'], true, null),
      (sha256('off'), 't', 'tenant', null, false, null),
      (sha256('revoked'), 't', 'tenant', null, false, '2026-01-02 00:00Z'),
      (sha256('active, revoked'), 't', 'tenant', null, true, '2026-01-02 00:00Z')";

/// A row of the answer: verdict, index, whether it has an id, first receipt.
type Row = (String, Option<i32>, bool, Option<String>);

/// Events are named by a number; the same number is the same event key, 0 is no key.
async fn beacon(
    client: &Client,
    key: &str,
    origin: Option<&str>,
    events: &[u32],
    receipt: &str,
    received: &str,
) -> Vec<Row> {
    let sql = "select * from raw.ingest_tracking_beacon(sha256($1::text::bytea), $2::text, '203.0.113.7', 'agent',
        array(select jsonb_build_object('n', n) from unnest($3::bigint[]) with ordinality u(n, i) order by i),
        array(select case when n > 0 then lpad(n::text, 32, '0')::uuid end from unnest($3::bigint[]) with ordinality u(n, i) order by i),
        $4::text, $5::text::timestamptz, '{\"method\": \"POST\"}', null, null)";
    let numbers: Vec<i64> = events.iter().copied().map(i64::from).collect();
    let rows = client
        .query(sql, &[&key, &origin, &numbers, &receipt, &received])
        .await
        .unwrap();
    let row = |row: &tokio_postgres::Row| {
        (
            row.get(0),
            row.get(1),
            row.get::<_, Option<i64>>(2).is_some(),
            row.get(3),
        )
    };
    rows.iter().map(row).collect()
}

async fn stored(client: &Client) -> i64 {
    client
        .query_one("select count(*) from raw.site_tracking_events_r", &[])
        .await
        .unwrap()
        .get(0)
}

const NOW: &str = "2026-06-01 00:00Z";

#[tokio::test]
async fn a_key_that_may_not_write_is_told_apart_and_stores_nothing() {
    let cases = [
        ("open", None, NOW, "ok"),
        ("nobody's", None, NOW, "unknown"),
        ("off", None, NOW, "revoked"),
        ("off", None, "2020-01-01 00:00Z", "revoked"),
        ("revoked", None, NOW, "revoked"),
        ("revoked", None, "2026-01-02 00:00Z", "revoked"),
        ("revoked", None, "2026-01-01 23:59Z", "ok"),
        ("active, revoked", None, NOW, "revoked"),
        ("active, revoked", None, "2026-01-01 23:59Z", "ok"),
        ("listed", Some("https://a.example"), NOW, "ok"),
        ("listed", Some("https://b.example"), NOW, "origin"),
        ("listed", None, NOW, "ok"),
    ];
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        client.batch_execute(KEYS).await.unwrap();
        for (key, origin, received, verdict) in cases {
            for events in [&[0][..], &[0, 0, 0], &[]] {
                let label = format!("{version:?} {key} {origin:?} {received} {} events", events.len());
                let before = stored(&client).await;
                let rows = beacon(&client, key, origin, events, "receipt", received).await;
                let (expected, new) = match (verdict, events.len()) {
                    ("ok", n @ 1..) => (
                        (0..n)
                            .map(|i| ("ok".to_owned(), Some(i as i32), true, None))
                            .collect(),
                        n,
                    ),
                    _ => (vec![(verdict.to_owned(), None, false, None)], 0),
                };
                assert_eq!(rows, expected, "{label}");
                assert_eq!(stored(&client).await - before, new as i64, "{label}");
            }
        }
    }
}

#[tokio::test]
async fn origins_are_compared_by_scheme_host_and_port() {
    const LIST: &str =
        "array['https://a.example', 'HTTPS://Upper.Example', 'http://c.example:80', 'https://d.example:443',
        'https://*.w.example', 'https://*.p.example:8443', 'null']";
    let cases = [
        ("'https://a.example'", LIST, true),
        ("'https://A.Example'", LIST, true),
        ("'https://a.example:443'", LIST, true),
        ("'https://a.example:8443'", LIST, false),
        ("'http://a.example'", LIST, false),
        ("'https://a.example.evil.example'", LIST, false),
        ("'https://eviла.example'", LIST, false),
        ("'https://upper.example'", LIST, true),
        ("'http://c.example'", LIST, true),
        ("'https://c.example'", LIST, false),
        ("'https://d.example'", LIST, true),
        ("'https://x.w.example'", LIST, true),
        ("'https://x.y.w.example'", LIST, true),
        ("'https://X.W.example:443'", LIST, true),
        ("'https://w.example'", LIST, false),
        ("'https://.w.example'", LIST, false),
        ("'https://xw.example'", LIST, false),
        ("'https://evil.example/.w.example'", LIST, false),
        ("'https://evil.example?.w.example'", LIST, false),
        ("'https://user@x.w.example'", LIST, false),
        ("'https://x.w.example:8443'", LIST, false),
        ("'https://x.p.example:8443'", LIST, true),
        ("'https://x.p.example'", LIST, false),
        ("'null'", LIST, true),
        ("'null'", "array['https://a.example']", false),
        ("null", LIST, true),
        ("''", LIST, true),
        ("null", "array['https://a.example', 'required']", false),
        ("''", "array['required']", false),
        (
            "'https://a.example'",
            "array['https://a.example', 'required']",
            true,
        ),
        ("'required'", "array['required']", false),
        ("'https://a.example'", "array[]::text[]", false),
        ("null", "array[]::text[]", true),
        ("'https://a.example'", "null", true),
        ("null", "null", true),
        ("'https://a.example'", "array[null, 'https://a.example']", true),
        ("'https://a.example'", "array['*']", false),
    ];
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        for (origin, list, expected) in cases {
            let sql = format!("select raw.origin_is_allowed({origin}, {list})");
            let allowed: Option<bool> = client.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(allowed, Some(expected), "{version:?}: {sql}");
        }
    }
}

/// Receipt, events, and for each the receipt under which it is stored already.
type Retry = (&'static str, &'static [u32], &'static [Option<&'static str>]);

#[tokio::test]
async fn a_duplicate_names_the_receipt_under_which_it_is_stored() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        client.batch_execute(KEYS).await.unwrap();
        let cases: [Retry; 9] = [
            ("r1", &[1], &[None]),
            ("r2", &[1], &[Some("r1")]),
            ("r3", &[2, 1, 3, 2], &[None, Some("r1"), None, Some("r3")]),
            (
                "r3",
                &[2, 1, 3, 2],
                &[Some("r3"), Some("r1"), Some("r3"), Some("r3")],
            ),
            ("r4", &[4, 0, 0, 3], &[None, None, None, Some("r3")]),
            ("r5", &[0], &[None]),
            ("another tenant's", &[1], &[None]),
            ("another tenant's", &[1, 9], &[Some("another tenant's"), None]),
            ("r6", &[1, 9], &[Some("r1"), None]),
        ];
        for (receipt, events, firsts) in cases {
            let key = if receipt.starts_with('r') { "open" } else { receipt };
            let rows = beacon(&client, key, None, events, receipt, NOW).await;
            for (index, (row, first)) in rows.iter().zip(firsts).enumerate() {
                let expected = (
                    "ok".to_owned(),
                    Some(index as i32),
                    first.is_none(),
                    first.map(str::to_owned),
                );
                assert_eq!(row, &expected, "{version:?} {receipt} {events:?}");
            }
            assert_eq!(rows.len(), events.len());
        }
        assert_eq!(stored(&client).await, 10, "{version:?}");
    }
}

#[tokio::test]
async fn a_batch_keeps_the_order_of_its_events_and_what_came_with_each() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        client.batch_execute(KEYS).await.unwrap();
        let sql = r#"select * from raw.ingest_tracking_beacon(sha256('open'), null, '203.0.113.7', 'agent',
            array['{"n": 0}', '{"n": 1}', '{"n": 2}']::jsonb[],
            array['f0000000-0000-7000-8000-000000000000', null, '10000000-0000-7000-8000-000000000000']::uuid[], 'receipt',
            '2026-06-01 00:00Z', '{"method": "POST"}', array[null, 'ERROR'], array[null, 'odd'])"#;
        client.batch_execute(sql).await.unwrap();
        let rows = "select string_agg(concat_ws(' ', raw_payload ->> 'n', processing_status, error_message, batch_id,
              request ->> 'method', host(client_ip), user_agent, received_timestamp = '2026-06-01 00:00Z',
              api_key_hk = sha256('open'), tenant_hk = 't'), ', ' order by raw_event_id) from raw.site_tracking_events_r";
        let rest = "receipt POST 203.0.113.7 agent t t t";
        let expected = format!("0 PENDING {rest}, 1 ERROR odd {rest}, 2 PENDING {rest}");
        assert_eq!(
            client.query_one(rows, &[]).await.unwrap().get::<_, String>(0),
            expected,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn an_empty_event_or_an_array_too_long_refuses_the_beacon() {
    let database = Database::with_v001(Cluster::shared(Version::Default)).await;
    let client = database.superuser().await;
    client.batch_execute(KEYS).await.unwrap();
    for (events, keys) in [
        (r#"array['{}']"#, "null"),
        ("array[null]", "null"),
        (r#"array['{"a": 1}', '{}']"#, "null"),
        (r#"array['{"a": 1}', null]"#, "null"),
        (r#"array['{"a": 1}', '{"a": 2}']"#, "array[null, null, null]"),
    ] {
        let sql = format!(
            "select * from raw.ingest_tracking_beacon(sha256('open'), null, null, null, {events}::jsonb[], {keys}::uuid[],
             'receipt', now(), null, null, null)"
        );
        assert_eq!(
            refusal(client.batch_execute(&sql).await).0,
            "TR002",
            "{events} {keys}"
        );
        assert_eq!(stored(&client).await, 0);
    }
}

#[tokio::test]
async fn what_is_neither_stored_nor_there_is_an_error_and_what_is_there_names_a_receipt() {
    const SKIPS: &str = "create function public.skip() returns trigger language plpgsql as
          $$ begin return case when new.raw_payload ? 'bot' then null else new end; end $$;
        create trigger skip before insert on raw.site_tracking_events_r for each row execute function public.skip()";
    const DIRECT: &str = "select raw.ingest_tracking_event('t', null, null, null, '{\"a\": 1}',
        '00000000-0000-7000-8000-000000000001')::text";
    let beacon_of = |events: &str, keys: &str| {
        format!(
            "select string_agg(concat_ws(' ', b.verdict, b.raw_event_id is not null, coalesce(b.first_batch_id, '-')), ', '
               order by b.event_index)
             from raw.ingest_tracking_beacon(sha256('open'), null, null, null, array[{events}]::jsonb[],
               array[{keys}]::uuid[], 'receipt', now(), null, null, null) b"
        )
    };
    let keys: Vec<_> = (1..4)
        .map(|n| format!("'00000000-0000-7000-8000-00000000000{n}'"))
        .collect();
    let [one, two, three] = &keys[..] else {
        unreachable!()
    };
    let (fine, bot) = ("'{\"a\": 1}'", "'{\"bot\": 1}'");
    let direct =
        |key: &str| format!("select raw.ingest_tracking_event('t', null, null, null, {bot}, {key})::text");
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        client.batch_execute(KEYS).await.unwrap();
        client.batch_execute(SKIPS).await.unwrap();
        client.batch_execute(DIRECT).await.unwrap();
        for sql in [
            beacon_of(bot, ""),
            beacon_of(bot, "null"),
            beacon_of(bot, two),
            beacon_of(&format!("{fine}, {bot}"), &format!("{two}, {three}")),
            beacon_of(&format!("{fine}, {bot}"), ""),
            direct("null"),
            direct(two),
        ] {
            assert_eq!(
                refusal(client.batch_execute(&sql).await).0,
                "TR003",
                "{version:?}: {sql}"
            );
            assert_eq!(stored(&client).await, 1, "{version:?}: {sql}");
        }
        for (sql, said) in [
            (beacon_of(bot, one), Some("ok f ")),
            (
                beacon_of(&format!("{fine}, {bot}"), &format!("{two}, {two}")),
                Some("ok t -, ok f receipt"),
            ),
            (beacon_of(bot, two), Some("ok f receipt")),
            (direct(one), None),
        ] {
            let told: Option<String> = client.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(told.as_deref(), said, "{version:?}: {sql}");
        }
    }
}

#[tokio::test]
async fn concurrent_retries_in_any_order_neither_deadlock_nor_store_twice() {
    const ROUNDS: u32 = 25;
    const EVENTS: u32 = 40;
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let superuser = database.superuser().await;
        superuser.batch_execute(KEYS).await.unwrap();
        let mut retries = Vec::new();
        for session in 0..4 {
            let client = database.superuser().await;
            retries.push(tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let mut events: Vec<u32> = (1..=EVENTS).map(|n| round * EVENTS + n).collect();
                    if session % 2 == 1 {
                        events.reverse();
                    }
                    let rows = beacon(&client, "open", None, &events, &format!("r{session}"), NOW).await;
                    assert_eq!(rows.len(), EVENTS as usize);
                    let known = rows
                        .iter()
                        .all(|(_, _, stored, first)| *stored != first.is_some());
                    assert!(known, "each event is stored or names its first receipt: {rows:?}");
                }
            }));
        }
        for retry in retries {
            retry.await.unwrap();
        }
        assert_eq!(
            stored(&superuser).await,
            i64::from(ROUNDS * EVENTS),
            "{version:?}"
        );
    }
}
