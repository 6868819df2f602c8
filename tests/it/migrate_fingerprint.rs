//! The fingerprint of a catalog: every planted change alters it, what means the same does not, and it is quick.

use std::time::Instant;

use site_tracking::migrate::fingerprint::{self, Fingerprint};
use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::{Cluster, Version};

/// An object of each class, and V001's roles.
const WORLD: &str = "
create schema s; create schema migrations; create table migrations.migration_log (a integer);
create table s.t (a integer primary key, b text default 'x', c numeric(5, 2), constraint positive check (a > 0));
create table s.child (a integer constraint to_t references s.t, at timestamptz default '2020-01-01 00:00:00+00');
create table s.parent (a integer); create table s.heir () inherits (s.parent);
create table s.parts (a integer) partition by range (a);
create table s.part partition of s.parts for values from (0) to (10);
create index t_b on s.t (b); create sequence s.q; create view s.v as select a from s.t;
create materialized view s.m as select a from s.t;
create function s.f(integer) returns integer language sql as 'select $1';
create function s.g() returns trigger language plpgsql as 'begin return new; end';
create function s.e() returns event_trigger language plpgsql as 'begin end';
create procedure s.p() language sql as 'select 1';
create aggregate s.total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
create trigger tr before insert on s.t for each row execute function s.g();
create rule r as on update to s.v do instead nothing;
create policy seen on s.t for select using (a > 1);
create type s.mood as enum ('good', 'bad'); create domain s.small as integer check (value < 10);
create type s.pair as (x integer, y integer); create type s.span as range (subtype = integer);
create operator s.=== (leftarg = integer, rightarg = integer, function = int4eq);
create cast (s.pair as text) with inout;
create collation s.plain from \"C\"; create statistics s.both on a, b from s.t;
create publication news for table s.t;
create event trigger watch on ddl_command_end when tag in ('DROP OPERATOR CLASS') execute function s.e();
create server elsewhere foreign data wrapper nowhere;
create role tracking_ingest_role; create role somebody;
comment on column s.t.b is 'b'; comment on index s.t_b is 'i';
alter default privileges in schema s grant select on tables to somebody;";

