//! What a dry run saw: which relations it locked and for how long, and what it would have changed in the catalog.
//!
//! In: the connection of a run that will give everything back, looked at before its first step, after each, and at its
//! end. Out: a [`Preview`]. It writes nothing: the one thing that a rollback does not give back, the ledger's next
//! numbers, is put aside by [`Watch::begin`].

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::failure::Failure;
use super::ledger;

/// What the real run would have done, beside its report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Always false: nothing of it is there.
    pub committed: bool,
    /// Locks on what was there before; what the run itself makes is nobody else's.
    pub locks: Vec<Lock>,
    /// Objects that would come.
    pub appears: Vec<String>,
    /// Objects that would go.
    pub vanishes: Vec<String>,
    /// Objects that would be there with another definition, owner or rights.
    pub changes: Vec<String>,
}

/// A lock, held from its step to the end of the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// The table, index or sequence.
    pub relation: String,
    /// PostgreSQL's name of its strength.
    pub mode: String,
    /// The step that took it.
    pub step: &'static str,
    /// From the beginning of that step to where the commit would be, in milliseconds.
    pub held_ms: u64,
}

/// Sees what a run does.
pub struct Watch {
    objects: BTreeMap<String, String>,
    relations: BTreeMap<u32, String>,
    seen: Vec<Seen>,
}

struct Seen {
    oid: u32,
    mode: String,
    step: &'static str,
    since: Instant,
}

const RELATIONS: &str = "
select c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";

/// Reading locks nobody out: `AccessShareLock` is left out.
const LOCKS: &str = "
select l.relation, l.mode from pg_catalog.pg_locks l
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
order by l.relation, l.mode";

/// Names, and what makes each the same: definition, owner, rights. The ledger is exempt.
const OBJECTS: &str = "
with ns as (select * from pg_catalog.pg_namespace
  where nspname !~ '^pg_' and nspname not in ('information_schema', 'migrations')),
rel as (select c.*, ns.nspname from pg_catalog.pg_class c join ns on ns.oid = c.relnamespace)
select 'schema ' || nspname, pg_catalog.concat_ws(' ', nspowner,
  coalesce(nspacl, pg_catalog.acldefault('n', nspowner))) from ns
union all
select pg_catalog.format('%s %I.%I', case relkind when 'r' then 'table' when 'i' then 'index' when 'S' then 'sequence'
    when 'v' then 'view' else 'relation' end, nspname, relname),
  pg_catalog.concat_ws(' ', relowner, relacl, reloptions, case when relkind = 'i' then pg_catalog.pg_get_indexdef(oid) end)
from rel
union all
select pg_catalog.format('column %I.%I.%I', nspname, relname, attname), pg_catalog.concat_ws(' ',
  pg_catalog.format_type(atttypid, atttypmod), attnotnull, attacl, pg_catalog.pg_get_expr(adbin, adrelid))
from rel join pg_catalog.pg_attribute a on a.attrelid = rel.oid and attnum > 0 and not attisdropped
left join pg_catalog.pg_attrdef on adrelid = rel.oid and adnum = attnum
where relkind in ('r', 'p', 'v', 'm', 'f')
union all
select pg_catalog.format('constraint %I on %s', conname, conrelid::pg_catalog.regclass),
  pg_catalog.concat_ws(' ', pg_catalog.pg_get_constraintdef(k.oid), convalidated)
from pg_catalog.pg_constraint k join ns on ns.oid = connamespace where conrelid <> 0
union all
select pg_catalog.format('function %I.%I(%s)', nspname, proname, pg_catalog.oidvectortypes(proargtypes)),
  pg_catalog.concat_ws(' ', proowner, proacl, prorettype, proconfig, prosecdef, pg_catalog.md5(prosrc))
from pg_catalog.pg_proc p join ns on ns.oid = pronamespace
union all
select 'role ' || rolname, pg_catalog.concat_ws(' ', rolcanlogin, rolconnlimit, array(
  select m.roleid::pg_catalog.regrole::text from pg_catalog.pg_auth_members m where m.member = r.oid order by 1))
