//! The migrations that this binary carries: their version, their files, the steps in them, a checksum.
//!
//! In: the SQL files, embedded when the binary was built. Out: pieces of SQL with the names that the files give them
//! by lines `-- step: name`. A file is divided at these lines and nowhere else, never at `;`. Nothing here knows a
//! database.

use sha2::{Digest, Sha256};

/// One version of the raw layer.
pub struct Migration {
    /// `V001`.
    pub version: &'static str,
    /// Name of the create file, as the ledger has it.
    pub create_name: &'static str,
    /// Name of the rollback file, as the ledger has it.
    pub rollback_name: &'static str,
    adopt: &'static str,
    create: &'static str,
    verify: &'static str,
    rollback: &'static str,
}

/// The version that this binary applies.
pub const V001: Migration = Migration {
    version: "V001",
    create_name: "V001__create_site_tracking_raw_layer.sql",
    rollback_name: "V001__rollback_site_tracking_raw_layer.sql",
    adopt: include_str!("../../migrations/V001__adopt_site_tracking_raw_layer.sql"),
    create: include_str!("../../migrations/V001__create_site_tracking_raw_layer.sql"),
    verify: include_str!("../../migrations/V001__verify_site_tracking_raw_layer.sql"),
    rollback: include_str!("../../migrations/V001__rollback_site_tracking_raw_layer.sql"),
};

/// What V001 makes, as the ledger names it.
const MAKES: [&str; 19] = [
    "schema raw",
    "role tracking_ingest_role",
    "role tracking_processor_role",
    "usage on schema raw by tracking_ingest_role",
    "usage on schema raw by tracking_processor_role",
    "table raw.site_tracking_events_r",
    "table raw.site_tracking_keys_r",
    "view raw.site_tracking_event_lag_v",
    "view raw.site_tracking_event_rate_v",
    "view raw.site_tracking_growth_v",
    "view raw.site_tracking_pending_v",
    "view raw.site_tracking_quarantined_v",
    "view raw.site_tracking_volume_v",
    "function raw.audit_tracking_events",
    "function raw.ingest_tracking_beacon",
    "function raw.ingest_tracking_event",
    "function raw.origin_is_allowed",
    "function raw.quarantined_bytes",
    "function raw.requeue_quarantined",
];

/// A named piece of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// As the file names it; `start` for what stands before the first name.
    pub name: &'a str,
    /// Its text, sent as it is.
    pub sql: &'a str,
}

const MARK: &str = "-- step: ";

impl Migration {
    /// What makes a predecessor ready for it.
    pub fn adopt(&self) -> Vec<Step<'static>> {
        steps(self.adopt)
    }

    /// What makes the layer.
    pub fn create(&self) -> Vec<Step<'static>> {
        steps(self.create)
    }

    /// What raises unless the layer is as the create file makes it.
    pub fn verify(&self) -> Vec<Step<'static>> {
        steps(self.verify)
    }

    /// What takes the layer away.
    pub fn rollback(&self) -> Vec<Step<'static>> {
        steps(self.rollback)
    }

    /// Whether an object is one of those that it makes, whoever made the one that is there.
    pub fn makes(&self, object: &str) -> bool {
        MAKES.contains(&object)
    }

    /// SHA-256 of the create file, in lower-case hexadecimal.
    pub fn checksum(&self) -> String {
        let digest = Sha256::digest(self.create.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn steps(file: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let (mut name, mut from, mut at) = ("start", 0, 0);
    for line in file.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix(MARK) {
            steps.push(Step {
                name,
                sql: &file[from..at],
            });
            (name, from) = (next.trim(), at);
        }
        at += line.len();
    }
    steps.push(Step {
        name,
        sql: &file[from..],
    });
    steps.retain(|step| !is_comment(step.sql));
    steps
}

fn is_comment(sql: &str) -> bool {
    sql.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_divided_at_its_step_lines_and_nowhere_else() {
        let file =
            "-- what it does\n-- step: one\nselect 1; select ';';\n-- step: two\ndo $$ -- step: no\n$$;\n";
        let found: Vec<_> = steps(file).iter().map(|s| (s.name, s.sql)).collect();
        assert_eq!(
            found,
            [
                ("one", "-- step: one\nselect 1; select ';';\n"),
                ("two", "-- step: two\ndo $$ -- step: no\n$$;\n")
            ]
        );
    }

    #[test]
    fn no_statement_before_the_first_name_is_lost() {
        let found: Vec<_> = steps("set x = 1;\n-- step: one\nselect 1;\n")
            .iter()
            .map(|s| s.name.to_owned())
            .collect();
        assert_eq!(found, ["start", "one"]);
    }

    #[test]
    fn each_file_of_v001_has_named_steps_and_loses_nothing() {
        for (file, steps) in [
            (V001.adopt, V001.adopt()),
            (V001.create, V001.create()),
            (V001.verify, V001.verify()),
            (V001.rollback, V001.rollback()),
        ] {
            let joined: String = steps.iter().map(|step| step.sql).collect();
            assert!(file.ends_with(&joined));
            assert!(steps.iter().all(|step| step.name != "start"), "{steps:?}");
        }
    }
}
