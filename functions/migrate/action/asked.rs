//! What an operator asks for, read from the event.
//!
//! In: the fields of the event. Out: an [`Action`], or one sentence that names the field, the rule and the remedy, and
//! never the value. Pure: no database, no clock.

use super::NAMES;
use crate::config::withheld;
use crate::migrate::catalogue::V001;
use crate::migrate::checklist::says::Says;
use crate::migrate::failure::Failure;
use crate::migrate::fields::Fields;
use crate::migrate::keys::{self, Wanted, Which};
use crate::migrate::plan::Wish;
use crate::migrate::properties;
use crate::migrate::recent::{self, Asked, Shows};
use crate::migrate::run::{Ending, Order};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Action {
    Run(Order),
    Verify(Expect, Says),
    Status,
    Measure,
    Recent(Asked),
    /// With the bucket of reports, where one is named.
    Doctor(Option<String>),
    Health,
    CreateKey(Wanted),
    RevokeKey(Which),
    ListKeys(Option<String>),
    #[cfg(feature = "provoke-panic")]
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Present,
    Absent,
}

/// Reads it.
///
/// # Errors
/// A name, a field or a value that is none of ours.
pub(super) fn asked(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    match fields.text("action").as_deref() {
        Some("plan") => plan(fields, request_id),
        Some("apply") => apply(fields, request_id),
        Some("rollback") => rollback(fields, request_id),
        Some("verify") => match fields.text("expect").as_deref() {
            None | Some("present") => verify(fields, Expect::Present),
            Some("absent") => verify(fields, Expect::Absent),
            Some(other) => Err(Failure::request(
                format!("expect must be present or absent, got {}", withheld(other)),
                "leave it out for present",
            )),
        },
        Some("status") => Ok(Action::Status),
        Some("measure") => Ok(Action::Measure),
        Some("recent") => recent(fields).map(Action::Recent),
        Some("doctor") => Ok(Action::Doctor(fields.text("bucket"))),
        Some("health") => Ok(Action::Health),
        Some("create_key") => create_key(fields).map(Action::CreateKey),
        Some("revoke_key") => {
            let (key, hash) = (fields.text("key"), fields.text("api_key_hk"));
            Which::of(key.as_deref(), hash.as_deref()).map(Action::RevokeKey)
        }
        Some("list_keys") => keys::listed(fields.text("tenant_bk")).map(Action::ListKeys),
        #[cfg(feature = "provoke-panic")]
        Some("panic") => Ok(Action::Panic),
        other => Err(Failure::request(
            match other {
                Some(other) => format!(
                    "there is no action of that name ({} characters)",
                    other.chars().count()
                ),
                None => "the event is neither CloudFormation's nor one with an action".to_owned(),
            },
            format!("the actions are {}", NAMES.join(", ")),
        )),
    }
}

fn verify(fields: &Fields<'_>, expect: Expect) -> Result<Action, Failure> {
    properties::environment(fields, "environment")?;
    Ok(Action::Verify(expect, Says::of_action(fields)))
}

/// The real run, given back: what it is told is what `apply` or `rollback` is told.
fn plan(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let planned = match fields.text("of").as_deref() {
        None | Some("apply") => apply(fields, request_id)?,
        Some("rollback") => rollback(fields, request_id)?,
        Some(other) => {
            return Err(Failure::request(
                format!("of must be apply or rollback, got {}", withheld(other)),
                "leave it out for apply",
            ))
        }
    };
    Ok(match planned {
        Action::Run(order) => Action::Run(Order {
            ending: Ending::GiveBack,
            ..order
        }),
        other => other,
    })
}

fn apply(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let login = fields
        .has("ingest_user")
        .then(|| properties::login(fields, "ingest_user", "ingest_connection_limit"))
        .transpose()?;
    Ok(Action::Run(Order {
        wish: Wish::Have(None),
        login,
        environment: properties::environment(fields, "environment")?,
        says: Says::of_action(fields),
        request_id: request_id.to_owned(),
        ending: Ending::Commit,
    }))
}

/// By hand a rollback wants to hear the version, so that nobody undoes what they did not mean.
fn rollback(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let version = fields.text("version");
    if version.as_deref() != Some(V001.version) {
        return Err(Failure::request(
            format!(
                "version must be {:?}, got {}",
                V001.version,
                version.as_deref().map_or("none".to_owned(), withheld)
            ),
            "name the version that is to be rolled back",
        ));
    }
    let rows = number(fields, "drop_rows", "of rows", "leave it out to keep rows safe")?;
    let owners = number(
        fields,
        "owners",
        "of stacks that own the layer",
        "see status; leave it out where no stack does",
    )?;
    Ok(Action::Run(Order {
        wish: Wish::Gone { rows, owners },
        login: None,
        environment: None,
        says: Says::of_action(fields),
        request_id: request_id.to_owned(),
        ending: Ending::Commit,
    }))
}

