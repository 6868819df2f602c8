//! The login that `ingest` connects with: what has to be said to the database so that it is as it should be.
//!
//! In: the login wanted and what the catalog says of it. Out: statements, in order; pure. V001 makes no login: a login
//! belongs to a stack, and roles belong to the whole server. `run.rs` executes what is decided here.

use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::failure::{Failure, Kind};
use super::properties::Login;

/// The role that may call the ingest function; V001 makes it.
const INGEST_ROLE: &str = "tracking_ingest_role";

/// What RDS takes tokens for.
const IAM_ROLE: &str = "rds_iam";

/// Ends before ingest gives up waiting (4 s), which ends before its Lambda does (10 s).
const STATEMENT_TIMEOUT: &str = "3s";

/// The comment by which a login that was made here is known again.
const MADE_HERE: &str = "login of the ingest function, made by migrate of site tracking";

/// What the catalog says of a login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It is there.
    pub exists: bool,
    /// It may do anything, or it is the migrator itself.
    pub is_mighty: bool,
    /// What makes it a role that somebody uses for something else; never said of one that was made here.
    pub is_of_others: Option<String>,
    /// It may connect.
    pub can_login: bool,
    /// Connections it may have.
    pub connection_limit: i32,
    /// It has [`STATEMENT_TIMEOUT`].
    pub has_timeout: bool,
    /// It is a member of [`INGEST_ROLE`].
    pub is_member: bool,
    /// It is a member of [`IAM_ROLE`], or there is no such role.
    pub is_iam_ready: bool,
    /// [`INGEST_ROLE`] is there.
    pub role_exists: bool,
    /// Who asks.
    pub migrator: String,
}

const STANDING: &str = "
select r.oid is not null,
  coalesce(r.rolsuper or r.rolname = current_user, false),
  coalesce(r.rolcanlogin, false),
  coalesce(r.rolconnlimit, -1),
  exists (select from pg_catalog.pg_db_role_setting s
    where s.setrole = r.oid and s.setdatabase = 0 and $2 = any (s.setconfig)),
  exists (select from pg_catalog.pg_auth_members m where m.member = r.oid and m.roleid = g.oid),
  not exists (select from pg_catalog.pg_roles i where i.rolname = $4
    and not exists (select from pg_catalog.pg_auth_members m where m.member = r.oid and m.roleid = i.oid)),
  g.oid is not null,
  case when pg_catalog.shobj_description(r.oid, 'pg_authid') is distinct from $5 then nullif(pg_catalog.concat_ws(', ',
    case when not r.rolcanlogin then 'nologin, a group of others' end,
    case when r.rolcreaterole then 'createrole' end,
    case when r.rolcreatedb then 'createdb' end,
    case when r.rolreplication then 'replication' end,
    case when r.rolbypassrls then 'bypassrls' end,
    case when exists (select from pg_catalog.pg_shdepend o
      join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
      where o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and o.refobjid = r.oid and o.deptype = 'o'
        and (o.dbid = d.oid or o.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and o.objid = d.oid))
      then 'an owner of objects in this database' end), '') end,
  current_user::text
from (values ($1, $3)) as wanted(login, granted)
left join pg_catalog.pg_roles r on r.rolname = wanted.login
left join pg_catalog.pg_roles g on g.rolname = wanted.granted";

/// Reads it.
///
/// # Errors
/// The database's.
pub async fn standing(client: &Client, login: &Login) -> Result<Standing, Failure> {
    let timeout = format!("statement_timeout={STATEMENT_TIMEOUT}");
    let rows = client
        .query_typed(
            STANDING,
            &[
                (&login.name, Type::TEXT),
                (&timeout, Type::TEXT),
                (&INGEST_ROLE, Type::TEXT),
                (&IAM_ROLE, Type::TEXT),
                (&MADE_HERE, Type::TEXT),
            ],
        )
        .await?;
    Ok(rows.first().map_or_else(Standing::default, |row| Standing {
        exists: row.get(0),
        is_mighty: row.get(1),
        can_login: row.get(2),
        connection_limit: row.get(3),
        has_timeout: row.get(4),
        is_member: row.get(5),
        is_iam_ready: row.get(6),
        role_exists: row.get(7),
        is_of_others: row.get(8),
        migrator: row.get(9),
    }))
}

/// How the login proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a token of AWS.
    Iam,
    /// By a password that somebody else sets.
    Password,
}

