//! Metrics inside a line of the log, in Amazon CloudWatch's embedded metric format.
//!
//! In: which fields of a line are metrics, and by which of its fields they are told apart. Out: the member `_aws`, which
//! CloudWatch reads where it takes the log in, so that no call is made for them ("Specification: Embedded metric
//! format", Amazon CloudWatch). A metric that is named has to be a number in the same line. Each set of dimensions is a
//! metric of its own and paid for: a stack, and a tag of a closed list, are all there are.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::Serialize;

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
    cloud_watch_metrics: Cow<'static, [Directive]>,
}

/// Which fields are metrics, told apart by which.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Directive {
    namespace: &'static str,
    dimensions: &'static [&'static [&'static str]],
    metrics: Cow<'static, [Metric]>,
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
    pub fn now(directives: impl Into<Cow<'static, [Directive]>>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            timestamp: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            cloud_watch_metrics: directives.into(),
        }
    }
}

impl Directive {
    /// Those of a stack's metrics that could be had.
    pub fn of_stack(metrics: Vec<Metric>) -> Self {
        Self {
            metrics: Cow::Owned(metrics),
            ..Self::by_stack(&[])
        }
    }

    /// Metrics of a stack.
    pub const fn by_stack(metrics: &'static [Metric]) -> Self {
        Self {
            namespace: NAMESPACE,
            dimensions: &[&[STACK]],
            metrics: Cow::Borrowed(metrics),
        }
    }

    /// Metrics of a stack, each tag of it by itself.
    pub const fn by_tag(metrics: &'static [Metric]) -> Self {
        Self {
            namespace: NAMESPACE,
            dimensions: &[&[STACK, TAG]],
            metrics: Cow::Borrowed(metrics),
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
