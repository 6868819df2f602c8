//! What the stack, or who invokes the function, says of a deploy beside its order: for rules, evidence and the page.
//!
//! In: properties of the resource, or fields of an action. Out: texts. Nothing here is a secret.

use crate::migrate::fields::Fields;

/// As it was said; what was not said is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// DEV, TEST, STAGING or PRODUCTION.
    pub environment: Option<String>,
    /// Retain, DropIfEmpty or Drop.
    pub on_delete: Option<String>,
    /// Which backup would be restored.
    pub backup_reference: Option<String>,
    /// Checksum of the create file that the template names.
    pub checksum: Option<String>,
    /// Which alarms there are.
    pub alarms: Option<String>,
    /// When they go off.
    pub alarm_thresholds: Option<String>,
    /// Where the report is to be written.
    pub report_bucket: Option<String>,
}

impl Says {
    /// Of the properties of a resource.
    pub fn of_properties(properties: &Fields<'_>) -> Self {
        let text = |name| properties.text(name).filter(|text| !text.is_empty());
        Self {
            environment: text("Environment"),
            on_delete: text("OnDelete"),
            backup_reference: text("BackupReference"),
            checksum: text("MigrationChecksum"),
            alarms: text("Alarms"),
            alarm_thresholds: text("AlarmThresholds"),
            report_bucket: text("ReportBucket"),
        }
    }

    /// Of an operator's action.
    pub fn of_action(fields: &Fields<'_>) -> Self {
        let text = |name| fields.text(name).filter(|text| !text.is_empty());
        Self {
            environment: text("environment"),
            backup_reference: text("backup_reference"),
            alarms: text("alarms"),
            alarm_thresholds: text("alarm_thresholds"),
            ..Self::default()
        }
    }
}
