//! What of a predecessor could not be given back is refused before anything is touched; the rest is given back, whatever
//! became of it meanwhile, and what others have to look at is told.

use serde_json::json;
use tokio_postgres::Client;

use crate::migrate_predecessor::{
    assert_failed, assert_succeeded, predecessor, rows, state, told, COMPATIBLE,
};
use crate::migrate_stack::{number, Stack, BINARY};
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version, SUPERUSER_PASSWORD};

const ROLES: &str = "create role tracking_ingest_role nologin; create role tracking_processor_role nologin";

/// A server on which another database has made the roles.
async fn with_roles() -> Cluster {
    let cluster = Cluster::own(Version::Newest);
    let stack = Stack::new(&cluster).await;
    stack.client().await.batch_execute(ROLES).await.unwrap();
    cluster
}

/// A predecessor that was changed, `{db}` being its database.
async fn changed<'c>(cluster: &'c Cluster, change: &str) -> (Stack<'c>, Client) {
    let stack = predecessor(cluster, COMPATIBLE).await;
    let client = stack.client().await;
    let change = change.replace("{db}", &stack.database.name);
    client.batch_execute(&change).await.unwrap();
    (stack, client)
}

async fn refused_untouched(stack: &mut Stack<'_>, client: &Client, says: &[&str]) {
    let before = (state(client).await, rows(client).await);
    let answer = stack.create().await;
    assert_failed(&answer, "TR010");
    says.iter().for_each(|says| told(&answer, says));
    told(&answer, "nothing was changed");
    assert_eq!((state(client).await, rows(client).await), before, "{says:?}");
}

const OLD: &str = "raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb)";

#[tokio::test]
async fn what_could_not_be_given_back_or_found_is_refused_and_adopted_when_it_was_changed() {
    let cluster = with_roles().await;
    let (mut stack, client) = changed(
        &cluster,
        "create table public.old_events () inherits (raw.site_tracking_events_r);
         alter table raw.site_tracking_events_r alter column processing_status drop default,
           alter column processing_status type text;
         create function raw.ingest_tracking_event(p_bk text, p_event jsonb) returns integer language sql as 'select 1';
         drop function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb);
         create function raw.ingest_tracking_event(p_tenant_hk bytea, p_api_key_hk bytea default null,
           p_client_ip inet default null, p_user_agent text default null, p_event_data jsonb default '{}') returns integer
           language sql as 'select 1';
         grant insert on raw.site_tracking_events_r to tracking_processor_role",
    )
    .await;
    let says = [
        "alter table public.old_events no inherit raw.site_tracking_events_r",
        "alter table raw.site_tracking_events_r alter column processing_status set default 'PENDING'",
        "alter table raw.site_tracking_events_r alter column processing_status type character varying",
        "raw.ingest_tracking_event(text, jsonb) has the name of a function of V001's with other arguments",
        "raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) has defaults",
        "revoke INSERT on raw.site_tracking_events_r from tracking_processor_role",
    ];
    refused_untouched(&mut stack, &client, &says).await;
    for remedy in says.iter().filter(|says| !says.starts_with("raw.")) {
        client.batch_execute(remedy).await.unwrap();
    }
    client
        .batch_execute(
            "drop function raw.ingest_tracking_event(text, jsonb); drop function raw.ingest_tracking_event",
        )
        .await
        .unwrap();
    let before = state(&client).await;
    assert_succeeded(&stack.create().await);
    assert_succeeded(&stack.delete().await);
    assert_eq!(state(&client).await, before);

    for (change, says) in [
        (
            "create table public.all_events (like raw.site_tracking_events_r) partition by range (raw_event_id);
             alter table public.all_events attach partition raw.site_tracking_events_r default",
            "alter table public.all_events detach partition raw.site_tracking_events_r",
        ),
        (
            "create role mig_{db} login createrole password '{password}'; grant create on database {db} to mig_{db};
             grant usage on schema auth to mig_{db};
             grant references (tenant_hk), select (tenant_hk, tenant_bk) on auth.tenant_h to mig_{db};
             alter function {old} leakproof; alter function {old} owner to mig_{db};
             alter table raw.site_tracking_events_r owner to mig_{db}; alter schema raw owner to mig_{db}",
            "could not be put back as it is: only superuser can define a leakproof function",
        ),
        (
            "create function public.no() returns trigger language plpgsql as 'begin raise exception ''not at commit''; end';
             create constraint trigger no after insert on raw.site_tracking_events_r deferrable initially deferred
             for each row execute function public.no()",
            "not at commit",
        ),
        (
            "create table auth.api_keys (api_key_hk bytea primary key);
             alter table raw.site_tracking_events_r add constraint fk_key foreign key (api_key_hk)
               references auth.api_keys (api_key_hk) deferrable initially deferred",
            "violates foreign key constraint \"fk_key\"",
        ),
        (
            "create function public.skip() returns trigger language plpgsql as 'begin return null; end';
             create trigger skip before insert on raw.site_tracking_events_r for each row execute function public.skip()",
            "an event was neither stored nor is it there",
        ),
    ] {
        let change = change.replace("{old}", OLD).replace("{password}", SUPERUSER_PASSWORD);
        let (mut stack, client) = changed(&cluster, &change).await;
        if change.contains("leakproof") {
            stack.set("MigratorUser", format!("mig_{}", stack.database.name));
        }
        refused_untouched(&mut stack, &client, &[says]).await;
    }
}

