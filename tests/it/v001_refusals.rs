//! What V001's create file refuses before it changes anything, and what it asks for.

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, assert_same, catalog, refusal, Operator};

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100))";

#[tokio::test]
async fn what_needs_adoption_is_refused_by_name_and_not_touched_even_if_psql_goes_on_after_errors() {
    let cases = [
        (
            "create schema raw; create table raw.site_tracking_events_r (raw_event_id serial primary key,
               tenant_hk bytea, raw_payload jsonb)",
            "raw.site_tracking_events_r.raw_event_id is integer not null, not bigint not null",
        ),
        (
            "create schema raw; create function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb)
               returns integer language sql as 'select 1'",
            "raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) returning integer is another function",
        ),
        ("create schema raw; create table raw.site_tracking_growth_v ()", "raw.site_tracking_growth_v is no view of V001's"),
        ("create schema raw; create view raw.site_tracking_volume_v as select 1 as one", "raw.site_tracking_volume_v is no view of V001's"),
        ("create schema raw; create view raw.site_tracking_keys_r as select 1 as one", "raw.site_tracking_keys_r is no table"),
    ];
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        for (predecessor, difference) in cases {
            client.batch_execute(predecessor).await.unwrap();
            let before = catalog(&client).await;
            for arguments in [&["-1"][..], &["-v", "ON_ERROR_STOP=0"]] {
                let said = Operator::superuser(&database).file("create", arguments);
                assert!(
                    said.stderr.contains(difference),
                    "{version:?} {arguments:?}: {}",
                    said.stderr
                );
                assert!(
                    said.stderr.contains("deploy it with migrate"),
                    "{version:?}: {}",
                    said.stderr
                );
                assert_same(
                    &catalog(&client).await,
                    &before,
                    &format!("{version:?} {arguments:?}"),
                );
            }
            let (code, ..) = refusal(client.batch_execute(&v001("create")).await);
            assert_eq!(code, "TR010");
            client.batch_execute("drop schema raw cascade").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_grant_to_run() {
    let cases: [(&str, &str, &str); 7] = [
        (
            "",
            "revoke create on database {db} from {user}",
            "grant create on database {db} to {user}",
        ),
        (
            "create schema raw",
            "",
            "grant usage, create on schema raw to {user}",
        ),
        (
            "create schema migrations",
            "",
            "grant usage, create on schema migrations to {user}",
        ),
        (
            TENANTS,
            "",
            "grant references (tenant_hk) on auth.tenant_h to {user}",
        ),
        (
            "create schema auth; create table auth.tenant_h (id integer)",
            "",
            "grant usage on schema auth to {user}",
        ),
        (
            "create schema migrations; create table migrations.migration_log (stack_id text)",
            "grant usage, create on schema migrations to {user}",
            "grant select, insert, update on migrations.migration_log to {user}",
        ),
        (
            "create schema raw; create table raw.site_tracking_keys_r ()",
            "grant usage, create on schema raw to {user}",
            "alter table raw.site_tracking_keys_r owner to {user}",
        ),
    ];
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let superuser = database.superuser().await;
        let operator = Operator::limited(&database).await;
        for (there, taken, remedy) in cases {
            let fill = |text: &str| {
                text.replace("{db}", &database.name)
                    .replace("{user}", &operator.user)
            };
            let arrange = fill(&format!("{there};{taken}"));
            superuser.batch_execute(&arrange).await.unwrap();
            let (code, message, hint) = refusal(operator.client().await.batch_execute(&v001("create")).await);
            assert_eq!(code, "TR013", "{version:?} {there}: {message}");
            assert!(
                hint.contains(&fill(remedy)),
                "{version:?} {there}: hint is {hint:?}"
            );
            let clean = "drop schema if exists raw, migrations, auth cascade;
                grant create on database {db} to {user}";
            superuser.batch_execute(&fill(clean)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_role_that_may_not_be_made_is_asked_for_and_bound_when_it_is_there() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let operator = Operator::limited(&database).await;
    let said = operator.must("create", &["-1"]).stderr;
    for role in ["tracking_ingest_role", "tracking_processor_role"] {
        assert!(
            said.contains(&format!("run \"create role {role} nologin\"")),
            "{said}"
        );
        database
            .superuser()
            .await
            .batch_execute(&format!("create role {role} nologin"))
            .await
            .unwrap();
    }
    let said = operator.file("verify", &[]).stderr;
    assert!(
        said.contains("tracking_ingest_role lacks EXECUTE on function raw.ingest_tracking_beacon"),
        "{said}"
    );
    operator.must("create", &["-1"]);
    operator.must("verify", &[]);
}
