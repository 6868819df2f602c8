//! Reads what ledger and catalog say of the raw layer. It changes nothing.
//!
//! In: a connection, inside the transaction that holds the lock where something is to be changed. Out: [`Found`], for
//! the plan, and what `status` tells an operator. Counts and names come from `pg_catalog`: `information_schema` shows
//! a role only what it may see.

use serde_json::{json, Map, Value};
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::backlog;
use super::catalogue::Migration;
use super::failure::Failure;
use super::plan::{Found, Owner};
use super::rights;
use super::shape;

/// PostgreSQL that V001 needs, as `server_version_num` has it.
const OLDEST_SERVER: i32 = 120_000;

/// Verify found differences.
const DIFFERENCES: &str = "TR011";

/// Whether the ledger is there and ours: a table of that name that somebody else made is left alone.
const LEDGER_IS_OURS: &str = "
select count(*) = 8
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'migrations' and not a.attisdropped and (
  c.relname = 'migration_log' and a.attname in ('migration_id', 'adopted_objects', 'stack_id', 'notes')
  or c.relname = 'rollback_log' and a.attname in ('rollback_id', 'dropped_objects', 'stack_id', 'notes'))";

const UNVALIDATED: &str = "
select exists (select from pg_catalog.pg_constraint k
  join pg_catalog.pg_class c on c.oid = k.conrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'
    and k.conname = 'site_tracking_events_r_tenant_exists' and not k.convalidated)";

/// Applied rows since the layer was last rolled back as a whole; each with whether its owner has left since.
const APPLIED: &str = "
select m.stack_id, m.logical_resource_id, m.checksum, exists (
    select from migrations.rollback_log r
    where r.version = m.version and r.status in ('LEFT', 'RETAINED', 'ROLLED_BACK')
      and r.stack_id = m.stack_id and r.logical_resource_id = m.logical_resource_id
      and r.rolled_back_at > m.applied_at) as has_left
from migrations.migration_log m
where m.version = $1 and m.status in ('APPLIED', 'SHARED')
  and m.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
    where r.version = $1 and r.status = 'ROLLED_BACK'), '-infinity')
order by m.migration_id";

/// What V001 makes in schema raw.
const OBJECTS: &str = "
select coalesce(pg_catalog.array_agg(object order by object), '{}') from (
  select 'table raw.' || c.relname as object
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
  union
  select 'view raw.' || c.relname
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relkind = 'v'
    and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
  union
  select 'function raw.' || p.proname
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
    'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
) as ours";

/// The server's version, if it is one that V001 runs on.
///
/// # Errors
/// It is too old.
pub async fn server_version(client: &Client) -> Result<i32, Failure> {
    let row = client
        .query_typed("select current_setting('server_version_num')::integer", &[])
        .await?;
    let version = row.first().map_or(0, |row| row.get(0));
    is_new_enough(version).map(|()| version)
}

fn is_new_enough(version: i32) -> Result<(), Failure> {
    if version >= OLDEST_SERVER {
        return Ok(());
    }
    Err(Failure::refused(
        format!(
            "PostgreSQL 12 or newer is needed, this server is {}.{}",
            version / 10_000,
            version % 10_000
        ),
        "upgrade the server, or choose another database",
    ))
}

