//! The ground that the lines stand on: settings that they read, a tenant, a scratch copy; and its removal.
//!
//! In: a connection inside a transaction. Out: [`Ground`], what could be made and why the rest could not. It refuses
//! nothing: what cannot be tried is left to a person.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::Client;

use super::filled::{Answer, Verdict};
use super::inspect::{Extent, Known};
use super::performance;
use super::rules;
use crate::migrate::catalogue::V001;
use crate::migrate::failure::Failure;
use crate::migrate::ledger;

/// The tenant in the text of the trials: the 8 bytes of "checklis".
const TENANT: &str = "\\x636865636b6c6973";

/// One line: a server that needs longer for it has another trouble. Nobody waits behind a lock of ours for long.
const LINE_LIMIT: Duration = Duration::from_secs(3);

/// What there is to stand on.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// The ledger is there and ours.
    pub has_ledger: bool,
    /// Both tables are there.
    pub has_layer: bool,
    /// Why nothing may be tried.
    pub why_not: Option<String>,
    /// What became of the copy, if none was made.
    pub copy_failed: Option<Answer>,
    /// The last id that was drawn before.
    pub ids_before: String,
    tenant: Tenant,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Tenant {
    /// None is wanted, or ours was made.
    #[default]
    Ours,
    /// One that is there, as a literal.
    Another(String),
    /// There is none.
    None,
}

impl Ground {
    /// The trial with a tenant that exists; `None`: it needs one and there is none.
    pub fn with_a_tenant(&self, sql: &str) -> Option<String> {
        match &self.tenant {
            Tenant::Ours => Some(sql.to_owned()),
            Tenant::Another(tenant) => Some(sql.replace(TENANT, tenant)),
            Tenant::None => (!sql.contains(TENANT)).then(|| sql.to_owned()),
        }
    }
}

