//! Metrics inside a line of the log, in Amazon CloudWatch's embedded metric format.
//!
//! In: which fields of a line are metrics, and by which of its fields they are told apart. Out: the member `_aws`, which
//! CloudWatch reads where it takes the log in, so that no call is made for them ("Specification: Embedded metric
//! format", Amazon CloudWatch). A metric that is named has to be a number in the same line. Each set of dimensions is a
//! metric of its own and paid for: a stack, and a tag of a closed list, are all there are.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::value::{to_raw_value, RawValue};

/// Under which all of them are found.
pub const NAMESPACE: &str = "SiteTracking";

/// The dimension that all metrics have.
pub const STACK: &str = "Stack";

/// The dimension that tells refusals and faults apart.
pub const TAG: &str = "Tag";

/// The member `_aws`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metrics {
    timestamp: u64,
    cloud_watch_metrics: Cow<'static, RawValue>,
}

/// Directives that are the same in many lines: they are written once, and then copied.
pub struct Directives(LazyLock<Box<RawValue>, fn() -> Box<RawValue>>);

/// Which fields are metrics, told apart by which.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Directive<'m> {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: &'m [Metric],
}

/// One field.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    /// The field.
    pub name: &'static str,
    unit: Unit,
}

/// What it counts.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Unit {
    /// Things, or 0 and 1.
    Count,
    /// Bytes.
    Bytes,
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Hundredths.
    Percent,
}

impl Metrics {
    /// These, as of now.
    pub fn now(directives: &'static Directives) -> Self {
        Self::as_of_now(Cow::Borrowed(&directives.0))
    }

    /// Those of a stack's metrics that could be had, as of now.
    pub fn of_stack(metrics: &[Metric]) -> Self {
        Self::as_of_now(Cow::Owned(written(&[Directive::by_stack(metrics)])))
    }

    fn as_of_now(cloud_watch_metrics: Cow<'static, RawValue>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            timestamp: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            cloud_watch_metrics,
        }
    }
}

impl Directives {
    /// What `written` gives, when it is first needed.
    pub const fn new(written: fn() -> Box<RawValue>) -> Self {
        Self(LazyLock::new(written))
    }
}

/// As CloudWatch reads them.
pub fn written(directives: &[Directive<'_>]) -> Box<RawValue> {
    to_raw_value(directives).expect("names and units are always JSON")
}

impl<'m> Directive<'m> {
    /// Metrics of a stack.
    pub const fn by_stack(metrics: &'m [Metric]) -> Self {
        Self {
            namespace: NAMESPACE,
            dimensions: [&[STACK]],
            metrics,
        }
    }

    /// Metrics of a stack, each tag of it by itself.
    pub const fn by_tag(metrics: &'m [Metric]) -> Self {
        Self {
            namespace: NAMESPACE,
            dimensions: [&[STACK, TAG]],
            metrics,
        }
    }
}

impl Metric {
    /// The field `name`.
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }

    /// The field `name`, which counts.
    pub const fn count(name: &'static str) -> Self {
        Self::new(name, Unit::Count)
    }
}