fn recent(fields: &Fields<'_>) -> Result<Asked, Failure> {
    let tenant = Wanted {
        tenant_bk: fields.text("tenant_bk").unwrap_or_default(),
        label: None,
        allowed_origins: None,
    };
    let rows = number(fields, "rows", "of rows", "leave it out for 20")?.unwrap_or(recent::ROWS);
    if !(1..=recent::ROWS_MAX).contains(&rows) {
        return Err(Failure::request(
            format!("rows must be 1 to {}, got {rows}", recent::ROWS_MAX),
            "leave it out for 20",
        ));
    }
    let shows = match fields.text("payloads").as_deref() {
        None | Some("false") => Shows::Outline,
        Some("true") => Shows::Payloads,
        Some(other) => {
            return Err(Failure::request(
                format!("payloads must be true or false, got {}", withheld(other)),
                "leave it out for false",
            ))
        }
    };
    Ok(Asked {
        tenant_bk: tenant.checked()?.tenant_bk,
        rows,
        shows,
    })
}

fn number<N: std::str::FromStr>(
    fields: &Fields<'_>,
    name: &str,
    what: &str,
    remedy: &str,
) -> Result<Option<N>, Failure> {
    if !fields.has(name) {
        return Ok(None);
    }
    let text = fields.text(name).unwrap_or_default();
    let number = text.parse().map_err(|_| {
        Failure::request(
            format!("{name} must be the exact number {what}, got {}", withheld(&text)),
            remedy,
        )
    })?;
    Ok(Some(number))
}

fn create_key(fields: &Fields<'_>) -> Result<Wanted, Failure> {
    let origins = fields.raw("allowed_origins");
    let allowed_origins = origins
        .map(|raw| serde_json::from_str(raw.get()))
        .transpose()
        .map_err(|_| {
            Failure::request(
                "allowed_origins must be a list of texts",
                "write [\"https://shop.example\"], or leave it out to allow any origin",
            )
        })?;
    Wanted {
        tenant_bk: fields.text("tenant_bk").unwrap_or_default(),
        label: fields.text("label"),
        allowed_origins,
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serde_json::value::RawValue;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (event, says) in [
            ("{}", "the actions are plan, apply, rollback"),
            ("[]", "neither CloudFormation's nor one with an action"),
            (
                r#"{"action":"drop"}"#,
                "there is no action of that name (4 characters): the actions are",
            ),
            (r#"{"action":["apply"]}"#, "the actions are plan, apply"),
            (r#"{"action":"rollback"}"#, "version must be \"V001\", got none"),
            (r#"{"action":"rollback","version":"V002"}"#, "got 4 characters"),
            (
                r#"{"action":"rollback","version":"V001","drop_rows":"all"}"#,
                "the exact number",
            ),
            (
                r#"{"action":"rollback","version":"V001","drop_rows":-1}"#,
                "the exact number",
            ),
            (
                r#"{"action":"rollback","version":"V001","owners":["all"]}"#,
                "owners must be the exact number of stacks",
            ),
            (
                r#"{"action":"plan","of":"verify"}"#,
                "of must be apply or rollback, got 6 characters",
            ),
            (r#"{"action":"plan","of":"rollback"}"#, "version must be \"V001\""),
            (r#"{"action":"verify","expect":"gone"}"#, "present or absent"),
            (r#"{"action":"create_key"}"#, "tenant_bk must have 1 to 255"),
            (
                r#"{"action":"create_key","tenant_bk":"a\u0000b"}"#,
                "tenant_bk has a character U+0000",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","label":"\u0000"}"#,
                "label has a character U+0000",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","allowed_origins":"x"}"#,
                "a list of texts",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","allowed_origins":[1]}"#,
                "a list of texts",
            ),
            (
                r#"{"action":"list_keys","tenant_bk":"a\u0000b"}"#,
                "tenant_bk has a character U+0000 at position 2",
            ),
            (r#"{"action":"recent"}"#, "tenant_bk must have 1 to 255"),
            (
                r#"{"action":"recent","tenant_bk":"t","rows":101}"#,
                "rows must be 1 to 100, got 101",
            ),
            (
                r#"{"action":"recent","tenant_bk":"t","rows":0}"#,
                "rows must be 1 to 100",
            ),
            (
                r#"{"action":"recent","tenant_bk":"t","payloads":"yes"}"#,
                "payloads must be true or false, got 3 characters",
            ),
            (r#"{"action":"revoke_key"}"#, "either key or api_key_hk"),
            (
                r#"{"action":"apply","environment":"PROD"}"#,
                "DEV, TEST, STAGING or PRODUCTION",
            ),
        ] {
            let event: Box<RawValue> = serde_json::from_str(event).unwrap();
            let failure = asked(&Fields::of(&event), "r").unwrap_err().to_string();
            assert!(failure.contains(says), "{event}: {failure}");
        }
    }

    #[test]
    fn each_name_is_an_action() {
        for name in NAMES {
            let event = json!({"action": name, "version": "V001", "tenant_bk": "t",
                "api_key_hk": "00".repeat(32)});
            let event = serde_json::value::to_raw_value(&event).unwrap();
            assert!(asked(&Fields::of(&event), "r").is_ok(), "{name}");
        }
    }
}