/// The environment that the ledger has kept since the first apply.
///
/// # Errors
/// The database's.
pub async fn environment_kept(client: &Client) -> Result<Option<String>, Failure> {
    if !ledger::is_kept(client).await? {
        return Ok(None);
    }
    let rows = client
        .query_typed(
            "select m.environment from migrations.migration_log m
             where m.version = 'V001' and m.status in ('APPLIED', 'SHARED') and m.environment is not null
               and m.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
                 where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
             order by m.migration_id limit 1",
            &[],
        )
        .await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Opens the savepoint behind which everything happens, and tells the lines what they read.
pub(super) async fn begin(client: &Client, known: Known<'_>) -> Result<(), Failure> {
    let says = known.says;
    let kept = environment_kept(client).await?;
    let limit = known
        .line_limit
        .unwrap_or(LINE_LIMIT)
        .min(LINE_LIMIT)
        .as_millis()
        .max(1);
    // What others check at the commit would not be seen: what is tried is undone.
    let open = format!(
        "savepoint checklist; set local statement_timeout = '{limit}ms'; set local lock_timeout = '250ms';
         set local search_path = pg_catalog, pg_temp; set constraints all immediate"
    );
    client.batch_execute(&open).await?;
    let environment = rules::environment(says, kept.as_deref()).unwrap_or_default();
    tell(
        client,
        &[
            ("checklist.environment", environment),
            ("checklist.environment_named", said(&says.environment)),
            ("checklist.environment_kept", said(&kept)),
            ("checklist.on_delete", said(&says.on_delete)),
            ("checklist.backup_reference", said(&says.backup_reference)),
            ("checklist.named_checksum", said(&says.checksum)),
            ("checklist.checksum", &V001.checksum()),
            ("checklist.host", known.host),
            ("checklist.before", known.before.unwrap_or_default()),
        ],
    )
    .await
}

fn said(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Settings, gone with the savepoint.
pub(super) async fn tell(client: &Client, settings: &[(&str, &str)]) -> Result<(), Failure> {
    let calls = (0..settings.len()).map(|at| format!("set_config(${}, ${}, true)", 2 * at + 1, 2 * at + 2));
    let sql = format!("select {}", calls.collect::<Vec<_>>().join(", "));
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
    for (name, value) in settings {
        values.extend([(name as &(dyn ToSql + Sync), Type::TEXT), (value, Type::TEXT)]);
    }
    client.query_typed(&sql, &values).await?;
    Ok(())
}

/// Takes everything back.
pub(super) async fn undo(client: &Client) -> Result<(), Failure> {
    let undo = "rollback to savepoint checklist; release savepoint checklist";
    Ok(client.batch_execute(undo).await?)
}

/// Makes what can be made.
pub(super) async fn prepare(client: &Client, extent: Extent) -> Result<Ground, Failure> {
    let mut ground = Ground {
        has_ledger: ledger::is_kept(client).await?,
        ..Ground::default()
    };
    let (has_layer, why_not, tenants) = standing(client).await?;
    (ground.has_layer, ground.why_not) = (has_layer, why_not);
    if !ground.has_layer || ground.why_not.is_some() {
        return Ok(ground);
    }
    ground.ids_before = last_id(client).await?;
    ground.tenant = match tenants.as_deref() {
        None => Tenant::Ours,
        Some("auth.tenant_h") => tenant(client).await?,
        Some(_) => {
            tenant_among(
                client,
                &["raw.site_tracking_events_r", "raw.site_tracking_keys_r"],
            )
            .await?
        }
    };
    if extent == Extent::Page {
        ground.copy_failed = copy(client).await?;
    }
    Ok(ground)
}

/// Makes the scratch copy; else why there is none.
async fn copy(client: &Client) -> Result<Option<Answer>, Failure> {
    let refused = attempt(client, performance::COPY).await?.err();
    Ok(refused.map(|refused| {
        let why = format!("no scratch copy could be made: {}", refused.evidence);
        match refused.sqlstate.as_deref() {
            // A login without TEMPORARY on the database is a choice, and a slow server no fault of the layer.
            Some("42501" | "57014") => Answer::new(Verdict::NeedsAPerson, why),
            _ => Answer::new(Verdict::Failed, why),
        }
    }))
}

/// Whether both tables are there; why nothing may be tried; the table that tenants are checked against, `auth.tenant_h`
/// or, of a predecessor, another.
async fn standing(client: &Client) -> Result<(bool, Option<String>, Option<String>), Failure> {
    let rows = client
        .query_typed(
            "select count(*) = 2,
               case when current_setting('transaction_read_only') = 'on' then 'this session may write nothing'
                 when not bool_and(pg_has_role(c.relowner, 'USAGE'))
                 then format('%s may not write here: ask as %s, the owner', current_user,
                   string_agg(distinct pg_get_userbyid(c.relowner)::text, ', ')) end,
               (select format('%I.%I', a.nspname, t.relname) as tenants from pg_constraint k
                 join pg_class t on t.oid = k.confrelid join pg_namespace a on a.oid = t.relnamespace
                 join pg_attribute h on h.attrelid = k.conrelid and array[h.attnum] = k.conkey and h.attname = 'tenant_hk'
                 where k.conrelid = any (array_agg(c.oid)) and k.contype = 'f'
                 order by (a.nspname, t.relname) = ('auth', 'tenant_h') limit 1)
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
               and c.relkind = 'r'",
            &[],
        )
        .await?;
    Ok(rows
        .first()
        .map_or((false, None, None), |row| (row.get(0), row.get(1), row.get(2))))
}

async fn last_id(client: &Client) -> Result<String, Failure> {
    let rows = client
        .query_typed(
            "select coalesce(q.last_value, 0)::text from pg_sequences q
             where format('%I.%I', q.schemaname, q.sequencename)
               = pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id')",
            &[],
        )
        .await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// Makes our tenant where the foreign key wants one; else takes one that is there.
async fn tenant(client: &Client) -> Result<Tenant, Failure> {
    for values in [
        "(tenant_hk, tenant_bk, load_date, record_source)
           values ('\\x636865636b6c6973', 'checklist', current_timestamp, 'checklist')",
        "(tenant_hk) values ('\\x636865636b6c6973')",
    ] {
        let insert = format!("insert into auth.tenant_h {values}");
        if attempt(client, &insert).await?.is_ok() {
            return Ok(Tenant::Ours);
        }
    }
    tenant_among(client, &["auth.tenant_h", "raw.site_tracking_keys_r"]).await
}

async fn tenant_among(client: &Client, tables: &[&str]) -> Result<Tenant, Failure> {
    for table in tables {
        let any = format!(
            "select '\\x' || encode(tenant_hk, 'hex') from {table} where tenant_hk is not null limit 1"
        );
        client.batch_execute("savepoint tenant").await?;
        let found = client.query_typed(&any, &[]).await;
        client.batch_execute("rollback to savepoint tenant").await?;
        if let Some(row) = found.ok().and_then(|rows| rows.into_iter().next()) {
            return Ok(Tenant::Another(row.get(0)));
        }
    }
    Ok(Tenant::None)
}

async fn attempt(client: &Client, sql: &str) -> Result<Result<(), Answer>, Failure> {
    client.batch_execute("savepoint attempt").await?;
    match client.batch_execute(sql).await {
        Ok(()) => Ok(Ok(client.batch_execute("release savepoint attempt").await?)),
        Err(error) => {
            let answer = refused(error)?;
            client.batch_execute("rollback to savepoint attempt").await?;
            Ok(Err(answer))
        }
    }
}

/// What the server refused, as a failed line.
///
/// # Errors
/// The server did not refuse: it is gone.
pub(super) fn refused(error: tokio_postgres::Error) -> Result<Answer, Failure> {
    if error.as_db_error().is_none() {
        return Err(error.into());
    }
    let failure = Failure::from(error);
    Ok(Answer {
        sqlstate: failure.sqlstate.clone(),
        ..Answer::new(Verdict::Failed, failure.to_string())
    })
}
