//! Fills the page in: asks the database, tries what can be tried, and undoes it.
//!
//! In: a connection inside a transaction, and what the stack says. Out: a [`Filled`] page; the transaction is as it
//! was, but for identity values drawn and for dead rows. Every line stands behind a savepoint and a time limit: one
//! that fails costs no other.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::filled::{Answer, Filled, Verdict};
use super::ground::{self, Ground};
use super::says::Says;
use super::{apply, lines, Line, Source};
use crate::migrate::catalogue::V001;
use crate::migrate::failure::Failure;
use crate::migrate::ledger;

/// All lines together; what is not asked by then is left to a person, or is the end of the deploy that waits for it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Read and undone with each trial.
const TOLD: &str =
    "select current_setting('checklist.evidence', true), current_setting('checklist.not_applicable', true)";

/// Names of tables and functions in schema raw, counted: for `before`.
///
/// # Errors
/// The database's.
pub async fn snapshot(client: &Client) -> Result<String, Failure> {
    let rows = client.query_typed(apply::SNAPSHOT, &[]).await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What fails a deploy, in tens of milliseconds: whoever deploys may hold locks that beacons wait for. Verify is
    /// left out, which the deploy runs by itself.
    ClosedList,
    /// The page.
    Page,
}

/// What is known of a deploy beside the database.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the stack or the operator says.
    pub says: &'a Says,
    /// The database's host, as it was named.
    pub host: &'a str,
    /// A [`snapshot`] of the time before; `None`: nothing was applied now.
    pub before: Option<&'a str>,
    /// How long one line may take, where that is less than usual.
    pub line_limit: Option<Duration>,
}

/// Fills the page in, before `end`.
///
/// # Errors
/// The connection's; what a line meets is that line's answer.
pub async fn inspect(
    client: &Client,
    known: Known<'_>,
    extent: Extent,
    end: Instant,
) -> Result<Filled, Failure> {
    let started = Instant::now();
    ground::begin(client, known).await?;
    let mut inspection = Inspection {
        client,
        end: end.min(started + LIMIT),
        says: known.says,
        extent,
        ground: ground::prepare(client, extent).await?,
    };
    let mut lines = inspection
        .answers(|source| !matches!(source, Source::Aftermath(_)))
        .await?;
    ground::undo(client).await?;
    // Asked behind everything that was undone: what is seen now is what is left.
    if extent == Extent::Page {
        inspection.begin_again(known).await?;
        lines.extend(
            inspection
                .answers(|source| matches!(source, Source::Aftermath(_)))
                .await?,
        );
        ground::undo(client).await?;
        lines.sort_by_key(|(line, _)| place(line));
    }
    Ok(Filled {
        at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        lines,
    })
}

fn place(wanted: &Line) -> Option<usize> {
    lines().position(|line| line.id == wanted.id)
}

struct Inspection<'a> {
    client: &'a Client,
    end: Instant,
    says: &'a Says,
    extent: Extent,
    ground: Ground,
}