/// A class of object, and a change to one of them.
const CHANGES: &[(&str, &str)] = &[
    ("schema", "create schema another"),
    ("schema", "alter schema s owner to somebody"),
    ("schema", "comment on schema s is 'changed'"),
    ("relation", "create table s.another ()"),
    ("relation", "create unlogged table s.another ()"),
    ("relation", "alter table s.t owner to somebody"),
    ("relation", "alter table s.t set (fillfactor = 70)"),
    ("relation", "alter table s.t set (toast.autovacuum_enabled = false)"),
    ("relation", "alter table s.child set unlogged"),
    ("relation", "alter table s.t enable row level security"),
    ("relation", "alter table s.t force row level security"),
    ("relation", "alter table s.t replica identity full"),
    ("relation", "alter table s.heir no inherit s.parent"),
    ("relation", "alter table s.parts detach partition s.part"),
    ("relation", "comment on table s.t is 'changed'"),
    ("column", "alter table s.t add column d integer"),
    ("column", "alter table s.t drop column c"),
    ("column", "alter table s.t rename column c to d"),
    ("column", "alter table s.t alter column c type numeric(6, 2)"),
    ("column", "alter table s.t alter column b set default 'y'"),
    ("column", "alter table s.t alter column b drop default"),
    ("column", "alter table s.t alter column b set not null"),
    ("column", "alter table s.t alter column b set storage plain"),
    ("column", "alter table s.t alter column a add generated always as identity"),
    ("column", "alter table s.t add column d integer generated always as (a + 1) stored"),
    ("column", "alter table s.t alter column b type text collate \"C\""),
    ("column", "alter table s.t alter column b set statistics 7"),
    ("column", "alter table s.t alter column b set (n_distinct = 5)"),
    ("column", "grant select (b) on s.t to somebody"),
    ("column", "comment on column s.t.b is 'changed'"),
    ("column", "alter table s.t drop column b; alter table s.t add column b text default 'x'"),
    ("constraint", "alter table s.t add constraint short check (length(b) < 9) not valid"),
    ("constraint", "alter table s.t rename constraint positive to above_zero"),
    ("constraint", "alter table s.child drop constraint to_t"),
    ("constraint", "alter table s.child alter constraint to_t deferrable"),
    ("constraint", "alter domain s.small drop constraint small_check"),
    ("constraint", "comment on constraint positive on s.t is 'changed'"),
    ("index", "create index another on s.t (a)"),
    ("index", "drop index s.t_b; create index t_b on s.t (lower(b))"),
    ("index", "update pg_index set indisvalid = false where indexrelid = 's.t_b'::regclass"),
    ("index", "cluster s.t using t_b"),
    ("index", "comment on index s.t_b is 'changed'"),
    ("sequence", "alter sequence s.q increment 2"),
    ("sequence", "alter sequence s.q cycle"),
    ("sequence", "alter sequence s.q owned by s.t.a"),
    ("view", "create or replace view s.v as select a + 1 as a from s.t"),
    ("view", "alter view s.v set (security_barrier = true)"),
    ("materialized view", "refresh materialized view s.m with no data"),
    ("rule", "drop rule r on s.v"),
    ("trigger", "alter table s.t disable trigger tr"),
    ("trigger", "alter table s.t disable trigger all"),
    ("trigger", "drop trigger tr on s.t"),
    ("policy", "alter policy seen on s.t using (a > 2)"),
    ("policy", "alter policy seen on s.t to somebody"),
    ("function", "create or replace function s.f(integer) returns integer language sql as 'select 2'"),
    ("function", "create function s.f(text) returns integer language sql as 'select 2'"),
    ("function", "alter function s.f(integer) security definer"),
    ("function", "alter function s.f(integer) set search_path = pg_catalog"),
    ("function", "alter function s.f(integer) owner to somebody"),
    ("function", "drop procedure s.p()"),
    ("aggregate", "drop aggregate s.total(integer); create aggregate s.total(integer) (sfunc = int4pl, stype = integer)"),
    ("type", "alter type s.mood rename value 'bad' to 'worse'"),
    ("type", "alter domain s.small set default 3"),
    ("type", "alter type s.pair add attribute z integer"),
    ("type", "alter type s.span owner to somebody"),
    ("operator", "alter operator s.=== (integer, integer) set (restrict = eqsel)"),
    ("operator class", "create operator class s.c for type integer using btree as operator 1 <, function 1 btint4cmp(integer, integer)"),
    ("cast", "drop cast (s.pair as text)"),
    ("collation", "drop collation s.plain"),
    ("extended statistics", "drop statistics s.both"),
    ("language", "alter language plpgsql owner to somebody"),
    ("foreign server", "alter server elsewhere owner to somebody"),
    ("event trigger", "alter event trigger watch disable"),
    ("publication", "alter publication news drop table s.t"),
    ("publication", "alter publication news set (publish = 'insert')"),
    ("privilege", "grant usage on schema s to somebody"),
    ("privilege", "grant select on s.t to somebody"),
    ("privilege", "grant select on s.t to public"),
    ("privilege", "revoke execute on function s.f(integer) from public"),
    ("privilege", "revoke usage on type s.mood from public"),
    ("privilege", "grant create on database current_database_name to somebody"),
    ("privilege", "grant usage on sequence s.q to somebody with grant option"),
    ("default privilege", "alter default privileges in schema s revoke select on tables from somebody"),
    ("comment", "comment on trigger tr on s.t is 'changed'"),
    ("database", "alter database current_database_name set work_mem = '8MB'"),
    ("role", "alter role tracking_ingest_role login"),
    ("role", "alter role tracking_ingest_role set work_mem = '8MB'"),
    ("membership", "grant tracking_ingest_role to somebody"),
    ("extension", "drop extension plpgsql cascade"),
];

/// What leaves the catalog's meaning as it was.
const VOLATILE: &[&str] = &[
    "insert into s.t values (1, 'x'); analyze s.t",
    "vacuum s.t",
    "vacuum full s.t",
    "reindex table s.t",
    "truncate s.t, s.child",
    "select nextval('s.q')",
    "alter table s.child drop constraint to_t; alter table s.child add constraint to_t foreign key (a) references s.t",
    "alter table s.t add column d integer; alter table s.t drop column d",
    "grant all on s.t to current_user; grant all on sequence s.q to current_user",
    "revoke execute on function s.f(integer) from public; grant execute on function s.f(integer) to public",
    "grant usage on type s.mood to public; grant all on schema s to current_user",
    "drop index s.t_b; create index t_b on s.t (b); comment on index s.t_b is 'i'",
    "drop trigger tr on s.t; create trigger tr before insert on s.t for each row execute function s.g()",
    "create temporary table passing (a integer)",
    "create table migrations.another (a integer); comment on table migrations.another is 'x'; drop table migrations.migration_log",
    "set search_path = s; set datestyle = german; set timezone = 'Asia/Tokyo'; set bytea_output = escape",
];

