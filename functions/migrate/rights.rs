//! What the migrator's login must be allowed before ledger and catalog can be read: the files name every other right
//! that is missing, but they are not asked until the plan is made.
//!
//! In: a connection. Out: nothing, or a failure whose remedy is the statements that give what is missing.

use tokio_postgres::Client;

use super::failure::Failure;

/// A right is missing; the remedy is the GRANT.
const MISSING: &str = "TR013";

/// A table of that name that has not our columns is nobody's that we would read.
const REMEDIES: &str = "
select current_user::text, pg_catalog.string_agg(remedy, '; ' order by remedy)
from (
  select pg_catalog.format('grant usage on schema %I to %I', n.nspname, current_user) as remedy
  from pg_catalog.pg_namespace n
  where not pg_catalog.has_schema_privilege(n.oid, 'USAGE') and (n.nspname = 'raw' and exists (
      select from pg_catalog.pg_class c where c.relnamespace = n.oid
        and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r'))
    or n.nspname = 'migrations' and exists (
      select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'migration_log'))
  union
  select pg_catalog.format('grant select, insert, update on migrations.%I to %I', c.relname, current_user)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')
    and exists (select from pg_catalog.pg_attribute a
      where a.attrelid = c.oid and a.attname = 'stack_id' and not a.attisdropped)
    and not (pg_catalog.has_table_privilege(c.oid, 'SELECT') and pg_catalog.has_table_privilege(c.oid, 'INSERT')
      and pg_catalog.has_table_privilege(c.oid, 'UPDATE'))
) as remedies";

/// Whether all that is needed to look is allowed.
///
/// # Errors
/// It is not; or the database's.
pub async fn to_look(client: &Client) -> Result<(), Failure> {
    let rows = client.query_typed(REMEDIES, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    match row.get::<_, Option<String>>(1) {
        None => Ok(()),
        Some(remedies) => Err(Failure {
            sqlstate: Some(MISSING.to_owned()),
            ..Failure::refused(
                format!(
                    "role {} may not read the site tracking raw layer and its ledger",
                    row.get::<_, String>(0)
                ),
                remedies,
            )
        }),
    }
}
