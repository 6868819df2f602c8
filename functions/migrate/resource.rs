//! One request of CloudFormation, from its event to the answer that is owed.
//!
//! In: the event and its envelope. Out: an [`Answer`], whatever happens: every path through this file ends in one. The
//! resource's id follows from what may be there: a Create that made nothing says so in its id, so that its Delete has
//! nothing to do; nothing else ever changes an id.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio_postgres::error::SqlState;

use super::answer::{Answer, Status};
use super::catalogue::V001;
use super::cfn_event::{Envelope, Request};
use super::checklist::says::Says;
use super::failure::Failure;
use super::fields::Fields;
use super::first_key::{self, FirstKey};
use super::guard;
use super::keep;
use super::notes::Weight;
use super::plan::{OnDelete, Owner, Wish};
use super::properties::{self, Login};
use super::report::Report;
use super::run::{self, Ending, Order};
use super::time_left::{self, Work};
use crate::config::{Database, Environment};

/// What came of a request: the answer, and what the log tells beside it.
pub struct Fulfilled {
    /// For CloudFormation.
    pub answer: Answer,
    /// What was done.
    pub report: Option<Report>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// Does what the event asks for, in time; a panic anywhere in it is a failure like any other.
pub async fn fulfil(
    environment: &Environment,
    event: &RawValue,
    envelope: &Envelope,
    deadline_ms: u64,
) -> Fulfilled {
    let (environment, event, owned) = (environment.clone(), event.to_owned(), envelope.clone());
    let fulfilling = async move { fulfil_unguarded(&environment, &event, &owned, deadline_ms).await };
    guard::catch(fulfilling)
        .await
        .unwrap_or_else(|failure| failed(envelope, None, failure))
}

async fn fulfil_unguarded(
    environment: &Environment,
    event: &RawValue,
    envelope: &Envelope,
    deadline_ms: u64,
) -> Fulfilled {
    let request = match Request::of(event, envelope) {
        Ok(request) => request,
        Err(failure) => return failed(envelope, None, failure),
    };
    if request == Request::Delete && envelope.was_not_created() {
        return succeeded(
            envelope,
            request,
            reason_only("nothing was created, nothing to delete"),
        );
    }
    match work(environment, event, envelope, request, deadline_ms).await {
        Ok(report) => succeeded(envelope, request, report),
        Err(failure) if request == Request::Delete && failure.is(&SqlState::INVALID_CATALOG_NAME) => {
            succeeded(
                envelope,
                request,
                reason_only("the database is gone, and with it what was in it"),
            )
        }
        Err(failure) => failed(envelope, Some(request), failure),
    }
}

async fn work(
    environment: &Environment,
    event: &RawValue,
    envelope: &Envelope,
    request: Request,
    deadline_ms: u64,
) -> Result<Report, Failure> {
    let fields = Fields::of(event);
    let resource = fields.object("ResourceProperties");
    let on_delete = properties::on_delete(&resource)?;
    if request == Request::Delete && on_delete == OnDelete::Retain {
        return Ok(reason_only("OnDelete is Retain: everything stays as it is"));
    }
    let order = order(&resource, envelope, request, on_delete)?;
    let first_key = match request {
        Request::Delete => None,
        Request::Create | Request::Update => FirstKey::of(&resource)?,
    };
    let database = properties::database(&resource, environment)?;
    let end = time_left::end_of(work_of(request), deadline_ms, std::time::SystemTime::now())?;
    #[cfg(feature = "provoke-panic")]
    let provoked = resource.text("ProvokePanic");
    #[cfg(feature = "provoke-panic")]
    assert_ne!(provoked.as_deref(), Some("while reading"), "provoked");
    let notes = notes(&fields, &resource, request);
    let mut report = guard::finish(end, async move {
        #[cfg(feature = "provoke-panic")]
        assert_eq!(provoked, None, "provoked");
        let mut report = run::run(&database, &order, end).await?;
        report
            .notes
            .extend(Weight::Know, registered(first_key, &database).await?);
        Ok(report)
    })
    .await?;
    report.notes.extend(Weight::Act, notes);
    report.ingest_settings = properties::digest_of_settings(&resource);
    if let (Some(bucket), Some(filled)) = (Says::of_properties(&resource).report_bucket, &report.checklist) {
        let kept = keep::keep(environment, &bucket, filled, end).await;
        report.notes.push(Weight::Aside, kept);
    }
    Ok(report)
}

/// Behind the commit: what fails here has made something.
async fn registered(first: Option<FirstKey>, database: &Database) -> Result<Option<String>, Failure> {
    let Some(first) = first else { return Ok(None) };
    let registering = first.register(database).await;
    registering.map_err(|failure| Failure {
        may_have_made: true,
        ..failure
    })
}

fn work_of(request: Request) -> Work {
    match request {
        Request::Create | Request::Update => Work::Deploy,
        Request::Delete => Work::Undo,
    }
}

fn order(
    resource: &Fields<'_>,
    envelope: &Envelope,
    request: Request,
    on_delete: OnDelete,
) -> Result<Order, Failure> {
    let owner = Owner {
        stack_id: envelope.stack_id.clone(),
        logical_resource_id: envelope.logical_resource_id.clone(),
    };
    let request_id = envelope.request_id.clone();
    let says = Says::of_properties(resource);
    // A property that a Delete does not need must not keep a stack from going.
    if request == Request::Delete {
        return Ok(Order {
            wish: Wish::Leave(owner, on_delete),
            login: None,
            environment: properties::environment(resource, "Environment").unwrap_or_default(),
            says,
            request_id,
            ending: Ending::Commit,
        });
    }
    let login = Login {
        proof: properties::ingest_proof(resource)?,
        ..properties::login(resource, "IngestUser", "IngestConnectionLimit")?
    };
    Ok(Order {
        wish: Wish::Have(Some(owner)),
        login: Some(login),
        environment: properties::environment(resource, "Environment")?,
        says,
        request_id,
        ending: Ending::Commit,
    })
}

/// What the person who deploys should know beside what the database says.
fn notes(event: &Fields<'_>, resource: &Fields<'_>, request: Request) -> Vec<String> {
    let mut notes = Vec::new();
    let old = event.object("OldResourceProperties");
    if let (Request::Update, Some(name), Some(host)) =
        (request, old.text("DatabaseName"), old.text("DatabaseHost"))
    {
        if !properties::same_database(&old, resource) {
            notes.push(format!(
                "what was applied to the former database {name} on {host} is still there: roll it back there if it is \
                 not wanted"
            ));
        }
    }
    if request == Request::Update && first_key::was_replaced(&old, resource) {
        notes.push("the former FirstSiteKey stays good until revoke_key ends it".to_owned());
    }
    match resource.text("MigrationChecksum") {
        Some(named) if request != Request::Delete && named != V001.checksum() => notes.push(
            "MigrationChecksum is not that of the file in this function: build and deploy both together"
                .to_owned(),
        ),
        _ => {}
    }
    notes
}

fn reason_only(reason: &str) -> Report {
    Report {
        reason: reason.to_owned(),
        version: V001.version,
        checksum: V001.checksum(),
        ..Report::default()
    }
}

fn succeeded(envelope: &Envelope, request: Request, report: Report) -> Fulfilled {
    let id = match (request, &envelope.physical_resource_id) {
        (Request::Update, Some(id)) if !envelope.was_not_created() => id.clone(),
        (Request::Delete, Some(id)) => id.clone(),
        _ => envelope.own_id(),
    };
    let answer = Answer {
        status: Status::Success,
        reason: report.sentence(),
        notes: report.notes.in_order().into_iter().map(str::to_owned).collect(),
        physical_resource_id: id,
        data: report.data(),
    };
    Fulfilled {
        answer,
        report: Some(report),
        failure: None,
    }
}

fn failed(envelope: &Envelope, request: Option<Request>, failure: Failure) -> Fulfilled {
    let id = match (request, &envelope.physical_resource_id) {
        (Some(Request::Create), _) | (None, None) if !failure.may_have_made => envelope.not_created_id(),
        (Some(Request::Create), _) | (_, None) => envelope.own_id(),
        (_, Some(id)) => id.clone(),
    };
    let data = Map::from_iter([
        ("Outcome".to_owned(), Value::from("failed")),
        ("Version".to_owned(), Value::from(V001.version)),
    ]);
    Fulfilled {
        answer: Answer {
            status: Status::Failed,
            reason: failure.to_string(),
            notes: Vec::new(),
            physical_resource_id: id,
            data,
        },
        report: None,
        failure: Some(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(id: Option<&str>) -> Envelope {
        Envelope {
            response_url: None,
            stack_id: "s".to_owned(),
            logical_resource_id: "l".to_owned(),
            request_id: "r".to_owned(),
            physical_resource_id: id.map(str::to_owned),
        }
    }

    #[test]
    fn only_a_create_that_made_nothing_has_another_id() {
        let own = envelope(None).own_id();
        let nothing = envelope(None).not_created_id();
        let sure = || Failure::refused("no", "remedy");
        let unsure = || Failure {
            may_have_made: true,
            ..sure()
        };
        use Request::{Create, Delete, Update};
        for (request, id, failure, is) in [
            (Some(Create), None, Some(sure()), nothing.as_str()),
            (Some(Create), None, Some(unsure()), &own),
            (Some(Create), None, None, &own),
            (Some(Update), Some(own.as_str()), Some(sure()), &own),
            (Some(Update), Some("made-up"), None, "made-up"),
            (Some(Update), Some("made-up"), Some(unsure()), "made-up"),
            (Some(Update), Some(&nothing), None, &own),
            (Some(Delete), Some(&own), Some(sure()), &own),
            (Some(Delete), Some("made-up"), None, "made-up"),
            (Some(Delete), Some(&nothing), None, &nothing),
            (None, None, Some(sure()), &nothing),
            (None, Some("made-up"), Some(sure()), "made-up"),
        ] {
            let envelope = envelope(id);
            let what = format!("{request:?} {id:?} {failure:?}");
            let fulfilled = match (request, failure) {
                (request, Some(failure)) => failed(&envelope, request, failure),
                (Some(request), None) => succeeded(&envelope, request, reason_only("done")),
                (None, None) => unreachable!("no such row"),
            };
            assert_eq!(fulfilled.answer.physical_resource_id, is, "{what}");
        }
    }

    #[test]
    fn a_former_database_is_told_where_one_was_and_is_another() {
        let event = |old: &str| {
            format!(
                r#"{{"ResourceProperties":{{"DatabaseHost":"h","DatabaseName":"now"}},"OldResourceProperties":{old}}}"#
            )
        };
        let former = r#"{"DatabaseHost":"h","DatabaseName":"before"}"#;
        for (request, old, says) in [
            (Request::Update, former, Some("former database before on h")),
            (Request::Create, former, None),
            (
                Request::Update,
                r#"{"DatabaseHost":"h","DatabaseName":"now"}"#,
                None,
            ),
            (Request::Update, "null", None),
            (Request::Update, "{}", None),
            (Request::Update, r#"{"DatabaseHost":"h"}"#, None),
        ] {
            let event: Box<RawValue> = serde_json::from_str(&event(old)).unwrap();
            let event = Fields::of(&event);
            let told = notes(&event, &event.object("ResourceProperties"), request);
            assert_eq!(told.len(), usize::from(says.is_some()), "{old}: {told:?}");
            assert!(
                told.concat().contains(says.unwrap_or_default()),
                "{old}: {told:?}"
            );
        }
    }
}