#[tokio::test]
async fn what_others_have_to_look_at_is_told_and_what_was_theirs_is_theirs_again() {
    let cluster = with_roles().await;
    let (mut stack, client) = changed(
        &cluster,
        "create schema crm; create table crm.tenants (hk bytea primary key); insert into crm.tenants values ('\\x01');
         alter table raw.site_tracking_events_r drop constraint fk_tracking_tenant,
           add constraint fk_crm foreign key (tenant_hk) references crm.tenants (hk),
           alter column received_timestamp set default clock_timestamp(), enable row level security;
         drop schema auth cascade;
         grant select on raw.site_tracking_events_r to public;
         grant update (retry_count) on raw.site_tracking_events_r to tracking_processor_role;
         create index site_tracking_events_r_received on raw.site_tracking_events_r using brin (received_timestamp);
         comment on index raw.site_tracking_events_r_received is 'mine';
         create publication all_{db} for table raw.site_tracking_events_r;
         create function public.see() returns trigger language plpgsql as 'begin return new; end';
         create trigger see before insert on raw.site_tracking_events_r for each row execute function public.see();
         create function public.track(p jsonb) returns table (id integer) language plpgsql set search_path = raw as
           $$ begin return query select ingest_tracking_event('\\x01', null, null, null, p); end $$",
    )
    .await;
    let attributes = "select string_agg(a.attacl::text, ' ') from pg_attribute a
        where a.attrelid = 'raw.site_tracking_events_r'::regclass";
    let held = || async {
        let row = client.query_one(attributes, &[]).await.unwrap();
        row.get::<_, String>(0)
    };
    let before = (state(&client).await, held().await);
    let created = stack.create().await;
    assert_succeeded(&created);
    for says in [
        "trigger see on raw.site_tracking_events_r stays and runs with every event",
        "row security is enabled on raw.site_tracking_events_r",
        &format!("is published (all_{})", stack.database.name),
        "look at who calls it (public.track(jsonb))",
    ] {
        told(&created, says);
    }
    assert_succeeded(&stack.delete().await);
    assert_eq!((state(&client).await, held().await), before);
    let output = stack.function.output();
    assert!(!output.contains("is not as it was before V001"), "{output}");
}

