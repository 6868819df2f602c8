//! Takes the layer away with the rollback file, and lets that last only if nothing else went with it.
//!
//! Compared are the catalogs before and behind the file. What went must be what the ledger calls V001's; what somebody
//! else changed meanwhile is reported.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use super::patience::LONGEST;
use super::rehearsal::{lines, UNDO_DIFFERS};
use super::steps::split;
use super::Attempt;
use crate::migrate::catalogue::{Step, V001};
use crate::migrate::failure::Failure;
use crate::migrate::fingerprint::{self, Change, Difference, Fingerprint};
use crate::migrate::ledger;
use crate::migrate::notes::Weight;
use crate::migrate::plan::{OnDelete, Wish};
use crate::migrate::record;
use crate::migrate::report::Outcome;
use crate::migrate::run::Pace;

/// What the rollback file took for V001's.
const MADE: &str =
    "select coalesce(nullif(pg_catalog.current_setting('tracking.made', true), ''), '{}')::text[]";

/// The step of the rollback file that may be sent several times, and whether it asks for that.
const LOOKS_AGAIN: &str = "adopted";
const LOOK: &str = "select pg_catalog.current_setting('tracking.look')";

/// How an adopted predecessor was.
const WAS: &str = "
select l.replaced_objects -> 'was' from migrations.migration_log l
where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED') and l.replaced_objects ? 'was'
  and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
    where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
order by l.migration_id limit 1";

/// Entries that a person is told.
const NAMED: usize = 5;

impl Attempt<'_> {
    /// An owner leaves; nothing else changes.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        self.tell_undo("leave").await?;
        self.send(V001.rollback()).await?;
        self.note_undo().await
    }

    /// With what it may destroy; `None`: as many rows as somebody counted by hand.
    pub(super) async fn roll_back(&mut self, on_delete: Option<OnDelete>) -> Result<(), Failure> {
        self.tell_undo(on_delete.map_or("", as_setting)).await?;
        let (look, mut rest) = split(V001.rollback(), "tables");
        let finish = rest.split_off(rest.len().saturating_sub(1));
        self.send(look).await?;
        let reading = Instant::now();
        let before = fingerprint::read(self.client).await?;
        let is_quick = reading.elapsed() < LONGEST * 3 / 4;
        self.begin_locking().await?;
        let (drop, rest) = split(rest, LOOKS_AGAIN);
        self.send(drop).await?;
        self.look_again(rest.first()).await?;
        self.send(rest).await?;
        self.look_around_and_bound().await?;
        let after = match is_quick {
            true => fingerprint::read(self.client).await?,
            false => self.read_in_pieces().await?,
        };
        self.judge_undo(&before.difference(&after)).await?;
        self.compare_with_first(&after).await?;
        let (before, after) = (before.digest(), after.digest());
        self.set("tracking.fingerprint_before", &before).await?;
        self.set("tracking.fingerprint_after", &after).await?;
        self.report.fingerprint_before = Some(before);
        self.report.fingerprint_after = Some(after);
        self.send(finish).await?;
        self.note_undo().await
    }

    /// Looks through the rows of an adopted table behind its lock, piece by piece, until somebody has waited for half of
    /// what anybody may; for less where others have had to wait before. What was not seen stays.
    async fn look_again(&mut self, step: Option<&Step<'static>>) -> Result<(), Failure> {
        let Some(step) = step else {
            return Ok(());
        };
        let enough = match self.pace {
            Pace::InOneGo => LONGEST / 2,
            Pace::InSteps => LONGEST * 7 / 8,
        };
        self.set("tracking.look", "more").await?;
        loop {
            self.look_around().await?;
            if self.left_of_patience().is_some_and(|left| left < enough) {
                return self.set("tracking.look", "no more").await;
            }
            self.send_one(step).await?;
            let rows = self.client.query_typed(LOOK, &[]).await?;
            if rows.first().is_none_or(|row| row.get::<_, &str>(0) != "more") {
                return Ok(());
            }
        }
    }

    /// A catalog of many thousands of relations is read class by class: between them it is seen whether anybody waits.
    async fn read_in_pieces(&mut self) -> Result<Fingerprint, Failure> {
        let version = ledger::server_version(self.client).await?;
        let mut read = Fingerprint::default();
        for query in fingerprint::queries(version) {
            self.look_around_and_bound().await?;
            read.add(self.client, &query).await?;
        }
        Ok(read)
    }

    async fn tell_undo(&self, on_delete: &str) -> Result<(), Failure> {
        let drop_rows = match self.order.wish {
            Wish::Gone { rows: Some(rows), .. } => rows.to_string(),
            _ => String::new(),
        };
        self.tell(&[
            ("tracking.on_delete", on_delete),
            ("tracking.drop_rows", &drop_rows),
        ])
        .await
    }

    async fn judge_undo(&mut self, differences: &[Difference]) -> Result<(), Failure> {
        let rows = self.client.query_typed(MADE, &[]).await?;
        let made: Vec<String> = rows.first().map(|row| row.get(0)).unwrap_or_default();
        let wrong: Vec<&Difference> = differences
            .iter()
            .filter(|found| is_wrong(found, &made))
            .collect();
        if wrong.is_empty() {
            let others: Vec<_> = differences
                .iter()
                .filter(|found| !V001.makes(&found.object))
                .collect();
            self.tell_others(&others);
            return Ok(());
        }
        let message = format!("with V001 would go what it did not make: {}", lines(&wrong));
        Err(Failure {
            sqlstate: Some(UNDO_DIFFERS.to_owned()),
            ..Failure::refused(
                message,
                "no table and no event was dropped; drop or move that first, then try again",
            )
        })
    }

    /// An adopted table stays, and is judged by what it was when the first attempt came upon it.
    async fn compare_with_first(&mut self, after: &Fingerprint) -> Result<(), Failure> {
        if !ledger::is_kept(self.client).await? {
            return Ok(());
        }
        let rows = self.client.query_typed(WAS, &[]).await?;
        let Some(was) = rows.first().map(|row| row.get::<_, Value>(0)) else {
            return Ok(());
        };
        let was: BTreeMap<String, String> = serde_json::from_value(was).unwrap_or_default();
        let differ = differ(&was, &after.brief(|object| V001.makes(object)));
        if !differ.is_empty() {
            let told = differ.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
            let note = format!(
                "what stays is not as it was before V001: {told}{}",
                match differ.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                }
            );
            self.report.notes.push(Weight::Know, note);
        }
        Ok(())
    }

    async fn note_undo(&mut self) -> Result<(), Failure> {
        let written = record::last_rolled_back(self.client).await?;
        self.report.outcome = match written.status.as_deref() {
            Some("LEFT") => Outcome::Left,
            Some("RETAINED") => Outcome::Retained,
            _ => Outcome::RolledBack,
        };
        self.report.rows_retained = written.rows_retained;
        self.report.rows_dropped = written.rows_dropped;
        self.note(Weight::Know, written);
        Ok(())
    }
}

