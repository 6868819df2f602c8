//! The V001 files, whole and by step, and running them by hand as an operator would: with `psql`.

use std::io::Write;
use std::process::{Output, Stdio};

use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::{Client, Error};

use super::database::{v001, Database};
use super::postgres::{Cluster, Version};
use super::wait;

/// One step of a file: what stands between two lines `-- step: name`.
pub struct Step {
    pub name: String,
    pub sql: String,
}

/// The steps of `create`, `verify` or `rollback`, in order; together they are the file.
pub fn steps(verb: &str) -> Vec<Step> {
    let text = v001(verb);
    text.split("\n-- step: ")
        .skip(1)
        .map(|part| {
            let (name, sql) = part.split_once('\n').unwrap();
            Step {
                name: name.to_owned(),
                sql: sql.to_owned(),
            }
        })
        .collect()
}

/// A server of this version as it was at first, for one test at a time: roles belong to the whole server, and these
/// tests make and drop them. A server for each test would cost more than the test.
pub async fn alone(version: Version) -> MutexGuard<'static, Cluster> {
    static CLUSTERS: [OnceCell<Mutex<Cluster>>; 3] = [const { OnceCell::const_new() }; 3];
    let cluster = CLUSTERS[version as usize]
        .get_or_init(|| async { Mutex::new(Cluster::own(version)) })
        .await
        .lock()
        .await;
    clear(&cluster).await;
    cluster
}

/// Drops the databases and the roles that an earlier test left.
async fn clear(cluster: &Cluster) {
    const LEFT: &str = "select format('drop database %I', datname) from pg_database
          where datname not in ('postgres', 'template0', 'template1')
        union all select format('drop role %I', rolname) from pg_roles where rolname !~ '^(pg_|postgres$)'";
    let name = "postgres".to_owned();
    let client = Database { cluster, name }.superuser().await;
    for row in client.query(LEFT, &[]).await.unwrap() {
        let sql: String = row.get(0);
        let others = "select pg_terminate_backend(pid) from pg_stat_activity
            where pid <> pg_backend_pid() and backend_type = 'client backend'";
        wait::until_async(&sql, std::time::Duration::from_secs(20), || async {
            client.batch_execute(others).await.unwrap();
            client.batch_execute(&sql).await.ok()
        })
        .await;
    }
}

/// A fresh database with V001 in it.
pub async fn layered(cluster: &Cluster) -> Database<'_> {
    let database = Database::empty(cluster).await;
    database
        .superuser()
        .await
        .batch_execute(&v001("create"))
        .await
        .unwrap();
    database
}

/// Who runs `psql`, on which database.
pub struct Operator<'d> {
    pub database: &'d Database<'d>,
    pub user: String,
    pub password: String,
}

/// What `psql` said.
pub struct Said {
    pub succeeded: bool,
    pub stdout: String,
    pub stderr: String,
}

impl<'d> Operator<'d> {
    pub fn superuser(database: &'d Database<'d>) -> Self {
        use super::postgres::{SUPERUSER, SUPERUSER_PASSWORD};
        Self {
            database,
            user: SUPERUSER.to_owned(),
            password: SUPERUSER_PASSWORD.to_owned(),
        }
    }

    /// A login that may make schemas in this database and nothing else in the server; its password is its name.
    pub async fn limited(database: &'d Database<'d>) -> Self {
        let user = database.login("").await;
        let grant = format!("grant create on database {} to {user}", database.name);
        database.superuser().await.batch_execute(&grant).await.unwrap();
        Self {
            database,
            password: user.clone(),
            user,
        }
    }

    pub async fn client(&self) -> Client {
        self.database.client(&self.user, &self.password).await
    }

    /// Runs a V001 file with further arguments: `-1` makes it one transaction.
    pub fn file(&self, verb: &str, arguments: &[&str]) -> Said {
        self.psql(&v001(verb), arguments)
    }