#[tokio::test]
async fn a_function_is_given_back_whatever_became_of_its_owner_its_grantors_or_itself() {
    let cluster = Cluster::own(Version::Newest);
    let two_grantors = format!(
        "create role a_{{db}}; create role b_{{db}}; create role was_{{db}};
         grant usage, create on schema raw to was_{{db}}; grant usage on schema raw to a_{{db}}, b_{{db}};
         grant execute on function {OLD} to a_{{db}} with grant option; grant execute on function {OLD} to b_{{db}};
         set role a_{{db}}; grant execute on function {OLD} to b_{{db}}; reset role;
         alter function {OLD} owner to was_{{db}}"
    );
    let (mut stack, client) = changed(&cluster, &two_grantors).await;
    let name = stack.database.name.clone();
    let fill = |sql: &str| sql.replace("{db}", &name);
    let run = |sql: &str| {
        let (client, sql) = (&client, fill(sql));
        async move { client.batch_execute(&sql).await.unwrap() }
    };
    let gone = fill(
        "create role was_{db} nologin; grant create on schema raw to was_{db}; grant was_{db} to postgres",
    );
    let (lose, mend) = (
        "drop owned by was_{db}; drop role was_{db}; create view public.keys as select api_key_hk from raw.site_tracking_keys_r",
        "create or replace function raw.ingest_tracking_event(p_tenant_hk bytea, p_api_key_hk bytea, p_client_ip inet,
           p_user_agent text, p_event_data jsonb) returns integer language sql security definer as 'select 7 -- mended';
         drop view public.keys",
    );
    assert_succeeded(&stack.create().await);
    run(lose).await;
    let refused = stack.delete().await;
    assert_failed(&refused, "TR018");
    assert_failed(&refused, &gone);
    run(&gone).await;

    let refused = stack.delete().await;
    assert_failed(&refused, "TR016");
    assert_failed(
        &refused,
        "functions that had given way to V001's are back already",
    );
    run(mend).await;
    let deleted = stack.delete().await;
    assert_succeeded(&deleted);
    let output = stack.function.output();
    assert!(
        output.contains("stays as it is: it is neither V001's"),
        "{output}"
    );
    let told = output.split("what stays is not as it was before V001: ").nth(1);
    let told = told.unwrap_or_else(|| panic!("{output}"));
    assert!(
        told.starts_with("altered: function raw.ingest_tracking_event("),
        "{told}"
    );
    let mended = "select raw.ingest_tracking_event(null, null, null, null, null)::bigint";
    assert_eq!(number(&client, mended).await, 7);

    let environment = stack.database.environment("nobody", "none");
    let function = Function::start(BINARY, &environment).await;
    let absent = json!({"action": "verify", "expect": "absent"}).to_string();
    let answer = function.invoke(absent.clone()).await;
    assert_eq!(answer["ok"], true, "{answer}");
    client
        .batch_execute("create function raw.quarantined_bytes() returns integer language sql as 'select 1'")
        .await
        .unwrap();
    let answer = function.invoke(absent).await;
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(
        answer["differences"],
        json!(["function raw.quarantined_bytes is there"])
    );
}

#[tokio::test]
async fn a_refusal_behind_a_table_that_was_prepared_says_so_and_the_delete_takes_it_away() {
    // An index that was not built to its end makes an adoption go in steps, as a big table does.
    let cluster = Cluster::own(Version::Newest);
    let (mut stack, client) = changed(
        &cluster,
        "create index site_tracking_events_r_pending on raw.site_tracking_events_r (raw_event_id)
           where processing_status = 'PENDING';
         update pg_index set indisvalid = false where indexrelid = 'raw.site_tracking_events_r_pending'::regclass;
         create function public.no() returns trigger language plpgsql as 'begin raise ''not here''; end';
         create trigger no before insert on raw.site_tracking_events_r for each row execute function public.no()",
    )
    .await;
    let mut before = state(&client).await;
    for _ in 0..2 {
        let refused = stack.create().await;
        assert_failed(&refused, "TR010");
        assert_failed(&refused, "not here");
        assert_failed(&refused, "its Delete takes that away");
        let reason = refused["Reason"].as_str().unwrap();
        assert!(!reason.contains("nothing was changed"), "{reason}");
    }
    assert_succeeded(&stack.delete().await);
    let mut now = state(&client).await;
    let rebuilt = "index CREATE INDEX site_tracking_events_r_pending ";
    now.retain(|line| !line.starts_with(rebuilt));
    before.retain(|line| !line.starts_with(rebuilt));
    assert_eq!(now, before);
}

#[tokio::test]
async fn on_the_oldest_a_caller_that_would_not_take_the_new_result_is_named_wherever_it_is() {
    let cluster = Cluster::own(Version::Oldest);
    let (mut stack, client) = changed(
        &cluster,
        "create function raw.wrap(p jsonb) returns integer language sql as
           $$ select raw.ingest_tracking_event('\\x01', null, null, null, p) $$;
         create function public.wrap(p jsonb) returns integer language sql set search_path = raw as
           $$ select ingest_tracking_event('\\x01', null, null, null, p) $$",
    )
    .await;
    let says = ["raw.wrap calls the function that gives way", "public.wrap calls"];
    refused_untouched(&mut stack, &client, &says).await;
}
