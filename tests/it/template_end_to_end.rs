//! A stack from its create to its delete: the functions run with exactly the variables, and the custom resource has
//! exactly the properties, of the translated template. Only what AWS would make is of this machine: the database, the
//! secrets, the queues.

use std::process::Command;

use serde_json::{json, Map, Value};
use site_tracking::aws::Service;
use site_tracking::site_key::SiteKey;

use crate::migrate_stack::{Stack as Resource, BINARY};
use crate::support::database::Database;
use crate::support::event_source::EventSource;
use crate::support::function::Function;
use crate::support::gateway::{Request, Shape};
use crate::support::postgres::{Cluster, Version};
use crate::support::response_url::ResponseUrl;
use crate::support::site::Site;
use crate::support::stack_template::{text_of, translated, Choice, Stack};
use crate::support::tools;
use crate::INGEST;

const MIGRATOR_PASSWORD: &str = "canary-password-of-the-migrator";
const INGEST_PASSWORD: &str = "canary-password-of-ingest";

/// What the deployer chooses, with what AWS would have made beforehand.
struct World {
    database: Database<'static>,
    source: EventSource,
    choice: Choice,
    key: SiteKey,
}

impl World {
    async fn new(cluster: &'static Cluster) -> Self {
        let (database, source) = (Database::empty(cluster).await, EventSource::new().await);
        let logins = format!(
            "create role tracking_migrator login createrole password '{MIGRATOR_PASSWORD}';
             grant create on database {} to tracking_migrator;
             create role tracking_ingest login password '{INGEST_PASSWORD}'",
            database.name
        );
        database.superuser().await.batch_execute(&logins).await.unwrap();
        let key = drawn_key();
        let pem = cluster.authority_pem().display().to_string();
        let migrator = secret(&source, "tracking_migrator", MIGRATOR_PASSWORD).await;
        let ingest = secret(&source, "tracking_ingest", INGEST_PASSWORD).await;
        let pairs = [
            ("Database", "existing"),
            ("DatabaseHost", "127.0.0.1"),
            ("DatabasePort", &cluster.port.to_string()),
            ("DatabaseName", &database.name),
            ("DatabaseAuth", "secret"),
            ("DatabaseCa", &pem),
            ("MigratorSecretArn", &migrator),
            ("IngestSecretArn", &ingest),
            ("FirstTenant", "shop"),
            ("FirstSiteKey", key.expose()),
            ("FirstOrigins", "https://shop.example"),
        ];
        let choice = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            database,
            source,
            choice: choice.into(),
            key,
        }
    }

    fn stack(&self) -> Stack<'static> {
        let mut stack = Stack::new(translated(), &self.choice);
        assert_eq!(stack.refusals(), Vec::<String>::new());
        for (name, url) in [
            ("OutageQueue", &self.source.url),
            ("DeadLetters", &self.source.dead_letters_url),
        ] {
            stack.known.insert(name.to_owned(), json!(url));
        }
        stack
    }

    /// The variables of a function, and those that Lambda adds.
    fn variables(&self, function: &str) -> Vec<(&'static str, String)> {
        let resource = self.stack().resource(function).unwrap();
        let set = resource["Properties"]["Environment"]["Variables"]
            .as_object()
            .unwrap();
        let set = set.iter().map(|(name, value)| {
            let name: &'static str = name.clone().leak();
            (name, text_of(value))
        });
        set.chain(self.source.moto.environment()).collect()
    }

    /// The properties of the custom resource as CloudFormation sends them: every scalar is a text.
    fn properties(&self) -> Value {
        let layer = self.stack().resource("RawLayer").unwrap();
        let properties = layer["Properties"].as_object().unwrap().clone();
        let texts = properties.into_iter().map(|(name, value)| {
            let value = if value.is_array() || value.is_object() {
                value
            } else {
                json!(text_of(&value))
            };
            (name, value)
        });
        Value::Object(texts.collect::<Map<_, _>>())
    }

    async fn resource(&self) -> Resource<'static> {
        Resource {
            database: self.database_again(),
            function: Function::start(BINARY, &self.variables("MigrateFunction")).await,
            url: ResponseUrl::start().await,
            id: "arn:aws:cloudformation:eu-west-1:123456789012:stack/site-tracking/1".to_owned(),
            physical_id: None,
            properties: self.properties(),
        }
    }

    fn database_again(&self) -> Database<'static> {
        Database {
            cluster: self.database.cluster,
            name: self.database.name.clone(),
        }
    }

    async fn site(&self) -> Site {
        Site {
            database: self.database_again(),
            login: "tracking_ingest".to_owned(),
            tenant_hk: b"shop".to_vec(),
            key: self.key.clone(),
            admin: self.database.superuser().await,
        }
    }
}