/// What has to be said so that the login is as wanted; nothing if it is.
///
/// # Errors
/// The login is one that may do more than ingest should or is somebody else's, or the role that it is to be a member of is missing.
pub fn statements(login: &Login, standing: &Standing, proof: Proof) -> Result<Vec<String>, Failure> {
    refuse(login, standing)?;
    let name = quoted(&login.name);
    let mut statements = Vec::new();
    if !standing.exists {
        statements.push(format!("create role {name} login"));
        statements.push(format!("comment on role {name} is '{MADE_HERE}'"));
    } else if !standing.can_login {
        statements.push(format!("alter role {name} login"));
    }
    if !standing.is_member {
        statements.push(format!("grant {INGEST_ROLE} to {name}"));
    }
    if !standing.has_timeout {
        statements.push(format!(
            "alter role {name} set statement_timeout = '{STATEMENT_TIMEOUT}'"
        ));
    }
    if !standing.exists || standing.connection_limit != login.connection_limit {
        statements.push(format!(
            "alter role {name} connection limit {}",
            login.connection_limit
        ));
    }
    if proof == Proof::Iam && !standing.is_iam_ready {
        statements.push(format!("grant {IAM_ROLE} to {name}"));
    }
    Ok(statements)
}

fn refuse(login: &Login, standing: &Standing) -> Result<(), Failure> {
    if standing.is_mighty {
        return Err(Failure::new(
            Kind::Configuration,
            format!(
                "the ingest login {:?} is a superuser or the migrator itself",
                login.name
            ),
            "name another login: ingest needs no right but membership of tracking_ingest_role",
        ));
    }
    if let Some(what) = &standing.is_of_others {
        return Err(Failure::new(
            Kind::Configuration,
            format!("the ingest login {:?} is a role of somebody else: {what}", login.name),
            "name a login that is not there yet, or a plain one that owns nothing: ingest needs no other right",
        ));
    }
    if !standing.role_exists {
        return Err(Failure::refused(
            format!("role {INGEST_ROLE} is missing and the migrator's login may not make it"),
            format!("have an administrator run: create role {INGEST_ROLE} nologin; then deploy again"),
        ));
    }
    Ok(())
}

/// What gives the right that one of the statements lacked: a role that is passed on needs its admin option, and what
/// makes or changes a login can be said by an administrator instead.
pub fn remedy(standing: &Standing, statements: &[String], failed: &str) -> String {
    let migrator = quoted(&standing.migrator);
    let passed_on = [INGEST_ROLE, IAM_ROLE]
        .into_iter()
        .find(|role| failed.starts_with(&format!("grant {role} to ")));
    match passed_on {
        Some(role) => {
            format!(
                "have an administrator run: grant {role} to {migrator} with admin option; then deploy again"
            )
        }
        None if failed.starts_with("create ") => format!(
            "have an administrator run: {}; or give the migrator's login CREATEROLE, then deploy again",
            statements.join("; ")
        ),
        None => format!("have an administrator run: {failed}; then deploy again"),
    }
}

/// What a person has to do before ingest can connect with a login that was just made.
pub fn note(login: &Login, standing: &Standing, proof: Proof) -> Option<String> {
    (proof == Proof::Password && !standing.exists).then(|| {
        let name = quoted(&login.name);
        format!("login {name} was made without a password: run alter role {name} password '…' and give it to ingest as DB_PASSWORD")
    })
}

/// Logins that were made here, are members of [`INGEST_ROLE`], and are needed by nobody else: the role has rights in
/// no other database of this server.
const LEAVING: &str = "
select m.rolname::text, not exists (
  select from pg_catalog.pg_shdepend d
  where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and d.refobjid = g.oid and d.dbid not in (0,
    (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())))
from pg_catalog.pg_roles g
join pg_catalog.pg_auth_members a on a.roleid = g.oid
join pg_catalog.pg_roles m on m.oid = a.member
where g.rolname = $1 and pg_catalog.shobj_description(m.oid, 'pg_authid') = $2
order by 1";

