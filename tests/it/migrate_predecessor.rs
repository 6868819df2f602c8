//! What the tests of adoption share: predecessors, what a database looks like, what an answer says.

use serde_json::Value;
use tokio_postgres::Client;

use crate::migrate_stack::Stack;
use crate::support::postgres::Cluster;
use crate::support::tools;

pub const COMPATIBLE: &str = "compatible";
pub const SURPLUS: &str = "surplus_and_dependents";

/// A stack whose database has this predecessor in it.
pub async fn predecessor<'c>(cluster: &'c Cluster, fixture: &str) -> Stack<'c> {
    let stack = Stack::new(cluster).await;
    let path = tools::project().join(format!("tests/events/predecessors/{fixture}.sql"));
    let sql = std::fs::read_to_string(path)
        .unwrap()
        .replace("{db}", &stack.database.name);
    stack.client().await.batch_execute(&sql).await.unwrap();
    stack
}

/// Everything but the ledger as it means: no OIDs, no numbers of columns, defaults of privileges spelled out.
pub async fn state(client: &Client) -> Vec<String> {
    const STATE: &str = "select line from (
        select format('schema %s %s %s', nspname, nspowner::regrole, (select array_agg(a::text order by a::text)
          from aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a)) as line, nspname as schema from pg_namespace
        union all
        select format('relation %s %s %s %s %s %s %s', c.oid::regclass, c.relkind, c.relowner::regrole, c.reloptions,
          obj_description(c.oid, 'pg_class'), c.relpersistence, (select array_agg(a::text order by a::text)
          from aclexplode(coalesce(relacl, acldefault('r', relowner))) a)), n.nspname
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        union all
        select format('column %s.%s %s %s %s %s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
          a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), a.attacl), n.nspname
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v')
        union all
        select format('index %s %s', pg_get_indexdef(i.indexrelid), i.indisvalid), n.nspname
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
        union all
        select format('constraint %s %s', k.conname, pg_get_constraintdef(k.oid)), n.nspname
        from pg_constraint k join pg_namespace n on n.oid = k.connamespace
        union all
        select format('function %s %s %s %s', pg_get_functiondef(p.oid), p.proowner::regrole,
          obj_description(p.oid, 'pg_proc'), (select array_agg(a::text order by a::text)
          from aclexplode(coalesce(proacl, acldefault('f', proowner))) a)), n.nspname
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('raw', 'public', 'auth')
      ) as lines where schema !~ '^pg_' and schema not in ('migrations', 'information_schema') order by line";
    let rows = client.query(STATE, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// How many rows there are, and a sum of hashes of what was in them before anybody added a column.
pub async fn rows(client: &Client) -> String {
    const ROWS: &str = "select count(*) || ' ' || sum(hashtext(concat_ws(' ', raw_event_id, tenant_hk,
        received_timestamp, raw_payload))::numeric) from raw.site_tracking_events_r";
    client.query_one(ROWS, &[]).await.unwrap().get(0)
}

#[track_caller]
pub fn assert_succeeded(answer: &Value) {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
}

#[track_caller]
pub fn assert_failed(answer: &Value, says: &str) {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    told(answer, says);
}

#[track_caller]
pub fn told(answer: &Value, says: &str) {
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(says), "{says:?} is not in {reason:?}");
}