from pg_catalog.pg_roles r where rolname !~ '^pg_'";

/// `restart` is undone by a rollback, drawing a number is not: behind a restart every number drawn is given back.
const PUT_NUMBERS_ASIDE: &str = "
do $$
declare
  v_next bigint;
begin
  select coalesce(max(migration_id), 0) + 1 into v_next from migrations.migration_log;
  execute pg_catalog.format('alter table migrations.migration_log alter migration_id restart with %s', v_next);
  select coalesce(max(rollback_id), 0) + 1 into v_next from migrations.rollback_log;
  execute pg_catalog.format('alter table migrations.rollback_log alter rollback_id restart with %s', v_next);
end
$$";

impl Watch {
    /// To be called inside the transaction, before anything is changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(client: &Client) -> Result<Self, Failure> {
        let relations = client.query_typed(RELATIONS, &[]).await?;
        let watch = Self {
            objects: objects(client).await?,
            relations: relations.iter().map(|row| (row.get(0), row.get(1))).collect(),
            seen: Vec::new(),
        };
        if ledger::is_kept(client).await? {
            client.batch_execute("savepoint numbers").await?;
            // Who does not own the ledger draws a number of it, as a run that fails does.
            if client.batch_execute(PUT_NUMBERS_ASIDE).await.is_err() {
                client.batch_execute("rollback to savepoint numbers").await?;
            }
            client.batch_execute("release savepoint numbers").await?;
        }
        Ok(watch)
    }

    /// To be called after each step: a lock that is new was taken by it.
    ///
    /// # Errors
    /// The database's.
    pub async fn look(&mut self, client: &Client, step: &'static str, since: Instant) -> Result<(), Failure> {
        for row in client.query_typed(LOCKS, &[]).await? {
            let (oid, mode): (u32, String) = (row.get(0), row.get(1));
            let is_known = self.seen.iter().any(|seen| seen.oid == oid && seen.mode == mode);
            if self.relations.contains_key(&oid) && !is_known {
                self.seen.push(Seen {
                    oid,
                    mode,
                    step,
                    since,
                });
            }
        }
        Ok(())
    }

    /// To be called where the commit would be.
    ///
    /// # Errors
    /// The database's.
    pub async fn end(self, client: &Client) -> Result<Preview, Failure> {
        let after = objects(client).await?;
        let lock = |seen: Seen| Lock {
            relation: self.relations.get(&seen.oid).cloned().unwrap_or_default(),
            mode: seen.mode,
            step: seen.step,
            held_ms: u64::try_from(seen.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let locks = self.seen.into_iter().map(lock);
        Ok(Preview {
            // The ledger's own locks are those of a row that is written, and of the numbers put aside.
            locks: locks
                .filter(|lock| !lock.relation.starts_with("migrations."))
                .collect(),
            ..difference(&self.objects, &after)
        })
    }
}

async fn objects(client: &Client) -> Result<BTreeMap<String, String>, Failure> {
    let rows = client.query_typed(OBJECTS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Preview {
    let only = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        let names = one.keys().filter(|name| !other.contains_key(*name));
        names.cloned().collect()
    };
    let changed =
        |(name, definition): &(&String, &String)| after.get(*name).is_some_and(|now| now != *definition);
    Preview {
        appears: only(after, before),
        vanishes: only(before, after),
        changes: before
            .iter()
            .filter(changed)
            .map(|(name, _)| name.clone())
            .collect(),
        ..Preview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_goes_and_changes_is_told_apart() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, is)| ((*name).to_owned(), (*is).to_owned()))
                .collect()
        };
        let before = of(&[("goes", "a"), ("stays", "b"), ("changes", "c")]);
        let after = of(&[("stays", "b"), ("changes", "d"), ("comes", "e")]);
        let found = difference(&before, &after);
        assert_eq!(
            (found.appears, found.vanishes, found.changes),
            (
                vec!["comes".to_owned()],
                vec!["goes".to_owned()],
                vec!["changes".to_owned()]
            )
        );
        assert_eq!(difference(&before, &before), Preview::default());
    }
}
