//! The corpus of `tests/events/corpus`: every beacon yields the answer and the rows that stand beside it.
//!
//! The cases go through the real binary onto real databases, each with a tenant and site keys of its own; what
//! differs is reported for all of them together. `tests/events/README.md` has the format.

mod case;
mod recipe;
mod container;
mod answer;
mod rows;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::postgres::{Cluster, Version};
use crate::support::site::{Site, Watched};
use crate::support::tools;
use crate::INGEST;
use case::{Case, Keys};
use tally::Played;

/// What the corpus promises to hold.
const CASES_MIN: usize = 250;
const CASES_PER_STEP_MIN: usize = 8;

#[tokio::test]
async fn each_beacon_yields_its_answer_and_its_rows_on_the_oldest_postgresql() {
    play(Version::Oldest).await;
}

#[tokio::test]
async fn each_beacon_yields_its_answer_and_its_rows_on_the_newest_postgresql() {
    play(Version::Newest).await;
}

#[test]
fn no_two_cases_share_container_encoding_step_split_and_verdict() {
    let mut seen: BTreeMap<[String; 5], String> = BTreeMap::new();
    for case in Case::all() {
        let other = seen.insert(case.traits(), case.name.clone());
        assert_eq!(other, None, "{} has the traits of another case", case.name);
    }
    assert!(seen.len() >= CASES_MIN, "{} cases", seen.len());
}

#[test]
fn each_ladder_step_is_taken_by_at_least_eight_cases() {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for case in Case::all() {
        let [_, _, step, ..] = case.traits();
        *count.entry(step).or_default() += 1;
    }
    assert!(count.values().all(|n| *n >= CASES_PER_STEP_MIN), "{count:?}");
}

#[test]
fn each_trait_of_a_case_is_explained_in_the_readme() {
    let readme = std::fs::read_to_string(tools::project().join("tests/events/README.md")).unwrap();
    let traits: BTreeSet<String> = Case::all().iter().flat_map(Case::traits).collect();
    let is_missing = |name: &&String| !readme.contains(&format!("`{name}`"));
    let missing: Vec<_> = traits.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "tests/events/README.md does not name {missing:?}"
    );
}

/// Plays every case, to one process for all that need the same settings, and reports all that differ.
async fn play(version: Version) {
    let site = Site::on(Cluster::shared(version)).await;
    site.admin.batch_execute(TENANTS).await.unwrap();
    let mut by_settings: BTreeMap<_, Vec<(usize, Case)>> = BTreeMap::new();
    for (number, case) in Case::all().into_iter().enumerate() {
        by_settings
            .entry(case.settings())
            .or_default()
            .push((number, case));
    }
    let (mut failures, mut all) = (Vec::new(), 0);
    for (settings, cases) in &by_settings {
        let changed: Vec<_> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let ingest = site.start_with(INGEST, &site.environment_with(&changed)).await;
        let mut played = Vec::new();
        for (number, case) in cases {
            let (one, differences) = play_one(&site, &ingest, *number, case).await;
            played.push(one);
            failures.extend(differences);
        }
        all += cases.len();
        failures.extend(tally::differences(&played, &ingest.stop().await));
    }
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{failed} of {all} cases:\n{}",
        failures.join("\n")
    );
}

/// Sends a case as often as it says.
async fn play_one(site: &Site, ingest: &Watched, number: usize, case: &Case) -> (Played, Option<String>) {
    let keys = Keys::make(site, number, &case.text).await;
    let case = case.filled(&keys);
    let stored_before = site.count().await;
    let mut replies = Vec::new();
    for _ in 0..case.times() {
        replies.push(ingest.invoke(container::event(&case)).await);
    }
    let differences = differences(site, &case, &keys, &replies, stored_before).await;
    let about = format!("tests/events/corpus/{}: {}", case.name, case.about());
    let differs = (!differences.is_empty()).then(|| format!("{about}\n    {}", differences.join("\n    ")));
    let rows = site.count().await - stored_before;
    let name = case.name.clone();
    (Played { name, replies, rows }, differs)
}

/// Keys whose tenant is not in this table are refused by the foreign key.
const TENANTS: &str = "create schema auth;
    create table auth.tenant_h (tenant_hk bytea primary key);
    alter table raw.site_tracking_events_r add foreign key (tenant_hk) references auth.tenant_h";

async fn differences(
    site: &Site,
    case: &Case,
    keys: &Keys,
    replies: &[Value],
    stored_before: usize,
) -> Vec<String> {
    let last = replies.last().unwrap();
    let mut found = answer::differences(case, last);
    let (expected, rows) = (rows::expected(site, case).await, rows::of(site, case, keys).await);
    found.extend(rows::differences(case, keys, &expected, &rows));
    found.extend(rows::receipt_differences(&rows, &answer::receipts(replies)));
    let elsewhere = site.count().await - stored_before - rows.len();
    if elsewhere > 0 {
        found.push(format!("{elsewhere} rows under another tenant"));
    }
    found
}