    /// Runs a V001 file, which must succeed.
    #[track_caller]
    pub fn must(&self, verb: &str, arguments: &[&str]) -> Said {
        let said = self.file(verb, arguments);
        assert!(
            said.succeeded,
            "{verb} {arguments:?} as {}: {}",
            self.user, said.stderr
        );
        said
    }

    /// Runs any text statement by statement.
    pub fn psql(&self, sql: &str, arguments: &[&str]) -> Said {
        let mut command = self.database.psql(&self.user, &self.password);
        command.args(["-q"]).args(arguments).args(["-f", "-"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sql = sql.to_owned();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(sql.as_bytes());
        });
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Said {
            succeeded: status.success(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

/// SQLSTATE, message and hint of what the server refused.
pub fn refusal<T>(result: Result<T, Error>) -> (String, String, String) {
    let Err(error) = result else {
        panic!("it was not refused")
    };
    let error = error.as_db_error().expect("an answer of the server");
    (
        error.code().code().to_owned(),
        error.message().to_owned(),
        error.hint().unwrap_or_default().to_owned(),
    )
}

/// Everything in the catalog that a migration may change, as text: schemas, relations, columns, constraints, indexes,
/// functions, triggers, comments, privileges, roles. The ledger is left out, as it is exempt.
pub async fn catalog(client: &Client) -> String {
    const SQL: &str = r#"
        with ns as (select oid, nspname, nspowner, nspacl from pg_namespace
          where nspname !~ '^pg_' and nspname not in ('information_schema', 'migrations')),
        rel as (select c.*, ns.nspname from pg_class c join ns on ns.oid = c.relnamespace)
        select coalesce(string_agg(line, E'\n' order by line collate "C"), '') from (
          select format('schema %s %s %s', nspname, nspowner::regrole, 
            array(select unnest(coalesce(nspacl, acldefault('n', nspowner)))::text order by 1)) as line
          from ns
          union all select format('relation %s %s.%s %s %s %s', relkind, nspname, relname, relowner::regrole,
            array(select unnest(relacl)::text order by 1),
            reloptions) from rel
          union all select format('column %s.%s %s %s %s %s %s', nspname, relname, attname,
            format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attacl)
            from rel join pg_attribute a on a.attrelid = rel.oid and attnum > 0 and not attisdropped
            left join pg_attrdef on adrelid = rel.oid and adnum = attnum
          union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid))
            from pg_constraint k join ns on ns.oid = connamespace
          union all select 'index ' || pg_get_indexdef(rel.oid) from rel where relkind = 'i'
          union all select format('function %s %s %s', pg_get_functiondef(p.oid), proowner::regrole,
            array(select unnest(proacl)::text order by 1))
            from pg_proc p join ns on ns.oid = pronamespace
          union all select 'trigger ' || pg_get_triggerdef(t.oid) from pg_trigger t join rel on rel.oid = tgrelid
            where not tgisinternal
          union all select format('comment %s %s', objid, description) from (
              select pg_describe_object(classoid, objoid, objsubid) as objid, description, objoid from pg_description
              where objoid >= 16384) d where objid !~ 'migrations'
          union all select format('role %s %s %s', rolname, rolsuper, rolcanlogin) from pg_roles where rolname !~ '^pg_'
          union all select format('member %s %s', roleid::regrole, member::regrole) from pg_auth_members
        ) as lines"#;
    client.query_one(SQL, &[]).await.unwrap().get(0)
}

/// Panics with the lines that differ, and no others.
#[track_caller]
pub fn assert_same(found: &str, expected: &str, label: &str) {
    let lacks = |text: &str, line: &&str| !text.lines().any(|other| other == *line);
    let gone: Vec<_> = expected.lines().filter(|line| lacks(found, line)).collect();
    let new: Vec<_> = found.lines().filter(|line| lacks(expected, line)).collect();
    assert!(found == expected, "{label}:\ngone {gone:#?}\nnew {new:#?}");
}
