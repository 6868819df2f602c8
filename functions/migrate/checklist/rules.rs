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
        (Wish::Have(_), Plan::Apply | Plan::Adopt) if is_adoption(found) && !has_backup => Err(Failure::refused(
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

    const DROP: Plan = Plan::RollBack(Some(OnDelete::Drop));
    const BY_HAND: Plan = Plan::RollBack(None);

    fn owner() -> Owner {
        Owner {
            stack_id: "s".to_owned(),
            logical_resource_id: "l".to_owned(),
        }
    }

    fn value(facts: &str, name: &str) -> Option<String> {
        let mut pairs = facts.split(' ').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// Of facts like `now=PRODUCTION on_delete=Drop backup=b ledger=TEST there=yes`.
    #[track_caller]
    fn assert_permitted(wish: Wish, plan: Plan, facts: &str, refused: Option<&str>) {
        let says = Says {
            environment: value(facts, "now"),
            on_delete: value(facts, "on_delete"),
            backup_reference: value(facts, "backup"),
            ..Says::default()
        };
        let found = Found {
            objects: Vec::from_iter(value(facts, "there")),
            ..Found::default()
        };
        let kept = value(facts, "ledger");
        let told = permit(&wish, plan, &found, &says, kept.as_deref()).err();
        let told = told.map(|failure| failure.to_string());
        assert_eq!(told.is_some(), refused.is_some(), "{facts}: {told:?}");
        assert!(
            told.unwrap_or_default().contains(refused.unwrap_or_default()),
            "{facts}"
        );
    }

    #[test]
    fn an_environment_stays_and_production_keeps_its_events_at_a_deploy() {
        for (plan, facts, refused) in [
            (Plan::Apply, "now=PRODUCTION", None),
            (Plan::Keep, "now=DEV ledger=DEV", None),
            (Plan::Keep, "ledger=PRODUCTION", None),
            (Plan::Keep, "now=DEV ledger=PRODUCTION", Some("ENV-01")),
            (Plan::Apply, "now=PRODUCTION ledger=TEST", Some("ENV-01")),
            (Plan::Apply, "now=PRODUCTION on_delete=Drop", Some("ENV-02")),
            (Plan::Keep, "on_delete=Drop ledger=PRODUCTION", Some("ENV-02")),
            (Plan::Apply, "now=PRODUCTION on_delete=Retain", None),
            (Plan::Apply, "now=TEST on_delete=Drop", None),
            (Plan::Apply, "now=PRODUCTION there=yes", Some("DEP-02")),
            (Plan::Apply, "now=PRODUCTION there=yes backup=b", None),
            (Plan::Apply, "now=TEST there=yes", None),
        ] {
            assert_permitted(Wish::Have(Some(owner())), plan, facts, refused);
        }
    }

    #[test]
    fn production_keeps_its_events_at_a_delete_whatever_the_stack_calls_itself() {
        for (plan, facts, refused) in [
            (DROP, "now=DEV ledger=PRODUCTION backup=b", Some("ENV-02")),
            (DROP, "now=PRODUCTION", Some("ENV-02")),
            (Plan::StrikeOwner, "now=PRODUCTION", None),
            (DROP, "now=DEV ledger=DEV", None),
        ] {
            let wish = Wish::Leave(owner(), OnDelete::Drop);
            assert_permitted(wish, plan, &format!("{facts} on_delete=Drop"), refused);
        }
        for (rows, facts, refused) in [
            (Some(3), "ledger=PRODUCTION", Some("DEP-02")),
            (Some(3), "ledger=PRODUCTION backup=b", None),
            (Some(0), "ledger=PRODUCTION", None),
            (None, "ledger=PRODUCTION", None),
            (Some(3), "ledger=DEV", None),
        ] {
            assert_permitted(Wish::Gone { rows, owners: None }, BY_HAND, facts, refused);
        }
    }
}