/// As `make site-key` prints it.
fn drawn_key() -> SiteKey {
    let output = Command::new(tools::project().join("tools/site-key"))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    SiteKey::parse(&printed).expect("what is printed is a key")
}

/// As a person or RDS makes it; its ARN.
async fn secret(source: &EventSource, user: &str, password: &str) -> String {
    let name = uuid::Uuid::now_v7().simple().to_string();
    let text = json!({ "username": user, "password": password }).to_string();
    let body = json!({ "Name": name, "SecretString": text });
    let action = "secretsmanager.CreateSecret";
    let answer = source.moto.ask(Service::SecretsManager, action, body).await;
    text_of(&answer["ARN"])
}

fn beacon(key: &SiteKey, origin: &str) -> Request {
    Request::post(Shape::V2, key.expose(), r#"{"event":"canary"}"#).header("origin", Some(origin))
}

#[tokio::test]
async fn a_stack_lives_from_its_create_over_beacons_and_an_outage_to_its_delete() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own(Version::Default)));
    let mut world = World::new(cluster).await;
    let mut resource = world.resource().await;

    // CloudFormation repeats a Create whose answer it lost: one key, the same for the page.
    let mut settings = Value::Null;
    for _ in 0..2 {
        let answer = resource.create().await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        settings = answer["Data"]["IngestSettings"].clone();
    }
    assert_eq!(text_of(&settings).len(), 32, "{settings}");
    let mut site = world.site().await;
    let keys = "select count(*) from raw.site_tracking_keys_r where tenant_bk = 'shop' and is_active";
    assert_eq!(crate::migrate_stack::number(&site.admin, keys).await, 1);
    let snippet = text_of(&world.stack().outputs()["Snippet"]);
    assert!(snippet.contains(world.key.expose()), "{snippet}");

    let ingest = site.start_with(INGEST, &world.variables("IngestFunction")).await;
    let live = ingest.send(&beacon(&world.key, "https://shop.example")).await;
    assert_eq!((live.status, &live.body["stored"]), (200, &json!(1)), "{live:?}");
    let elsewhere = ingest.send(&beacon(&world.key, "https://other.example")).await;
    assert_eq!((elsewhere.status, elsewhere.tag()), (403, "origin"));

    cluster.stop();
    let kept = ingest.send(&beacon(&world.key, "https://shop.example")).await;
    assert_eq!((kept.status, &kept.body["queued"]), (202, &json!(1)), "{kept:?}");
    cluster.start_again();
    world.source.drain(&ingest).await;
    site.admin = site.database.superuser().await;
    assert_eq!(site.count().await, 2);
    assert_eq!(world.source.dead_letters().await, Vec::<Value>::new());

    world
        .choice
        .insert("FirstOrigins".to_owned(), "https://other.example".to_owned());
    resource.properties = world.properties();
    let answer = resource.update().await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_eq!(
        answer["Data"]["IngestSettings"], settings,
        "the key is no setting of ingest"
    );
    let elsewhere = ingest.send(&beacon(&world.key, "https://other.example")).await;
    assert_eq!(elsewhere.status, 200, "{elsewhere:?}");
    ingest.stop().await;

    ingest_may_take_tokens_where_the_migrator_has_a_password(&mut resource, &site).await;

    // Events are there: the default keeps them, and only Drop does not.
    let answer = resource.delete().await;
    assert_eq!(answer["Data"]["Outcome"], "retained", "{answer}");
    assert_eq!(site.count().await, 3);
    let answer = resource.create().await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    world.choice.insert("OnDelete".to_owned(), "Drop".to_owned());
    world.choice.insert("IpMode".to_owned(), "none".to_owned());
    resource.properties = world.properties();
    let answer = resource.update().await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_ne!(answer["Data"]["IngestSettings"], settings);
    let answer = resource.delete().await;
    assert_eq!(answer["Data"]["Outcome"], "rolled_back", "{answer}");
    let absent = resource
        .function
        .invoke(r#"{"action":"verify","expect":"absent"}"#)
        .await;
    assert_eq!(absent["ok"], true, "{absent}");
}

