//! Which tables of others were locked, how strongly and for how long: the report says it.

use super::Attempt;
use crate::migrate::failure::Failure;
use crate::migrate::notes::Weight;
use crate::migrate::report::Locked;

/// Locks that keep writers out. Those on our own tables, and on the system's, are left out.
const LOCKS: &str = "
select pg_catalog.format('%I.%I', n.nspname, c.relname),
  pg_catalog.upper(pg_catalog.btrim(pg_catalog.regexp_replace(
    pg_catalog.replace(l.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g')))
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation and c.relkind in ('r', 'p')
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and n.nspname !~ '^pg_'
  and n.nspname not in ('raw', 'migrations', 'information_schema')
  and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
order by 1, 2";

impl Attempt<'_> {
    /// Table and mode of each lock that is held now.
    pub(super) async fn locks_of_others(&self) -> Result<Vec<(String, String)>, Failure> {
        if self.locking.is_none() {
            return Ok(Vec::new());
        }
        let rows = self.client.query_typed(LOCKS, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// To be called when they are gone.
    pub(super) fn tell_locks(&mut self, held: Vec<(String, String)>) {
        let ms = self.locking_ms();
        for (table, mode) in held {
            let note = format!("{table} was locked in {mode} mode for at most {ms} ms");
            self.report.notes.push(Weight::Aside, note);
            self.report.locked.push(Locked { table, mode, ms });
        }
    }
}