async fn world(cluster: &Cluster) -> (Database<'_>, Client) {
    let database = Database::empty(cluster).await;
    let client = database.superuser().await;
    client
        .batch_execute("create foreign data wrapper nowhere")
        .await
        .unwrap();
    client.batch_execute(WORLD).await.unwrap();
    (database, client)
}

async fn taken(client: &Client) -> Fingerprint {
    client.batch_execute("begin").await.unwrap();
    let taken = fingerprint::read(client).await.unwrap();
    client.batch_execute("rollback").await.unwrap();
    taken
}

async fn a_change_alters_it_and_a_hint_does_not(version: Version) {
    let cluster = Cluster::own(version);
    let (database, client) = world(&cluster).await;
    let before = taken(&client).await;
    for (class, change) in CHANGES {
        let change = change.replace("current_database_name", &database.name);
        client.batch_execute("begin").await.unwrap();
        let changed = client.batch_execute(&change).await;
        changed.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        let after = fingerprint::read(&client).await.unwrap();
        client.batch_execute("rollback").await.unwrap();
        assert_ne!(after.digest(), before.digest(), "{version:?} {class}: {change}");
        assert!(!before.difference(&after).is_empty(), "{change}");
        assert_eq!(taken(&client).await, before, "{change}, undone");
    }
    for change in VOLATILE {
        for statement in change.split("; ") {
            client.batch_execute(statement).await.unwrap();
        }
        let after = taken(&client).await;
        assert_eq!(before.difference(&after), [], "{version:?}: {change}");
        assert_eq!(after.digest(), before.digest());
    }
    println!("{version:?}: {} changes, {} entries", CHANGES.len(), before.len());
}

#[tokio::test]
async fn each_class_of_object_alters_the_fingerprint_and_what_is_volatile_does_not() {
    a_change_alters_it_and_a_hint_does_not(Version::Newest).await;
}

#[tokio::test]
async fn each_class_of_object_alters_the_fingerprint_and_what_is_volatile_does_not_on_the_oldest() {
    a_change_alters_it_and_a_hint_does_not(Version::Oldest).await;
}

#[tokio::test]
async fn twenty_times_applied_and_rolled_back_the_fingerprint_is_the_same() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        let before = taken(&client).await;
        let mut made = None;
        for _ in 0..20 {
            client.batch_execute(&v001("create")).await.unwrap();
            let now = taken(&client).await;
            assert_eq!(*made.get_or_insert_with(|| now.clone()), now, "{version:?}");
            client.batch_execute(&v001("rollback")).await.unwrap();
            assert_eq!(before.difference(&taken(&client).await), [], "{version:?}");
        }
        assert_ne!(made, Some(before));
    }
}

/// Half of what the plan for a lock allows a caller to wait; a loaded machine takes a multiple.
const LARGE: &str = "do $$ begin for i in 1..3000 loop
    execute format('create table public.t_%s (a integer primary key, b text not null default ''x'', c timestamptz)', i);
    end loop; end $$";

#[tokio::test]
async fn a_catalog_of_three_thousand_relations_is_done_within_a_fraction_of_the_deadline() {
    let cluster = Cluster::own(Version::Default);
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client.batch_execute(LARGE).await.unwrap();
    let started = Instant::now();
    let large = taken(&client).await;
    println!("{} entries in {:?}", large.len(), started.elapsed());
    assert!(large.len() > 15_000, "{} entries", large.len());
    assert!(
        started.elapsed() < std::time::Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
    // As a delete reads it where one statement would take too long.
    let version = "select current_setting('server_version_num')::integer";
    let version = client.query_one(version, &[]).await.unwrap().get(0);
    let mut by_class = Fingerprint::default();
    client.batch_execute("begin").await.unwrap();
    for query in fingerprint::queries(version) {
        by_class.add(&client, &query).await.unwrap();
    }
    client.batch_execute("rollback").await.unwrap();
    assert!(by_class == large);
}