/// Entries that are not in both, or not the same.
fn differ(was: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let change = |name: &&String| match (was.get(*name), now.get(*name)) {
        (Some(_), None) => Some(format!("gone: {name}")),
        (None, Some(_)) => Some(format!("new: {name}")),
        (before, after) => (before != after).then(|| format!("altered: {name}")),
    };
    names.iter().filter_map(change).collect()
}

/// Something went that the ledger does not call V001's. Who is a member of a role is the whole server's affair and
/// changes by itself.
fn is_wrong(found: &Difference, made: &[String]) -> bool {
    let is_object = found.entry.split('(').next() == Some(found.object.as_str());
    let may_go =
        made.contains(&found.object) || found.object == "members" || V001.makes(&found.object) && !is_object;
    found.change == Change::Gone && !may_go
}

/// What the rollback file is told; it is told nothing where somebody asks by hand.
fn as_setting(on_delete: OnDelete) -> &'static str {
    match on_delete {
        OnDelete::Retain => "retain",
        OnDelete::DropIfEmpty => "drop_if_empty",
        OnDelete::Drop => "drop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_may_go() {
        let made = ["table raw.site_tracking_keys_r", "function raw.quarantined_bytes"].map(str::to_owned);
        for (change, object, entry, wrong) in [
            (
                Change::Gone,
                "table raw.site_tracking_keys_r",
                "table raw.site_tracking_keys_r",
                false,
            ),
            (
                Change::Gone,
                "table raw.site_tracking_keys_r",
                "index raw.x",
                false,
            ),
            (
                Change::Gone,
                "function raw.quarantined_bytes",
                "function raw.quarantined_bytes(bigint)",
                false,
            ),
            (
                Change::Gone,
                "function raw.origin_is_allowed",
                "function raw.origin_is_allowed(text)",
                true,
            ),
            (
                Change::Gone,
                "table raw.site_tracking_events_r",
                "table raw.site_tracking_events_r",
                true,
            ),
            (
                Change::Gone,
                "table raw.site_tracking_events_r",
                "constraint c on raw.site_tracking_events_r",
                false,
            ),
            (Change::Gone, "table public.t", "table public.t", true),
            (Change::Gone, "table public.t", "index public.i", true),
            (Change::Altered, "table public.t", "column public.t.a", false),
            (Change::New, "table public.t", "table public.t", false),
            (Change::Gone, "members", "a as a member of b by c", false),
        ] {
            let found = Difference {
                change,
                entry: entry.to_owned(),
                object: object.to_owned(),
                line: String::new(),
            };
            assert_eq!(is_wrong(&found, &made), wrong, "{change:?} {entry}");
        }
    }
}