impl Inspection<'_> {
    async fn begin_again(&mut self, known: Known<'_>) -> Result<(), Failure> {
        ground::begin(self.client, known).await?;
        ground::tell(self.client, &[("checklist.ids_before", &self.ground.ids_before)]).await
    }

    fn is_asked(&self, line: &Line) -> bool {
        self.extent == Extent::Page || line.fails_a_deploy() && !matches!(line.source, Source::Verify)
    }

    async fn answers(&self, asked: fn(&Source) -> bool) -> Result<Vec<(&'static Line, Answer)>, Failure> {
        self.client.batch_execute("savepoint line").await?;
        let mut answers = Vec::new();
        for line in lines().filter(|line| asked(&line.source) && self.is_asked(line)) {
            answers.push((line, self.answer(line).await?));
        }
        Ok(answers)
    }

    async fn answer(&self, line: &Line) -> Result<Answer, Failure> {
        let person = |why: &str| Ok(Answer::new(Verdict::NeedsAPerson, why));
        let inapplicable = |why: &str| Ok(Answer::new(Verdict::NotApplicable, why));
        if Instant::now() >= self.end && !line.is_a_persons() {
            return Ok(self.unasked());
        }
        let ground = &self.ground;
        match line.source {
            Source::Person(said) => Ok(Answer::new(
                Verdict::NeedsAPerson,
                said(self.says).unwrap_or("nothing was said"),
            )),
            Source::Ledger(_) if !ground.has_ledger => inapplicable("no ledger of ours is kept here"),
            Source::Catalog(sql) | Source::Ledger(sql) => self.ask(sql).await,
            Source::Verify => self.verify().await,
            _ if !ground.has_layer => inapplicable("there is no raw layer to try it on"),
            Source::Aftermath(sql) => self.ask(sql).await,
            Source::Trial(_) | Source::OnTheCopy(_) if ground.why_not.is_some() => {
                person(ground.why_not.as_deref().unwrap_or_default())
            }
            Source::OnTheCopy(_) if ground.copy_failed.is_some() => Ok(ground
                .copy_failed
                .clone()
                .unwrap_or_else(|| Answer::new(Verdict::NeedsAPerson, "no copy could be made"))),
            Source::OnTheCopy(sql) => self.try_out(sql).await,
            Source::Trial(sql) => match ground.with_a_tenant(sql) {
                Some(sql) => self.try_out(&sql).await,
                None => person("no tenant may be made in auth.tenant_h, and none is there to try it with"),
            },
        }
    }

    /// A deploy does not commit on a line that nobody has asked.
    fn unasked(&self) -> Answer {
        let verdict = match self.extent {
            Extent::ClosedList => Verdict::Failed,
            Extent::Page => Verdict::NeedsAPerson,
        };
        Answer::new(verdict, "it was not asked, the time for the checklist was over")
    }

    /// One row: whether the line applies, its faults, its evidence.
    async fn ask(&self, sql: &str) -> Result<Answer, Failure> {
        let row = match self.run(sql).await? {
            Ok(row) => row,
            Err(answer) => return Ok(answer),
        };
        let text = |index| row.as_ref().and_then(|row| row.get(index));
        let evidence = text(2).unwrap_or_default();
        Ok(match (text(0), text(1)) {
            (Some("t"), Some(faults)) => Answer::new(Verdict::Failed, faults),
            (Some("t"), None) => Answer::new(Verdict::Passed, evidence),
            _ => Answer::new(Verdict::NotApplicable, evidence),
        })
    }

    /// Statements that raise where something is wrong.
    async fn try_out(&self, sql: &str) -> Result<Answer, Failure> {
        let row = match self.run(&format!("{sql};\n{TOLD}")).await? {
            Ok(row) => row,
            Err(answer) => return Ok(answer),
        };
        let text = |index| row.as_ref().and_then(|row| row.get(index)).unwrap_or_default();
        Ok(match text(1) {
            "" => Answer::new(Verdict::Passed, text(0)),
            why => Answer::new(Verdict::NotApplicable, why),
        })
    }

    async fn verify(&self) -> Result<Answer, Failure> {
        self.client.batch_execute("rollback to savepoint line").await?;
        Ok(match ledger::differences(self.client, &V001).await {
            Ok(None) => Answer::new(Verdict::Passed, "no differences"),
            Ok(Some(differences)) => Answer::new(Verdict::Failed, differences),
            Err(failure) if failure.sqlstate.is_some() => Answer {
                sqlstate: failure.sqlstate.clone(),
                ..Answer::new(Verdict::Failed, failure.to_string())
            },
            Err(failure) => return Err(failure),
        })
    }

    /// The last row, or the server's refusal as an answer; what the line before wrote is undone first.
    async fn run(&self, sql: &str) -> Result<Result<Option<SimpleQueryRow>, Answer>, Failure> {
        let sql = format!("rollback to savepoint line;\n{sql}");
        match self.client.simple_query(&sql).await {
            Ok(messages) => Ok(Ok(last_row(messages))),
            Err(error) => ground::refused(error).map(Err),
        }
    }
}

fn last_row(messages: Vec<SimpleQueryMessage>) -> Option<SimpleQueryRow> {
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.last()
}
