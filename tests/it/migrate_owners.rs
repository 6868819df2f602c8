//! Who owns a layer that others have left, with and without telling the database.

use serde_json::json;

use crate::migrate_stack::{catalog, shared, Stack, BINARY};
use crate::support::function::Function;

#[tokio::test]
async fn a_stack_that_retained_without_connecting_stays_an_owner_until_an_operator_counts_it() {
    let mut gone = Stack::new(shared().await).await;
    let client = gone.client().await;
    let before = catalog(&client).await;
    gone.create().await;
    gone.set("OnDelete", "Retain");
    assert_eq!(gone.delete().await["Status"], "SUCCESS");
    let mut next = gone.sibling("two").await;
    next.set("IngestUser", gone.properties["IngestUser"].clone());
    assert_eq!(next.create().await["Data"]["Outcome"], "shared");
    let left = next.delete().await;
    assert_eq!(left["Data"]["Outcome"], "left", "{left}");
    let told = left["Reason"].as_str().unwrap();
    assert!(
        told.contains(&gone.id) && told.contains("rollback with \"owners\": 1"),
        "{left}"
    );

    let function = Function::start(BINARY, &gone.database.environment("nobody", "none")).await;
    let status = function.invoke(json!({"action": "status"}).to_string()).await;
    assert_eq!(status["owners"][0]["stack_id"], gone.id, "{status}");
    let mut rollback = json!({"action": "rollback", "version": "V001"});
    let refused = function.invoke(rollback.to_string()).await;
    assert_eq!(refused["ok"], false, "{refused}");
    rollback["owners"] = json!(1);
    let done = function.invoke(rollback.to_string()).await;
    assert_eq!(done["outcome"], "rolled_back", "{done}");
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn a_layer_whose_rows_were_retained_belongs_to_who_takes_it_over() {
    let mut first = Stack::new(shared().await).await;
    let client = first.client().await;
    let before = catalog(&client).await;
    first.create().await;
    first.land_event().await;
    assert_eq!(first.delete().await["Data"]["Outcome"], "retained");
    let mut second = first.sibling("two").await;
    let mut third = first.sibling("three").await;
    second.create().await;
    assert_eq!(third.create().await["Data"]["Outcome"], "shared");
    assert_eq!(first.delete().await["Data"]["Outcome"], "unchanged");
    second.set("OnDelete", "Drop");
    third.set("OnDelete", "Drop");
    assert_eq!(third.delete().await["Data"]["Outcome"], "left");
    assert_eq!(second.delete().await["Data"]["Outcome"], "rolled_back");
    assert_eq!(catalog(&client).await, before);
}
