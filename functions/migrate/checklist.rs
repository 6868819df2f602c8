//! The deployment checklist as data: every line with its section, who answers it, and how.
//!
//! In: nothing. Out: [`lines`], a pure table. A machine's line is a piece of SQL, which is also what shows it again by
//! hand; [`inspect`] runs them and [`filled`] holds what came of it. `migrations/deployment_checklist.md` is the same
//! table for people, and held equal by a test.

use serde::Serialize;

pub mod says;
pub mod rules;
pub mod ground;
pub mod inspect;
pub mod deploy;
pub mod filled;
pub mod markdown;
mod deployment;
mod environment;
mod prerequisites;
mod permissions;
mod dependencies;
mod apply;
mod validation;
mod functional;
mod security;
mod performance;
mod aftermath;

use says::Says;

/// A part of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Who deployed what, when, at which risk.
    DeploymentInformation,
    /// Which environment, server, database.
    Environment,
    /// What the server must have.
    Prerequisites,
    /// What the roles must be allowed.
    Permissions,
    /// What others have that ours uses, or that uses ours.
    Dependencies,
    /// The edition of the files.
    FilesAndChecksums,
    /// What was there before.
    PreMigrationSnapshot,
    /// What the apply did.
    Apply,
    /// What is there afterwards.
    PostMigrationValidation,
    /// Whether it works.
    FunctionalTests,
    /// Who may do what.
    Security,
    /// Whether readers find their indexes.
    Performance,
    /// Whether there is a way back.
    RollbackReadiness,
    /// Whether somebody would notice.
    Monitoring,
    /// What is left behind.
    PostDeploymentAndCleanUp,
    /// Who stands for it.
    SignOff,
}

impl Section {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::DeploymentInformation => "Deployment information",
            Self::Environment => "Environment",
            Self::Prerequisites => "Prerequisites",
            Self::Permissions => "Permissions",
            Self::Dependencies => "Dependencies",
            Self::FilesAndChecksums => "Files and checksums",
            Self::PreMigrationSnapshot => "Pre-migration snapshot",
            Self::Apply => "Apply",
            Self::PostMigrationValidation => "Post-migration validation",
            Self::FunctionalTests => "Functional tests",
            Self::Security => "Security",
            Self::Performance => "Performance",
            Self::RollbackReadiness => "Rollback readiness",
            Self::Monitoring => "Monitoring",
            Self::PostDeploymentAndCleanUp => "Post-deployment and clean-up",
            Self::SignOff => "Sign-off",
        }
    }
}

/// How a line is answered.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A query that gives one row: whether the line applies, its faults (NULL: none), its evidence.
    Catalog(&'static str),
    /// The same, where there is a ledger of ours.
    Ledger(&'static str),
    /// Statements that raise where something is wrong. They write, and are undone. Evidence goes into the setting
    /// `checklist.evidence`; a reason in `checklist.not_applicable` says that there was nothing to try.
    Trial(&'static str),
    /// A trial on the scratch copy of the events.
    OnTheCopy(&'static str),
    /// The verify file.
    Verify,
    /// What is left once everything was undone: asked last.
    Aftermath(&'static str),
    /// A person; the stack may have said something that helps.
    Person(fn(&Says) -> Option<&str>),
}

/// A line of the page.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Stable: `PRE-03`.
    pub id: &'static str,
    /// Its part of the page.
    pub section: Section,
    /// What is so where the line is passed.
    pub sentence: &'static str,
    /// How it is answered.
    pub source: Source,
    /// What to do where it is failed.
    pub remedy: &'static str,
}

/// The closed list: a deploy in which one of these is failed is rolled back.
pub const FAILS_A_DEPLOY: [&str; 10] = [
    "DEP-02", "ENV-01", "ENV-02", "PRE-01", "VAL-01", "FUN-01", "FUN-02", "FUN-03", "FUN-04", "FUN-07",
];

impl Line {
    /// Who answers it.
    pub fn is_a_persons(&self) -> bool {
        matches!(self.source, Source::Person(_))
    }

    /// Whether it is on the closed list.
    pub fn fails_a_deploy(&self) -> bool {
        FAILS_A_DEPLOY.contains(&self.id)
    }

    /// What shows it again under `psql`, in a transaction that is rolled back.
    pub fn sql(&self) -> Option<&'static str> {
        match self.source {
            Source::Catalog(sql)
            | Source::Ledger(sql)
            | Source::Trial(sql)
            | Source::OnTheCopy(sql)
            | Source::Aftermath(sql) => Some(sql),
            Source::Verify => Some("\\i migrations/V001__verify_site_tracking_raw_layer.sql"),
            Source::Person(_) => None,
        }
    }
}

/// All lines, in the order of the page.
pub fn lines() -> impl Iterator<Item = &'static Line> {
    [
        deployment::LINES,
        environment::LINES,
        prerequisites::LINES,
        permissions::LINES,
        dependencies::LINES,
        apply::LINES,
        validation::LINES,
        functional::LINES,
        security::LINES,
        performance::LINES,
        aftermath::LINES,
    ]
    .into_iter()
    .flatten()
}

/// Nobody but a person knows.
const NOTHING_SAID: Source = Source::Person(|_| None);

const fn line(
    id: &'static str,
    section: Section,
    sentence: &'static str,
    source: Source,
    remedy: &'static str,
) -> Line {
    Line {
        id,
        section,
        sentence,
        source,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_the_closed_list_holds_machine_lines_only() {
        let ids: Vec<_> = lines().map(|line| line.id).collect();
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
        for id in FAILS_A_DEPLOY {
            assert!(lines().any(|line| line.id == id && !line.is_a_persons()), "{id}");
        }
    }

    #[test]
    fn every_line_of_the_machine_shows_its_sql_and_has_a_remedy() {
        for line in lines() {
            assert_eq!(line.sql().is_some(), !line.is_a_persons(), "{}", line.id);
            assert_eq!(line.remedy.is_empty(), line.is_a_persons(), "{}", line.id);
        }
    }
}
