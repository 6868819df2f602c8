//! What PRODUCTION refuses before anything is sent, and that an environment stays what it was at the first apply.
//!
//! In: who wants what, what is planned, what the stack says and what the ledger kept. Out: a refusal that names the
//! checklist's line, or nothing. Pure.

use super::says::Says;
use crate::migrate::failure::Failure;
use crate::migrate::plan::{Found, OnDelete, Plan, Wish};

const PRODUCTION: &str = "PRODUCTION";

/// The environment that counts: what is said now, else what the ledger has kept.
pub fn environment<'a>(says: &'a Says, kept: Option<&'a str>) -> Option<&'a str> {
    says.environment.as_deref().or(kept)
}

/// Refuses what a rule forbids.
///
/// # Errors
/// The rule, and what to do.
pub fn permit(
    wish: &Wish,
    plan: Plan,
    found: &Found,
    says: &Says,
    kept: Option<&str>,
) -> Result<(), Failure> {
    if let (Wish::Have(_), Some(named), Some(kept)) = (wish, &says.environment, kept) {
        if named != kept {
            return Err(Failure::refused(
                format!(
                    "checklist ENV-01: the ledger has {kept} since the first apply, this deploy says {named}"
                ),
                "deploy to the database of that environment, or set Environment to what the ledger has",
            ));
        }
    }
    // Either of the two is enough: a stack cannot talk its way out of what the ledger knows.
    let is_production = kept == Some(PRODUCTION) || environment(says, kept) == Some(PRODUCTION);
    if is_production {
        in_production(wish, plan, found, says)?;
    }
    Ok(())
}

fn in_production(wish: &Wish, plan: Plan, found: &Found, says: &Says) -> Result<(), Failure> {
    let has_backup = says.backup_reference.is_some();
    match (wish, plan) {
        (Wish::Have(_), _) if says.on_delete.as_deref() == Some("Drop") => Err(Failure::refused(
            "checklist ENV-02: OnDelete is Drop in PRODUCTION: deleting the stack would delete every event",
            "set OnDelete to DropIfEmpty or Retain",
        )),
        (_, Plan::RollBack(Some(OnDelete::Drop))) => Err(Failure::refused(
            "checklist ENV-02: OnDelete is Drop in PRODUCTION: nothing was deleted",
            "set OnDelete to DropIfEmpty or Retain; to drop events roll back by hand with drop_rows and backup_reference",
        )),
        (Wish::Have(_), Plan::Apply) if is_adoption(found) && !has_backup => Err(Failure::refused(
            "checklist DEP-02: what is there would be adopted in PRODUCTION without a backup reference",
            "set BackupReference (backup_reference of an action) to the backup that would be restored",
        )),
        (Wish::Gone { rows: Some(1..), .. }, Plan::RollBack(_)) if !has_backup => Err(Failure::refused(
            "checklist DEP-02: events would be dropped in PRODUCTION without a backup reference",
            "add \"backup_reference\" with the backup that would be restored",
        )),
        _ => Ok(()),
    }
}

/// Something of that name is there that no apply of ours is known to have made.
fn is_adoption(found: &Found) -> bool {
    !found.objects.is_empty() && found.checksum.is_none() && found.owners.is_empty() && !found.made_by_hand
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::plan::Owner;

    #[test]
    fn production_keeps_its_events_and_an_environment_stays() {
        let owner = || Owner {
            stack_id: "s".to_owned(),
            logical_resource_id: "l".to_owned(),
        };
        let have = || Wish::Have(Some(owner()));
        let leave = || Wish::Leave(owner(), OnDelete::Drop);
        let gone = |rows| Wish::Gone { rows, owners: None };
        let strangers = Found {
            objects: vec!["table raw.site_tracking_events_r".to_owned()],
            ..Found::default()
        };
        let drop = Plan::RollBack(Some(OnDelete::Drop));
        let by_hand = Plan::RollBack(None);
        let production = Some("PRODUCTION");
        for (wish, plan, found, environment, on_delete, backup, kept, refused) in [
            (
                have(),
                Plan::Apply,
                &Found::default(),
                production,
                None,
                None,
                None,
                None,
            ),
            (
                have(),
                Plan::Keep,
                &Found::default(),
                Some("DEV"),
                None,
                None,
                Some("DEV"),
                None,
            ),
            (
                have(),
                Plan::Keep,
                &Found::default(),
                None,
                None,
                None,
                production,
                None,
            ),
            (
                have(),
                Plan::Keep,
                &Found::default(),
                Some("DEV"),
                None,
                None,
                production,
                Some("ENV-01"),
            ),
            (
                have(),
                Plan::Apply,
                &Found::default(),
                production,
                None,
                None,
                Some("TEST"),
                Some("ENV-01"),
            ),
            (
                have(),
                Plan::Apply,
                &Found::default(),
                production,
                Some("Drop"),
                None,
                None,
                Some("ENV-02"),
            ),
            (
                have(),
                Plan::Keep,
                &Found::default(),
                None,
                Some("Drop"),
                None,
                production,
                Some("ENV-02"),
            ),
            (
                have(),
                Plan::Apply,
                &Found::default(),
                production,
                Some("Retain"),
                None,
                None,
                None,
            ),
            (
                have(),
                Plan::Apply,
                &Found::default(),
                Some("TEST"),
                Some("Drop"),
                None,
                None,
                None,
            ),
            (
                have(),
                Plan::Apply,
                &strangers,
                production,
                None,
                None,
                None,
                Some("DEP-02"),
            ),
            (
                have(),
                Plan::Apply,
                &strangers,
                production,
                None,
                Some("b"),
                None,
                None,
            ),
            (
                have(),
                Plan::Apply,
                &strangers,
                Some("TEST"),
                None,
                None,
                None,
                None,
            ),
            (
                leave(),
                drop,
                &strangers,
                Some("DEV"),
                Some("Drop"),
                Some("b"),
                production,
                Some("ENV-02"),
            ),
            (
                leave(),
                drop,
                &strangers,
                production,
                Some("Drop"),
                None,
                None,
                Some("ENV-02"),
            ),
            (
                leave(),
                Plan::StrikeOwner,
                &strangers,
                production,
                Some("Drop"),
                None,
                None,
                None,
            ),
            (
                leave(),
                drop,
                &strangers,
                Some("DEV"),
                Some("Drop"),
                None,
                Some("DEV"),
                None,
            ),
            (
                gone(Some(3)),
                by_hand,
                &strangers,
                None,
                None,
                None,
                production,
                Some("DEP-02"),
            ),
            (
                gone(Some(3)),
                by_hand,
                &strangers,
                None,
                None,
                Some("b"),
                production,
                None,
            ),
            (
                gone(Some(0)),
                by_hand,
                &strangers,
                None,
                None,
                None,
                production,
                None,
            ),
            (
                gone(None),
                by_hand,
                &strangers,
                None,
                None,
                None,
                production,
                None,
            ),
            (
                gone(Some(3)),
                by_hand,
                &strangers,
                None,
                None,
                None,
                Some("DEV"),
                None,
            ),
        ] {
            let says = Says {
                environment: environment.map(str::to_owned),
                on_delete: on_delete.map(str::to_owned),
                backup_reference: backup.map(str::to_owned),
                ..Says::default()
            };
            let what = format!("{wish:?} {plan:?} {says:?} {kept:?}");
            match (permit(&wish, plan, found, &says, kept), refused) {
                (Ok(()), None) => {}
                (Err(failure), Some(id)) => assert!(failure.to_string().contains(id), "{what}: {failure}"),
                (found, _) => panic!("{what}: {found:?}"),
            }
        }
    }
}
