//! Keeps a deploy's filled checklist in the bucket that the stack names, as JSON and as Markdown.
//!
//! In: the bucket, the page, the time that is left. Out: a note that says where it is, or why it is not there: the
//! deploy is done, and a page that cannot be kept does not undo it.

use std::time::Duration;

use tokio::time::Instant;

use super::catalogue::V001;
use super::checklist::filled::Filled;
use super::checklist::markdown;
use crate::aws::Aws;
use crate::config::Environment;

/// Both objects together: Amazon S3 takes 50 KB well under a second, and CloudFormation waits for its answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Keeps it, before `end`; tells how that went.
pub async fn keep(environment: &Environment, bucket: &str, filled: &Filled, end: Instant) -> String {
    match put(environment, bucket, filled, end).await {
        Ok(key) => format!("the checklist is kept at s3://{bucket}/{key}.json and .md"),
        Err(why) => format!(
            "the checklist is not kept in bucket {bucket}: {why}: let the function s3:PutObject there and reach Amazon S3"
        ),
    }
}

async fn put(
    environment: &Environment,
    bucket: &str,
    filled: &Filled,
    end: Instant,
) -> Result<String, String> {
    let config = environment.aws().map_err(|invalid| invalid.to_string())?;
    let aws = Aws::new(config);
    let at = filled.at.replace(['-', ':'], "");
    let key = format!("{}/test_results_{}_{at}", V001.version, V001.version);
    let end = end.min(Instant::now() + LIMIT);
    for (ending, body) in [
        ("json", filled.to_json().to_string()),
        ("md", markdown::page(filled)),
    ] {
        let left = end.saturating_duration_since(Instant::now());
        let sent = aws
            .put_object(bucket, &format!("{key}.{ending}"), body, left)
            .await;
        sent.map_err(|error| error.to_string())?;
    }
    Ok(key)
}
