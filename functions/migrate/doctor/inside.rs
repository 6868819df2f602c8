//! Inside the database: V001, what the ingest login may and has, the clock, and one beacon.

use std::time::SystemTime;

use tokio_postgres::Client;

use crate::doctor::Finding;
use crate::migrate::catalogue::V001;
use crate::migrate::failure::Failure;
use crate::migrate::{ledger, time_left};

/// What cannot be looked at without a connection, in the order in which it is.
pub const BEFORE: [&str; 6] = ["version", "grants", "connections", "timeouts", "clock", "beacon"];

/// Beyond this a token of IAM, which counts a quarter of an hour, is in danger, and so is every order of events.
const APART_MAX_SECONDS: f64 = 30.0;

/// `statement_timeout` of the ingest login; `ingest` itself waits for four seconds.
const STATEMENT_TIMEOUT_MAX_MS: i64 = 3000;

/// Who may log in as an ingest function. Since PostgreSQL 16 who makes a role is a member of it too, with admin option.
const LOGINS: &str = "
select r.rolname::text, r.rolconnlimit,
  pg_catalog.has_schema_privilege(r.oid, 'raw', 'USAGE') and (
    select pg_catalog.bool_and(pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE'))
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'raw'
    where p.proname = 'ingest_tracking_beacon'),
  pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT'),
  (select pg_catalog.substring(c, 'statement_timeout=(.*)')
    from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
    where s.setrole = r.oid and c like 'statement_timeout=%' order by s.setdatabase desc limit 1)
from pg_catalog.pg_auth_members m
join pg_catalog.pg_roles g on g.oid = m.roleid and g.rolname = 'tracking_ingest_role'
join pg_catalog.pg_roles r on r.oid = m.member and r.rolcanlogin and not r.rolsuper
where not m.admin_option and r.rolname <> current_user
order by 1";

const ROOM: &str = "
select pg_catalog.current_setting('max_connections')::bigint
  - pg_catalog.current_setting('superuser_reserved_connections')::bigint,
  (select count(*) from pg_catalog.pg_stat_activity a where a.datid is not null)";

struct Login {
    name: String,
    limit: i32,
    may_ingest: bool,
    may_connect: bool,
    timeout: Option<String>,
}

const NO_LOGIN: &str = "no login is a member of tracking_ingest_role";
const MAKE_ONE: &str = "deploy the stack, or {\"action\":\"apply\",\"ingest_user\":\"tracking_ingest\"}";

async fn logins(client: &Client) -> Result<Vec<Login>, Failure> {
    let rows = client.query_typed(LOGINS, &[]).await?;
    let login = |row: &tokio_postgres::Row| Login {
        name: row.get(0),
        limit: row.get(1),
        may_ingest: row.get::<_, Option<bool>>(2).unwrap_or_default(),
        may_connect: row.get(3),
        timeout: row.get(4),
    };
    Ok(rows.iter().map(login).collect())
}

fn of_failure(failure: &Failure) -> Finding {
    let remedy = failure
        .remedy
        .clone()
        .unwrap_or_else(|| "see the server's log".to_owned());
    Finding::failed(failure.to_string(), remedy)
}

fn settled(finding: Result<Finding, Failure>) -> Finding {
    finding.unwrap_or_else(|failure| of_failure(&failure))
}

/// And whether there is anything to look at.
pub async fn version(client: &Client) -> (Finding, bool) {
    match look_at_version(client).await {
        Ok(found) => found,
        Err(failure) => (of_failure(&failure), false),
    }
}

async fn look_at_version(client: &Client) -> Result<(Finding, bool), Failure> {
    let number = ledger::server_version(client).await?;
    client.batch_execute("begin read only").await?;
    let found = ledger::found(client, &V001).await;
    client.batch_execute("rollback").await?;
    let found = found?;
    if found.objects.is_empty() {
        let remedy = "deploy the stack, or {\"action\":\"apply\"}; or DB_NAME is another database";
        return Ok((Finding::failed("V001 is not in this database", remedy), false));
    }
    let finding = match found.differences {
        Some(differences) => Finding::failed(
            differences,
            "{\"action\":\"apply\"} makes it right; see {\"action\":\"plan\"} first",
        ),
        None => Finding::ok(format!(
            "V001 is there as it should be, on PostgreSQL {}.{}",
            number / 10_000,
            number % 10_000
        )),
    };
    Ok((finding, true))
}

pub async fn grants(client: &Client) -> Finding {
    let logins = match logins(client).await {
        Ok(logins) if logins.is_empty() => return Finding::failed(NO_LOGIN, MAKE_ONE),
        Ok(logins) => logins,
        Err(failure) => return of_failure(&failure),
    };
    let names = |is_wrong: fn(&&Login) -> bool| -> Vec<&str> {
        let wrong = logins.iter().filter(is_wrong);
        wrong.map(|login| login.name.as_str()).collect()
    };
    let (deaf, out) = (
        names(|login| !login.may_ingest),
        names(|login| !login.may_connect),
    );
    if !deaf.is_empty() {
        return Finding::failed(
            format!("{} may not call raw.ingest_tracking_beacon", deaf.join(", ")),
            "{\"action\":\"apply\"} grants it to tracking_ingest_role; the login has to inherit from that",
        );
    }
    if !out.is_empty() {
        return Finding::failed(
            format!("{} may not connect to this database", out.join(", ")),
            format!("grant connect on database ... to {}", out.join(", ")),
        );
    }
    let all: Vec<&str> = logins.iter().map(|login| login.name.as_str()).collect();
    Finding::ok(format!("{} may call raw.ingest_tracking_beacon", all.join(", ")))
}

pub async fn connections(client: &Client) -> Finding {
    settled(look_at_connections(client).await)
}

async fn look_at_connections(client: &Client) -> Result<Finding, Failure> {
    let logins = logins(client).await?;
    let rows = client.query_typed(ROOM, &[]).await?;
    let (room, used): (i64, i64) = rows.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
    if logins.is_empty() {
        return Ok(Finding::skipped(NO_LOGIN));
    }
    if let Some(unbounded) = logins.iter().find(|login| login.limit < 0) {
        return Ok(Finding::skipped(format!(
            "{} has no limit, so there is no budget: it may take all {room} connections",
            unbounded.name
        )));
    }
    let budget: i64 = logins.iter().map(|login| i64::from(login.limit)).sum();
    let found = format!(
        "the ingest logins may have {budget} connections, the server has {room} for all, {used} in use now"
    );
    Ok(match budget < room {
        true => Finding::ok(found),
        false => Finding::failed(
            found,
            "lower IngestConnectionLimit, or raise max_connections; others need some too",
        ),
    })
}

pub async fn timeouts(client: &Client, deadline_ms: u64) -> Finding {
    let logins = match logins(client).await {
        Ok(logins) => logins,
        Err(failure) => return of_failure(&failure),
    };
    for login in &logins {
        let timeout = login.timeout.as_deref();
        if !timeout
            .and_then(milliseconds)
            .is_some_and(|ms| (1..=STATEMENT_TIMEOUT_MAX_MS).contains(&ms))
        {
            return Finding::failed(
                format!(
                    "{} has {}, and ingest gives up after 4 s",
                    login.name,
                    timeout.map_or("no statement_timeout".to_owned(), |text| format!(
                        "statement_timeout {text}"
                    ))
                ),
                format!("alter role {} set statement_timeout = '3s'", login.name),
            );
        }
    }
    match time_left::of_a_deploy(deadline_ms, SystemTime::now()) {
        (needed, Some(left)) if left < needed => Finding::failed(
            format!(
                "{} s are left to this function, a deploy wants {}",
                left.as_secs(),
                needed.as_secs()
            ),
            "set the function's Timeout to 330",
        ),
        (_, left) => Finding::ok(format!(
            "statements of {} ingest login(s) end before ingest gives up; {}",
            logins.len(),
            left.map_or("this function has no time-out".to_owned(), |left| format!(
                "this function had {} s left",
                left.as_secs()
            ))
        )),
    }
}

/// As PostgreSQL writes a time: a number, of milliseconds where no unit follows.
fn milliseconds(text: &str) -> Option<i64> {
    let text = text.trim_matches('\'').trim();
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let number: i64 = digits.parse().ok()?;
    match text[digits.len()..].trim() {
        "" | "ms" => Some(number),
        "s" => Some(number * 1000),
        "min" => Some(number * 60_000),
        _ => None,
    }
}

pub async fn clock(client: &Client) -> Finding {
    settled(look_at_clock(client).await)
}

async fn look_at_clock(client: &Client) -> Result<Finding, Failure> {
    let before = SystemTime::now();
    let rows = client
        .query_typed("select pg_catalog.clock_timestamp()", &[])
        .await?;
    let theirs: Option<SystemTime> = rows.first().map(|row| row.get(0));
    let apart = theirs.map_or(f64::INFINITY, |theirs| {
        apart_seconds(theirs, before, SystemTime::now())
    });
    Ok(judged(apart))
}

fn judged(apart: f64) -> Finding {
    let found = format!("the database's clock is {apart:.1} s from this function's");
    match apart <= APART_MAX_SECONDS {
        true => Finding::ok(found),
        false => Finding::failed(
            found,
            "set the server's clock by NTP; tokens of IAM are good for 15 minutes",
        ),
    }
}

/// Nothing where it lies between the two moments at which we looked.
fn apart_seconds(theirs: SystemTime, before: SystemTime, after: SystemTime) -> f64 {
    let beyond = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    (beyond(before, theirs) + beyond(theirs, after)).as_secs_f64()
}

/// A key of a tenant that has one, or that auth.tenant_h knows, or of one made up where nobody checks tenants.
const LAND: &str = r#"
do $$
declare
  v_key bytea := sha256(convert_to(clock_timestamp()::text || pg_backend_pid(), 'UTF8'));
  v_tenant bytea;
  v_verdict text;
  v_id bigint;
begin
  select k.tenant_hk into v_tenant from raw.site_tracking_keys_r k order by k.created_at desc limit 1;
  if v_tenant is null and to_regclass('auth.tenant_h') is not null then
    execute 'select tenant_hk from auth.tenant_h limit 1' into v_tenant;
  end if;
  insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, label)
  values (v_key, coalesce(v_tenant, v_key), 'doctor, rolled back');
  select b.verdict, b.raw_event_id into v_verdict, v_id
  from raw.ingest_tracking_beacon(v_key, null, '192.0.2.1', 'doctor', array['{"event": "doctor"}'::jsonb],
    array[md5(v_key::text)::uuid], 'doctor', null, '{"method": "POST"}', null, null) b;
  if v_verdict is distinct from 'ok' or not exists (select from raw.site_tracking_events_r where raw_event_id = v_id)
  then
    raise exception 'a beacon is answered %, and its row is not there', v_verdict;
  end if;
