//! What a deploy does, done here: a database with its owner, V001 by a CloudFormation event, a tenant with a key.

use serde_json::{json, Value};
use site_tracking::migrate::catalogue::V001;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::http::invoke;
use crate::settings::Settings;
use crate::support::database::Database;
use crate::support::postgres::Cluster;
use crate::support::response_url::ResponseUrl;
use crate::Failed;

pub const DATABASE: &str = "tracking";
pub const TENANT: &str = "demo";
const MIGRATOR: &str = "tracking_migrator";
const INGEST: &str = "tracking_ingest";

/// Of logins that live as long as this program, on a server that listens on 127.0.0.1 alone.
const PASSWORD: &str = "throwaway";

/// The demo tenant's way in.
pub struct Site {
    pub key: String,
}

/// Makes the database and the login that owns it, no superuser; gives a superuser's session there.
pub async fn database(cluster: &Cluster) -> Result<Client, Failed> {
    let sql = [
        format!("create role {MIGRATOR} login createrole password '{PASSWORD}'"),
        format!("create database {DATABASE} owner {MIGRATOR}"),
    ];
    let maintenance = named(cluster, "postgres").superuser().await;
    for statement in sql {
        maintenance
            .batch_execute(&statement)
            .await
            .map_err(|error| format!("{statement}: {error}"))?;
    }
    Ok(named(cluster, DATABASE).superuser().await)
}

/// The variables of both functions.
pub fn environment(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let mut environment = named(cluster, DATABASE).environment(INGEST, PASSWORD);
    for (name, value) in &mut environment {
        match *name {
            "DB_MIGRATOR_USER" => *value = MIGRATOR.to_owned(),
            "DB_MIGRATOR_PASSWORD" => *value = PASSWORD.to_owned(),
            "LOG_LEVEL" => *value = "info".to_owned(),
            _ => {}
        }
    }
    environment
}

/// Applies V001 through `migrate`, gives the ingest login its password, makes a key.
pub async fn deploy(settings: &Settings, cluster: &Cluster, database: &Client) -> Result<Site, Failed> {
    let mut answer = ResponseUrl::start().await;
    invoke(settings.port, "migrate", &create_event(cluster, &answer.url)).await?;
    let answer = answer.put().await.json();
    if answer["Status"] != "SUCCESS" {
        return Err(format!(
            "migrate answered FAILED to CloudFormation: {}",
            answer["Reason"]
        ));
    }
    let password = format!("alter role {INGEST} password '{PASSWORD}'");
    database
        .batch_execute(&password)
        .await
        .map_err(|error| format!("{INGEST}'s password: {error}"))?;
    let create_key = json!({"action": "create_key", "tenant_bk": TENANT, "label": "make run"});
    let made = invoke(settings.port, "migrate", &create_key).await?;
    match made["key"].as_str() {
        Some(key) => Ok(Site { key: key.to_owned() }),
        None => Err(format!("migrate made no key: {made}")),
    }
}

fn create_event(cluster: &Cluster, response_url: &str) -> Value {
    json!({
        "RequestType": "Create",
        "ResponseURL": response_url,
        "StackId": format!("arn:aws:cloudformation:local:000000000000:stack/make-run/{}", Uuid::now_v7()),
        "RequestId": Uuid::now_v7().to_string(),
        "LogicalResourceId": "RawLayer",
        "ResourceType": "Custom::SiteTrackingRawLayer",
        "ResourceProperties": {
            "ServiceToken": "arn:aws:lambda:local:000000000000:function:migrate",
            "DatabaseHost": "127.0.0.1",
            "DatabasePort": cluster.port.to_string(),
            "DatabaseName": DATABASE,
            "DatabaseAuth": "password",
            "DatabaseCa": cluster.authority_pem(),
            "MigratorUser": MIGRATOR,
            "MigratorSecretArn": null,
            "IngestUser": INGEST,
            "IngestAuth": "password",
            "IngestConnectionLimit": "10",
            "FirstTenant": "",
            "FirstSiteKey": "",
            "FirstOrigins": "",
            "OnDelete": "DropIfEmpty",
            "Environment": "DEV",
            "BackupReference": "",
            "Alarms": "",
            "AlarmThresholds": "",
            "ReportBucket": "",
            "MigrationChecksum": V001.checksum(),
        },
    })
}

fn named<'c>(cluster: &'c Cluster, name: &str) -> Database<'c> {
    Database {
        cluster,
        name: name.to_owned(),
    }
}
