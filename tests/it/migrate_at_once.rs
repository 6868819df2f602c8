//! Several at once, and one that is killed anywhere: nothing half-made is ever there.

use std::time::Duration;

use serde_json::{json, Value};

use crate::migrate_stack::{catalog, number, shared, Stack, REMAINING};
use crate::support::postgres::{Cluster, Version};
use crate::support::proxy::Proxy;
use crate::support::wait;

/// Sends one event for each stack, all before any answer; gives the answers.
async fn all_at_once(stacks: &mut [Stack<'_>], request_type: &str) -> Vec<Value> {
    let answered: Vec<_> = stacks
        .iter()
        .map(|stack| {
            stack
                .function
                .api
                .invoke(stack.event(request_type).to_string(), REMAINING)
        })
        .collect();
    for answered in answered {
        answered.await.unwrap();
    }
    let mut answers = Vec::new();
    for stack in stacks {
        answers.push(stack.url.put().await.json());
        stack.assert_discreet();
    }
    answers
}

fn count(answers: &[Value], outcome: &str) -> usize {
    answers
        .iter()
        .filter(|answer| answer["Data"]["Outcome"] == outcome)
        .count()
}

#[tokio::test]
async fn of_twenty_stacks_at_once_one_makes_the_layer_and_one_takes_it_away() {
    let cluster = Cluster::own(Version::Default);
    let first = Stack::new(&cluster).await;
    let client = first.client().await;
    let before = catalog(&client).await;
    let mut stacks = vec![first];
    for number in 2..=20 {
        let mut stack = stacks[0].sibling(&number.to_string()).await;
        stack.set("IngestUser", stacks[0].properties["IngestUser"].clone());
        stacks.push(stack);
    }
    let created = all_at_once(&mut stacks, "Create").await;
    assert_eq!(
        (count(&created, "applied"), count(&created, "shared")),
        (1, 19),
        "{created:?}"
    );
    let deleted = all_at_once(&mut stacks, "Delete").await;
    assert_eq!(
        (count(&deleted, "rolled_back"), count(&deleted, "left")),
        (1, 19),
        "{deleted:?}"
    );
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn an_event_that_is_delivered_twice_at_once_is_done_once() {
    let first = Stack::new(shared().await).await;
    let second = first.sibling("one").await;
    let mut stacks = [first, second];
    let created = all_at_once(&mut stacks, "Create").await;
    assert_eq!(
        (count(&created, "applied"), count(&created, "unchanged")),
        (1, 1),
        "{created:?}"
    );
    assert_eq!(created[0]["PhysicalResourceId"], created[1]["PhysicalResourceId"]);
    let deleted = all_at_once(&mut stacks, "Delete").await;
    assert_eq!(
        (count(&deleted, "rolled_back"), count(&deleted, "unchanged")),
        (1, 1),
        "{deleted:?}"
    );
}

/// The same stack again, its function a new process that reaches the database through `proxy`.
async fn through<'c>(stack: &Stack<'c>, proxy: &Proxy) -> Stack<'c> {
    let mut again = stack.sibling("one").await;
    again.set("DatabasePort", proxy.port.to_string());
    again.set("IngestUser", stack.properties["IngestUser"].clone());
    again
}

/// Lets an event through to its end; gives the places in its messages where something is sent.
async fn places(stack: &Stack<'_>, request_type: &str) -> Vec<usize> {
    let proxy = Proxy::clear_text(stack.database.cluster.port).await;
    let mut whole = through(stack, &proxy).await;
    let event = whole.event(request_type);
    assert_eq!(whole.send(event).await["Status"], "SUCCESS");
    let messages = proxy.messages();
    // What follows a first message comes with it; X, the last, comes after the commit.
    messages
        .bytes()
        .enumerate()
        .filter(|(_, kind)| !b"BDESX".contains(kind))
        .map(|(place, _)| place)
        .collect()
}

