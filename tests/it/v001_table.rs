//! What analysts and an existing ETL rely on: the table's names and rules, and the five-argument call.

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::refusal;

#[tokio::test]
async fn three_columns_are_enough_and_the_rest_has_its_default() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        let insert = r#"insert into raw.site_tracking_events_r (tenant_hk, raw_payload, record_source)
            values ('\x0102030405060708', '{"a": 1}', 'etl') returning raw_event_id::integer"#;
        assert_eq!(client.query_one(insert, &[]).await.unwrap().get::<_, i32>(0), 1);
        let row =
            "select processing_status = 'PENDING' and retry_count = 0 and received_timestamp is not null
            and num_nulls(api_key_hk, client_ip, user_agent, batch_id, error_message, event_key, request) = 7
            from raw.site_tracking_events_r";
        assert!(
            client.query_one(row, &[]).await.unwrap().get::<_, bool>(0),
            "{version:?}"
        );
        let source = "insert into raw.site_tracking_events_r (tenant_hk, raw_payload) values ('', '[]') returning record_source";
        assert_eq!(
            client.query_one(source, &[]).await.unwrap().get::<_, &str>(0),
            "site_tracker"
        );
    }
}

#[tokio::test]
async fn the_five_argument_call_stores_and_gives_the_id() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        let call = r#"select raw.ingest_tracking_event('\x01', '\x02', '203.0.113.7', 'agent', '{"event": "view"}')"#;
        let id: i64 = client.query_one(call, &[]).await.unwrap().get(0);
        let row =
            "select encode(tenant_hk, 'hex') || encode(api_key_hk, 'hex') || host(client_ip) || user_agent
            || (raw_payload ->> 'event') || processing_status || record_source
            from raw.site_tracking_events_r where raw_event_id = $1";
        let row: String = client.query_one(row, &[&id]).await.unwrap().get(0);
        assert_eq!(row, "0102203.0.113.7agentviewPENDINGsite_tracker", "{version:?}");
    }
}

#[tokio::test]
async fn a_known_event_key_gives_no_second_row_and_no_id() {
    let database = Database::with_v001(Cluster::shared(Version::Default)).await;
    let client = database.superuser().await;
    let call = |tenant: &str| {
        format!(
            r#"select raw.ingest_tracking_event('{tenant}', null, null, null, '{{"a": 1}}',
               p_event_key => '018f0000-0000-7000-8000-000000000001')"#
        )
    };
    for (tenant, stored) in [("one", true), ("one", false), ("two", true), ("two", false)] {
        let id: Option<i64> = client.query_one(&call(tenant), &[]).await.unwrap().get(0);
        assert_eq!(id.is_some(), stored, "tenant {tenant}");
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_the_rules_name() {
    const EVENT: &str = "select raw.ingest_tracking_event";
    const INSERT: &str = "insert into raw.site_tracking_events_r";
    let cases = [
        (format!("{EVENT}(null, null, null, null, '{{\"a\": 1}}')"), "TR001", "p_tenant_hk is null"),
        (format!("{EVENT}('x', null, null, null, null)"), "TR002", "p_event_data is null"),
        (format!("{EVENT}('x', null, null, null, '{{}}')"), "TR002", "p_event_data is {}"),
        (format!("{EVENT}('x', null, null, null, '[1]', p_processing_status => 'DONE')"), "23514", "known_status"),
        (format!("{INSERT} (tenant_hk, raw_payload, processing_status) values ('x', '[]', 'pending')"), "23514", "known_status"),
        (format!("{INSERT} (tenant_hk, raw_payload, retry_count) values ('x', '[]', -1)"), "23514", "retry_count_not_negative"),
        (format!("{INSERT} (raw_payload) values ('[]')"), "23502", "tenant_hk"),
        (format!("{INSERT} (tenant_hk) values ('x')"), "23502", "raw_payload"),
        (format!("{INSERT} (tenant_hk, raw_payload, batch_id) values ('x', '[]', repeat('x', 101))"), "22001", "varying(100)"),
        (
            format!("{INSERT} (tenant_hk, raw_payload, event_key) select 'x', '[]', md5('x')::uuid from generate_series(1, 2)"),
            "23505",
            "event_once",
        ),
        (
            "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values ('stk_0123456789abcdefghijklmnop', 'x')".to_owned(),
            "23514",
            "is_a_sha256",
        ),
    ];
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        for (sql, code, says) in &cases {
            let (found, message, _) = refusal(client.batch_execute(sql).await);
            assert_eq!(&found, code, "{version:?} {sql}: {message}");
            assert!(message.contains(says), "{version:?} {sql}: {message}");
        }
    }
}