/// Statements that take away the logins that were made here, and notes on those that have to stay.
///
/// # Errors
/// The database's.
pub async fn leaving(client: &Client) -> Result<(Vec<String>, Vec<String>), Failure> {
    let rows = client
        .query_typed(LEAVING, &[(&INGEST_ROLE, Type::TEXT), (&MADE_HERE, Type::TEXT)])
        .await?;
    let (mut go, mut stay) = (Vec::new(), Vec::new());
    for row in &rows {
        let name = quoted(row.get(0));
        if row.get(1) {
            go.push(format!("drop role {name}"));
        } else {
            stay.push(format!(
                "login {name} stays: another database of this server needs {INGEST_ROLE}"
            ));
        }
    }
    Ok((go, stay))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login {
            name: "web \"x\"".to_owned(),
            connection_limit: 7,
            proof: None,
        }
    }

    fn fine() -> Standing {
        Standing {
            exists: true,
            is_mighty: false,
            is_of_others: None,
            can_login: true,
            connection_limit: 7,
            has_timeout: true,
            is_member: true,
            is_iam_ready: true,
            role_exists: true,
            migrator: "the migrator".to_owned(),
        }
    }

    #[test]
    fn a_login_that_is_as_wanted_needs_nothing_said() {
        for proof in [Proof::Iam, Proof::Password] {
            assert!(statements(&login(), &fine(), proof).unwrap().is_empty());
        }
    }

    #[test]
    fn each_thing_that_is_not_as_wanted_is_said_once() {
        let name = r#""web ""x""""#;
        for (standing, says) in [
            (
                Standing {
                    can_login: false,
                    ..fine()
                },
                format!("alter role {name} login"),
            ),
            (
                Standing {
                    is_member: false,
                    ..fine()
                },
                format!("grant tracking_ingest_role to {name}"),
            ),
            (
                Standing {
                    has_timeout: false,
                    ..fine()
                },
                format!("alter role {name} set statement_timeout = '3s'"),
            ),
            (
                Standing {
                    connection_limit: -1,
                    ..fine()
                },
                format!("alter role {name} connection limit 7"),
            ),
            (
                Standing {
                    is_iam_ready: false,
                    ..fine()
                },
                format!("grant rds_iam to {name}"),
            ),
        ] {
            assert_eq!(
                statements(&login(), &standing, Proof::Iam).unwrap(),
                [says],
                "{standing:?}"
            );
        }
        let no_iam = Standing {
            is_iam_ready: false,
            ..fine()
        };
        assert!(statements(&login(), &no_iam, Proof::Password).unwrap().is_empty());
    }

    #[test]
    fn what_gives_a_missing_right_can_be_run_as_it_stands() {
        let all = ["create role \"x\" login", "grant rds_iam to \"x\""].map(str::to_owned);
        for (failed, run) in [
            (
                all[0].as_str(),
                "create role \"x\" login; grant rds_iam to \"x\"; or",
            ),
            (
                &all[1],
                "grant rds_iam to \"the migrator\" with admin option; then",
            ),
            (
                "grant tracking_ingest_role to \"x\"",
                "grant tracking_ingest_role to \"the migrator\" with admin option; then",
            ),
            (
                "alter role \"x\" connection limit 7",
                "alter role \"x\" connection limit 7; then",
            ),
        ] {
            let remedy = remedy(&fine(), &all, failed);
            assert!(remedy.contains(&format!("run: {run}")), "{failed}: {remedy}");
        }
    }

    #[test]
    fn a_new_login_is_made_with_everything_and_a_password_is_asked_for() {
        let absent = Standing {
            role_exists: true,
            connection_limit: -1,
            ..Standing::default()
        };
        let said = statements(&login(), &absent, Proof::Iam).unwrap();
        assert_eq!(said.len(), 6, "{said:?}");
        assert!(note(&login(), &absent, Proof::Password)
            .unwrap()
            .contains("without a password"));
        assert_eq!(note(&login(), &absent, Proof::Iam), None);
        assert_eq!(note(&login(), &fine(), Proof::Password), None);
    }

    #[test]
    fn a_login_that_may_do_more_and_a_missing_role_are_refused() {
        for (standing, says) in [
            (
                Standing {
                    is_mighty: true,
                    ..fine()
                },
                "is a superuser or the migrator itself",
            ),
            (
                Standing {
                    is_of_others: Some("createdb".to_owned()),
                    ..fine()
                },
                "is a role of somebody else: createdb: name a login",
            ),
            (
                Standing {
                    role_exists: false,
                    ..fine()
                },
                "create role tracking_ingest_role nologin",
            ),
        ] {
            let failure = statements(&login(), &standing, Proof::Iam)
                .unwrap_err()
                .to_string();
            assert!(failure.contains(says), "{failure}");
        }
    }
}