/// As where the stack makes the database: there is a role for tokens, and the master user may pass it on.
async fn ingest_may_take_tokens_where_the_migrator_has_a_password(resource: &mut Resource<'_>, site: &Site) {
    let role = "create role rds_iam; grant rds_iam to tracking_migrator with admin option";
    site.admin.batch_execute(role).await.unwrap();
    resource.set("IngestAuth", "iam");
    assert_eq!(resource.update().await["Status"], "SUCCESS");
    let member = "select count(*) from pg_auth_members
        where roleid = 'rds_iam'::regrole and member = 'tracking_ingest'::regrole";
    assert_eq!(crate::migrate_stack::number(&site.admin, member).await, 1);
}

#[tokio::test]
async fn a_first_key_is_one_tenants_and_a_revoked_one_stays_revoked() {
    let cluster = crate::migrate_stack::shared().await;
    let mut resource = Resource::new(cluster).await;
    let key = drawn_key();
    resource.set("FirstTenant", "shop");
    resource.set("FirstSiteKey", key.expose());
    assert_eq!(resource.create().await["Status"], "SUCCESS");
    let admin = resource.client().await;

    resource.set("FirstTenant", "another");
    let answer = resource.update().await;
    let reason = text_of(&answer["Reason"]);
    assert!(
        answer["Status"] == "FAILED" && reason.contains("FirstSiteKey is a key of another tenant"),
        "{answer}"
    );
    resource.set("FirstSiteKey", &key.expose()[..20]);
    let answer = resource.update().await;
    let cut = text_of(&answer["Reason"]);
    assert!(
        answer["Status"] == "FAILED" && cut.contains("FirstSiteKey is not a site key"),
        "{answer}"
    );
    resource.set("FirstSiteKey", key.expose());
    let told = format!("{reason}{}", resource.function.output());
    assert!(!told.contains(key.expose()), "{told}");

    let revoke = "update raw.site_tracking_keys_r set is_active = false, revoked_at = now()";
    admin.batch_execute(revoke).await.unwrap();
    resource.set("FirstTenant", "shop");
    let answer = resource.update().await;
    let reason = text_of(&answer["Reason"]);
    assert!(
        answer["Status"] == "SUCCESS" && reason.contains("was revoked and stays so"),
        "{answer}"
    );
    let active = "select count(*) from raw.site_tracking_keys_r where is_active";
    assert_eq!(crate::migrate_stack::number(&admin, active).await, 0);

    // Where no tenant can be found, a Create has made the layer all the same: its Delete has something to undo.
    let database = Database::empty(cluster).await;
    let tenants =
        "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255),
        load_date timestamptz, record_source varchar(100))";
    database.superuser().await.batch_execute(tenants).await.unwrap();
    let mut strange = Resource::on(database, "strange").await;
    strange.set("FirstTenant", "nobody");
    strange.set("FirstSiteKey", key.expose());
    let answer = strange.create().await;
    let (reason, id) = (text_of(&answer["Reason"]), text_of(&answer["PhysicalResourceId"]));
    assert!(
        answer["Status"] == "FAILED" && reason.contains("no tenant"),
        "{answer}"
    );
    assert!(!id.ends_with("/not-created"), "{id}");
    let answer = strange.delete().await;
    assert_eq!(answer["Data"]["Outcome"], "rolled_back", "{answer}");
}