#[tokio::test]
async fn quarantined_bytes_come_back_exactly_before_and_after_the_event_is_requeued() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = database.superuser().await;
        let bytes: Vec<u8> = (0..=255).collect();
        let quarantine = r#"insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status, error_message, request)
            select 'x', jsonb_build_object('_quarantine', jsonb_build_object('v', 1, 'encoding', 'base64', 'bytes',
              encode($1, 'base64'), 'tag', 'undecodable', 'offset', 0)), 'ERROR', 'undecodable', '{"method": "POST"}'
            returning raw_event_id"#;
        let id: i64 = client.query_one(quarantine, &[&bytes]).await.unwrap().get(0);
        let read = "select raw.quarantined_bytes($1)";
        let requeue = "select raw.requeue_quarantined($1, $2::text::jsonb)";
        assert_eq!(
            client.query_one(read, &[&id]).await.unwrap().get::<_, Vec<u8>>(0),
            bytes
        );
        for refused in [None, Some("{}"), Some(r#"{"_quarantine": {}}"#)] {
            let (code, ..) = refusal(client.query_one(requeue, &[&id, &refused]).await);
            assert_eq!(code, "TR002", "{refused:?}");
        }
        for (again, expected) in [("first", Some(id)), ("second", None)] {
            let row = client.query_one(requeue, &[&id, &r#"{"a": 1}"#]).await.unwrap();
            assert_eq!(row.get::<_, Option<i64>>(0), expected, "{again}");
        }
        assert_eq!(
            client.query_one(read, &[&id]).await.unwrap().get::<_, Vec<u8>>(0),
            bytes,
            "{version:?}: requeued"
        );
        let row = r#"select raw_payload = '{"a": 1}' and processing_status = 'PENDING' and error_message is null
            and request ->> 'method' = 'POST' from raw.site_tracking_events_r"#;
        assert!(
            client.query_one(row, &[]).await.unwrap().get::<_, bool>(0),
            "{version:?}"
        );
        for (document, status) in [
            (r#"{"_quarantine": "!!"}"#, "PENDING"),
            (r#"{"_quarantine": {"bytes": "!!"}}"#, "ERROR"),
            (
                r#"{"_quarantine": {"encoding": "base64", "bytes": "!!"}}"#,
                "ERROR",
            ),
            (
                r#"{"_quarantine": {"encoding": "base64", "bytes": "aGk="}}"#,
                "PENDING",
            ),
        ] {
            let sent = "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status)
                values ('x', $1::text::jsonb, $2) returning raw_event_id";
            let id: i64 = client
                .query_one(sent, &[&document, &status])
                .await
                .unwrap()
                .get(0);
            let bytes: Option<Vec<u8>> = client.query_one(read, &[&id]).await.unwrap().get(0);
            assert_eq!(bytes, None, "{version:?}: a sender's own {document}");
        }
        let own_error = "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status)
            values ('x', '[]', 'ERROR') returning raw_event_id";
        let id: i64 = client.query_one(own_error, &[]).await.unwrap().get(0);
        for sql in [
            "select raw.quarantined_bytes($1) is null",
            "select raw.requeue_quarantined($1, '[1]') is null",
        ] {
            assert!(
                client.query_one(sql, &[&id]).await.unwrap().get::<_, bool>(0),
                "a consumer's own ERROR row: {sql}"
            );
        }
    }
}