end
$$"#;

pub async fn beacon(client: &Client) -> Finding {
    let begin = "begin isolation level read committed read write; set local statement_timeout = '3s'";
    let landed = match client.batch_execute(begin).await {
        Ok(()) => client.batch_execute(LAND).await,
        Err(error) => Err(error),
    };
    // Whatever became of it; without an answer to this the server rolls back by itself.
    let rolled_back = client.batch_execute("rollback").await;
    match landed.and(rolled_back) {
        Ok(()) => Finding::ok("one was landed as ingest lands them, and rolled back"),
        Err(error) => of_failure(&error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use std::time::Duration;

    #[test]
    fn clocks_that_are_apart_are_found_either_way() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        for (theirs, expected, verdict) in [
            (now, 0.0, Verdict::Ok),
            (now + second / 2, 0.0, Verdict::Ok),
            (now - second * 31, 31.0, Verdict::Failed),
            (now + second * 32, 31.0, Verdict::Failed),
            (now - second * 30, 30.0, Verdict::Ok),
        ] {
            let apart = apart_seconds(theirs, now, now + second);
            assert!((apart - expected).abs() < 1e-9, "{apart}, expected {expected}");
            assert_eq!(judged(apart).verdict, verdict, "{apart}");
        }
    }

    #[test]
    fn a_time_is_read_as_postgresql_writes_it() {
        for (text, ms) in [
            ("3s", Some(3000)),
            ("3000", Some(3000)),
            ("250ms", Some(250)),
            ("1min", Some(60_000)),
            ("1h", None),
            ("", None),
            ("s", None),
        ] {
            assert_eq!(milliseconds(text), ms, "{text}");
        }
    }
}