/// Kills a function before every other thing that it would send for an event: a step is two. Nothing may be left of
/// it, until the commit was sent: then all of it is there, and what follows only asks.
async fn killed_everywhere(stack: &mut Stack<'_>, request_type: &str) -> usize {
    let client = stack.client().await;
    let before = catalog(&client).await;
    let places = places(stack, request_type).await;
    let places: Vec<usize> = places.into_iter().step_by(2).collect();
    let after = catalog(&client).await;
    assert_ne!(after, before);
    undo(stack, request_type).await;
    for (killed, place) in places.iter().enumerate() {
        let proxy = Proxy::clear_text(stack.database.cluster.port).await;
        proxy.stall_after(*place);
        let doomed = through(stack, &proxy).await;
        let _unanswered = doomed
            .function
            .api
            .invoke(doomed.event(request_type).to_string(), REMAINING);
        tokio::time::timeout(Duration::from_secs(60), proxy.stalled())
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "{request_type} never comes to {place}: {}",
                    doomed.function.output()
                )
            });
        doomed.function.signal("KILL").await;
        proxy.reset_all();
        wait::until_async("the end of the session", Duration::from_secs(10), || async {
            let others = "select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in%'";
            (number(&client, others).await == 0).then_some(())
        })
        .await;
        let found = catalog(&client).await;
        let is_committed = found == after;
        let expected = if is_committed { &after } else { &before };
        assert_eq!(&found, expected, "{request_type} killed at {place}");
        if is_committed {
            undo(stack, request_type).await;
            return killed + 1;
        }
    }
    places.len()
}

async fn undo(stack: &mut Stack<'_>, request_type: &str) {
    let back = if request_type == "Create" {
        stack.delete().await
    } else {
        stack.create().await
    };
    assert_eq!(back["Status"], "SUCCESS", "{back}");
}

#[tokio::test]
async fn killed_between_any_two_messages_up_or_down_it_leaves_nothing() {
    let mut stack = Stack::new(shared().await).await;
    let up = killed_everywhere(&mut stack, "Create").await;
    stack.create().await;
    let down = killed_everywhere(&mut stack, "Delete").await;
    println!("kill points: {up} up, {down} down");
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
}

#[tokio::test]
async fn killed_inside_a_statement_it_leaves_nothing_and_the_server_notices() {
    let stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute(
            "create function public.hang() returns event_trigger language plpgsql as $$
             begin perform pg_sleep(600); end $$;
             create event trigger hang on ddl_command_end when tag in ('CREATE INDEX')
               execute function public.hang()",
        )
        .await
        .unwrap();
    let before = catalog(&client).await;
    let _unanswered = stack
        .function
        .api
        .invoke(stack.event("Create").to_string(), REMAINING);
    let sleeping = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'";
    for wanted in [1, 0] {
        wait::until_async("a statement and its end", Duration::from_secs(20), || async {
            (number(&client, sleeping).await == wanted).then_some(())
        })
        .await;
        if wanted == 1 {
            stack.function.signal("KILL").await;
        }
    }
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn a_connection_that_is_lost_on_the_way_is_made_again() {
    let mut stack = Stack::new(shared().await).await;
    let proxy = Proxy::clear_text(stack.database.cluster.port).await;
    stack.set("DatabasePort", json!(proxy.port.to_string()));
    for point in [3, 40] {
        proxy.messages();
        proxy.stall_after(point);
        let answered = stack
            .function
            .api
            .invoke(stack.event("Create").to_string(), REMAINING);
        proxy.stalled().await;
        proxy.reset_all();
        answered.await.unwrap();
        assert_eq!(stack.url.put().await.json()["Status"], "SUCCESS");
        stack.delete().await;
    }
}

#[tokio::test]
async fn a_statement_that_hangs_is_ended_before_the_deadline_and_leaves_nothing() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute(
            "create function public.hang() returns event_trigger language plpgsql as $$
             begin perform pg_sleep(600); end $$;
             create event trigger hang on ddl_command_end when tag in ('CREATE INDEX')
               execute function public.hang()",
        )
        .await
        .unwrap();
    let before = catalog(&client).await;
    let event = stack.event("Create");
    let answer = stack.send_within(event, Duration::from_secs(23)).await;
    assert_eq!(answer["Status"], "FAILED");
    assert!(
        answer["Reason"].as_str().unwrap().starts_with("57014"),
        "{answer}"
    );
    assert_eq!(catalog(&client).await, before);
}