/// Whether the foreign key is there and was made without a look at the rows.
///
/// # Errors
/// The database's.
pub async fn is_unvalidated(client: &Client) -> Result<bool, Failure> {
    let rows = client.query_typed(UNVALIDATED, &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether there is a ledger of ours.
///
/// # Errors
/// The database's.
pub async fn is_kept(client: &Client) -> Result<bool, Failure> {
    let rows = client.query_typed(LEDGER_IS_OURS, &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Names of our objects that are there.
///
/// # Errors
/// The database's.
pub async fn objects(client: &Client) -> Result<Vec<String>, Failure> {
    let rows = client.query_typed(OBJECTS, &[]).await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// All that the plan needs to know. To be called inside a transaction: verify runs behind a savepoint.
///
/// # Errors
/// The database's.
pub async fn found(client: &Client, migration: &Migration) -> Result<Found, Failure> {
    rights::to_look(client).await?;
    let mut found = Found {
        objects: objects(client).await?,
        ..Found::default()
    };
    if is_kept(client).await? {
        read_applied(client, migration, &mut found).await?;
    }
    if !found.objects.is_empty() {
        let shape = shape::read(client).await?;
        found.verdict = match found.checksum {
            None => shape.verdict_at_first(),
            Some(_) => shape.verdict(),
        };
        found.differences = differences(client, migration).await?;
        found.is_unvalidated = is_unvalidated(client).await?;
    }
    Ok(found)
}

async fn read_applied(client: &Client, migration: &Migration, found: &mut Found) -> Result<(), Failure> {
    let rows = client
        .query_typed(APPLIED, &[(&migration.version, Type::TEXT)])
        .await?;
    for (index, row) in rows.iter().enumerate() {
        let (stack, logical): (Option<String>, Option<String>) = (row.get(0), row.get(1));
        found.made_by_hand |= index == 0 && stack.is_none();
        found.checksum = row.get::<_, Option<String>>(2).or(found.checksum.take());
        let (Some(stack_id), Some(logical_resource_id), false) = (stack, logical, row.get(3)) else {
            continue;
        };
        let owner = Owner {
            stack_id,
            logical_resource_id,
        };
        if !found.owners.contains(&owner) {
            found.owners.push(owner);
        }
    }
    Ok(())
}

/// What verify has to say; `None`: nothing.
///
/// # Errors
/// The database's, other than verify's own.
pub async fn differences(client: &Client, migration: &Migration) -> Result<Option<String>, Failure> {
    client.batch_execute("savepoint before_verify").await?;
    let verdict = verify(client, migration).await;
    let after = "rollback to savepoint before_verify; release savepoint before_verify";
    match verdict {
        Ok(()) => {
            client.batch_execute(after).await?;
            Ok(None)
        }
        Err(failure) if failure.sqlstate.as_deref() == Some(DIFFERENCES) => {
            client.batch_execute(after).await?;
            Ok(Some(failure.message))
        }
        Err(failure) => Err(failure),
    }
}

/// Runs the verify file.
///
/// # Errors
/// What it raises.
pub async fn verify(client: &Client, migration: &Migration) -> Result<(), Failure> {
    for step in migration.verify() {
        let sent = client.batch_execute(step.sql).await;
        sent.map_err(|error| Failure::from(error).in_step(step.name))?;
    }
    Ok(())
}

/// What `status` tells: the layer, its owners, its rows and those that wait, its ids, its last attempts.
///
/// # Errors
/// The database's.
pub async fn status(client: &Client, migration: &Migration) -> Result<Map<String, Value>, Failure> {
    let found = found(client, migration).await?;
    let mut status = Map::new();
    let mut put = |name: &str, value| status.insert(name.to_owned(), value);
    put("version", json!(migration.version));
    put("installed", json!(!found.objects.is_empty()));
    put("objects", json!(found.objects));
    put("drift", json!(found.differences.is_some()));
    put("differences", json!(found.differences));
    put("owners", json!(found.owners));
    put("made_by_hand", json!(found.made_by_hand));
    put("checksum", json!(found.checksum));
    put("checksum_of_this_function", json!(migration.checksum()));
    put("events", events(client, &found).await?);
    put("last_attempts", last_attempts(client).await?);
    if has_events(&found) {
        status.extend(backlog::figures(client, &backlog::FIGURES, None).await?);
    }
    Ok(status)
}

fn has_events(found: &Found) -> bool {
    found
        .objects
        .iter()
        .any(|o| o == "table raw.site_tracking_events_r")
}

/// Exact counts cost a scan of a big table: `status` gives the planner's estimate and whether there is any row.
async fn events(client: &Client, found: &Found) -> Result<Value, Failure> {
    if !has_events(found) {
        return Ok(Value::Null);
    }
    let rows = client
        .query_typed(
            "select greatest(0, c.reltuples)::bigint, exists (select from raw.site_tracking_events_r)
             from pg_catalog.pg_class c where c.oid = 'raw.site_tracking_events_r'::pg_catalog.regclass",
            &[],
        )
        .await?;
    Ok(rows.first().map_or(
        Value::Null,
        |row| json!({"any": row.get::<_, bool>(1), "estimate": row.get::<_, i64>(0)}),
    ))
}

async fn last_attempts(client: &Client) -> Result<Value, Failure> {
    if !is_kept(client).await? {
        return Ok(Value::Null);
    }
    let rows = client
        .query_typed(
            "select coalesce(pg_catalog.jsonb_agg(attempt order by at desc), '[]') from (
               (select applied_at as at, pg_catalog.jsonb_build_object('id', migration_id, 'kind', 'migration',
                  'status', status, 'at', applied_at, 'by', applied_by, 'stack_id', stack_id,
                  'logical_resource_id', logical_resource_id, 'notes', notes) as attempt
                from migrations.migration_log order by migration_id desc limit 5)
               union all
               (select rolled_back_at, pg_catalog.jsonb_build_object('id', rollback_id, 'kind', 'rollback',
                  'status', status, 'at', rolled_back_at, 'by', rolled_back_by, 'stack_id', stack_id,
                  'logical_resource_id', logical_resource_id, 'notes', notes)
                from migrations.rollback_log order by rollback_id desc limit 5)
             ) as attempts",
            &[],
        )
        .await?;
    Ok(rows.first().map_or(Value::Null, |row| row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_older_than_12_is_refused_by_its_version() {
        for (version, fine) in [
            (90_624, false),
            (110_022, false),
            (119_999, false),
            (120_000, true),
            (180_004, true),
        ] {
            assert_eq!(is_new_enough(version).is_ok(), fine, "{version}");
        }
        let failure = is_new_enough(110_022).unwrap_err();
        assert!(
            failure.to_string().contains("this server is 11.22: upgrade"),
            "{failure}"
        );
    }
}
