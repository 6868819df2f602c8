//! A CloudFormation custom resource event, read in two stages.
//!
//! First [`Envelope`]: the ids and the response URL, whatever else the event holds; it cannot fail, so that there is
//! always somebody to answer. Then [`Request`]: what is asked for, or what is wrong with it. The resource's own
//! properties are read in `properties.rs`.

use std::fmt;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::config::withheld;

use super::failure::Failure;
use super::fields::Fields;

/// Ends the id of a resource whose Create failed before its commit: its Delete has nothing to do.
const NOT_CREATED: &str = "/not-created";

/// A bearer URL: who has it may answer for the stack. `Debug` does not show it.
#[derive(Clone)]
pub struct ResponseUrl(String);

impl ResponseUrl {
    /// The URL itself, for the one who sends to it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseUrl(..)")
    }
}

/// Who asks, and where the answer goes. What the event does not say is empty.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Where the answer goes; `None`: there is nobody to answer.
    pub response_url: Option<ResponseUrl>,
    /// The stack.
    pub stack_id: String,
    /// The resource's name in the template.
    pub logical_resource_id: String,
    /// Of this request; CloudFormation reuses it.
    pub request_id: String,
    /// The resource's id, as the event bears it.
    pub physical_resource_id: Option<String>,
}

impl Envelope {
    /// Stage one. `None`: not an event of CloudFormation.
    pub fn of(event: &RawValue) -> Option<Self> {
        let fields = Fields::of(event);
        let text = |name| fields.text(name).unwrap_or_default();
        ["RequestType", "ResponseURL", "StackId"]
            .iter()
            .any(|name| fields.has(name))
            .then(|| Self {
                response_url: fields.text("ResponseURL").map(ResponseUrl),
                stack_id: text("StackId"),
                logical_resource_id: text("LogicalResourceId"),
                request_id: text("RequestId"),
                physical_resource_id: fields.text("PhysicalResourceId").filter(|id| !id.is_empty()),
            })
    }

    /// The id that this stack and logical id have for ever: a changed one makes CloudFormation delete the old.
    pub fn own_id(&self) -> String {
        let digest = Sha256::digest(self.stack_id.as_bytes());
        let stack: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("site-tracking/{stack}/{}", self.logical_resource_id)
    }

    /// The id of a Create that made nothing.
    pub fn not_created_id(&self) -> String {
        self.own_id() + NOT_CREATED
    }

    /// Whether the event bears the id of a Create that made nothing.
    pub fn was_not_created(&self) -> bool {
        self.physical_resource_id.as_deref() == Some(&self.not_created_id())
    }
}

/// What CloudFormation wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new resource.
    Create,
    /// A resource whose properties changed.
    Update,
    /// A resource that is to go.
    Delete,
}

impl Request {
    /// Stage two.
    ///
    /// # Errors
    /// The request type or an id is missing or unknown.
    pub fn of(event: &RawValue, envelope: &Envelope) -> Result<Self, Failure> {
        for (name, value) in [
            ("StackId", &envelope.stack_id),
            ("LogicalResourceId", &envelope.logical_resource_id),
            ("RequestId", &envelope.request_id),
        ] {
            if value.is_empty() {
                return Err(Failure::request(
                    format!("the event has no {name}"),
                    "send what CloudFormation sends to a custom resource",
                ));
            }
        }
        match Fields::of(event).text("RequestType").as_deref() {
            Some("Create") => Ok(Self::Create),
            Some("Update") => Ok(Self::Update),
            Some("Delete") => Ok(Self::Delete),
            other => Err(Failure::request(
                format!(
                    "RequestType must be Create, Update or Delete, got {}",
                    other.map_or("none".to_owned(), withheld)
                ),
                "send what CloudFormation sends to a custom resource",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_event_that_is_odd_everywhere_else_still_says_where_the_answer_goes() {
        let event =
            raw(r#"{"RequestType":[],"ResponseURL":"http://there","StackId":7,"ResourceProperties":"x"}"#);
        let envelope = Envelope::of(&event).unwrap();
        assert_eq!(
            envelope.response_url.as_ref().map(ResponseUrl::expose),
            Some("http://there")
        );
        assert_eq!(
            (envelope.stack_id.as_str(), envelope.request_id.as_str()),
            ("7", "")
        );
        assert!(Request::of(&event, &envelope).is_err());
        let shown = format!("{envelope:?}");
        assert!(
            shown.contains("ResponseUrl(..)") && !shown.contains("there"),
            "{shown}"
        );
    }

    #[test]
    fn what_cloudformation_did_not_send_is_not_taken_for_its_event() {
        for json in [
            "{}",
            r#"{"action":"status"}"#,
            "[]",
            "7",
            r#"{"RequestType":null}"#,
        ] {
            assert!(Envelope::of(&raw(json)).is_none(), "{json}");
        }
    }

    #[test]
    fn the_request_type_is_one_of_three() {
        for (value, is) in [
            (r#""Create""#, Some(Request::Create)),
            (r#""Update""#, Some(Request::Update)),
            (r#""Delete""#, Some(Request::Delete)),
            (r#""create""#, None),
            (r#""Import""#, None),
            ("7", None),
            ("null", None),
        ] {
            let event = raw(&format!(
                r#"{{"StackId":"s","LogicalResourceId":"l","RequestId":"r","RequestType":{value}}}"#
            ));
            let request = Request::of(&event, &Envelope::of(&event).unwrap());
            assert_eq!(request.ok(), is, "{value}");
        }
    }

    #[test]
    fn the_id_is_made_of_stack_and_logical_id_alone() {
        let id = |stack: &str, logical: &str, request: &str| {
            let event = raw(&format!(
                r#"{{"StackId":"{stack}","LogicalResourceId":"{logical}","RequestId":"{request}"}}"#
            ));
            Envelope::of(&event).unwrap().own_id()
        };
        assert_eq!(id("s", "l", "1"), id("s", "l", "2"));
        assert_ne!(id("s", "l", "1"), id("t", "l", "1"));
        assert_ne!(id("s", "l", "1"), id("s", "m", "1"));
        assert_eq!(
            id("s", "l", "1"),
            "site-tracking/043a718774c572bd8a25adbeb1bfcd5c/l"
        );
    }

    #[test]
    fn a_create_that_made_nothing_is_known_by_its_own_id_alone() {
        let envelope = |id: &str| {
            let event = raw(&format!(
                r#"{{"StackId":"s","LogicalResourceId":"l","PhysicalResourceId":"{id}"}}"#
            ));
            Envelope::of(&event).unwrap()
        };
        let own = envelope("").own_id();
        assert_eq!(envelope("").not_created_id(), format!("{own}/not-created"));
        for (id, known, nothing) in [
            ("", false, false),
            (own.as_str(), true, false),
            (&format!("{own}/not-created"), true, true),
            ("made-up/not-created", true, false),
            ("/not-created", true, false),
        ] {
            let envelope = envelope(id);
            assert_eq!(envelope.physical_resource_id.is_some(), known, "{id:?}");
            assert_eq!(envelope.was_not_created(), nothing, "{id:?}");
        }
    }
}
