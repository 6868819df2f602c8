//! Decides what is done: what somebody wants, and what ledger and catalog say, give a plan and the reason for it.
//!
//! Pure: no database, no clock. The SQL files do what the plan says, and `run.rs` sends them.

use serde::Serialize;

use super::predecessor::Verdict;

/// What a Delete may destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// Nothing.
    Retain,
    /// Everything, unless there is an event.
    DropIfEmpty,
    /// Everything.
    Drop,
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The stack's ARN.
    pub stack_id: String,
    /// The resource's name in the stack's template.
    pub logical_resource_id: String,
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The layer, for an owner or (`None`) by hand.
    Have(Option<Owner>),
    /// To be an owner no longer.
    Leave(Owner, OnDelete),
    /// The layer gone, with this many rows, and with this many owners.
    Gone {
        /// As somebody counted them; `None`: nobody did.
        rows: Option<u64>,
        /// The same of the stacks that own it.
        owners: Option<usize>,
    },
}

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Objects of ours, by name.
    pub objects: Vec<String>,
    /// What verify says is not as it should be; `None`: all is.
    pub differences: Option<String>,
    /// Whether the foreign key was made and the rows that were there are not checked yet.
    pub is_unvalidated: bool,
    /// The stacks that own the layer.
    pub owners: Vec<Owner>,
    /// Whether the ledger says that the layer was made without a stack.
    pub made_by_hand: bool,
    /// Checksum of the file that was applied last.
    pub checksum: Option<String>,
    /// Whether V001 can write to what is there.
    pub verdict: Verdict,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: all is as it should be.
    Keep,
    /// The create file, then verify.
    Apply,
    /// The owner's name is struck from the ledger; the objects stay.
    StrikeOwner,
    /// The rollback file, with what it may destroy; `None`: as many rows as somebody counted by hand.
    RollBack(Option<OnDelete>),
    /// What is there is made ready, then the create file, then verify.
    Adopt,
    /// Nothing: V001 cannot write to what is there.
    RefuseToAdopt,
    /// Nothing: this many owners would lose what they own, and who asks did not say so.
    RefuseFor(usize),
}

/// A plan and the sentence that says why.
pub type Decision = (Plan, String);

/// Decides.
pub fn decide(wish: &Wish, found: &Found, checksum: &str) -> Decision {
    match wish {
        Wish::Have(owner) => have(owner.as_ref(), found, checksum),
        Wish::Leave(owner, on_delete) => leave(owner, *on_delete, found),
        Wish::Gone { owners, .. } => gone(*owners, found),
    }
}

fn have(owner: Option<&Owner>, found: &Found, checksum: &str) -> Decision {
    if found.objects.is_empty() {
        return (Plan::Apply, "the raw layer is not there".to_owned());
    }
    if let Verdict::Incompatible(why) = &found.verdict {
        return (
            Plan::RefuseToAdopt,
            format!("the raw layer that is there cannot be adopted: {why}"),
        );
    }
    let apply = match found.verdict {
        Verdict::Compatible => Plan::Adopt,
        _ => Plan::Apply,
    };
    if apply == Plan::Adopt && found.checksum.is_none() {
        let reason = "a predecessor of the raw layer is there, and V001 can write to it";
        return (apply, reason.to_owned());
    }
    if let Some(differences) = &found.differences {
        return (
            apply,
            format!("the raw layer is not as V001 makes it: {differences}"),
        );
    }
    if found.is_unvalidated {
        return (
            apply,
            "its foreign key to auth.tenant_h is not validated yet".to_owned(),
        );
    }
    if found.checksum.as_deref() != Some(checksum) {
        return (apply, "it was made by another edition of V001".to_owned());
    }
    match owner {
        Some(owner) if !found.owners.contains(owner) => (
            apply,
            "the raw layer is there; this stack becomes an owner of it".to_owned(),
        ),
        _ => (
            Plan::Keep,
            "the raw layer is there and as V001 makes it".to_owned(),
        ),
    }
}

fn leave(owner: &Owner, on_delete: OnDelete, found: &Found) -> Decision {
    if !found.owners.contains(owner) {
        return (
            Plan::Keep,
            "this stack owns nothing here, nothing was changed".to_owned(),
        );
    }
    let others: Vec<&str> = found
        .owners
        .iter()
        .filter(|other| *other != owner)
        .map(|other| other.stack_id.as_str())
        .collect();
    if on_delete == OnDelete::Retain {
        return (Plan::Keep, "OnDelete is Retain: everything stays".to_owned());
    }
    if !others.is_empty() {
        let reason = format!(
            "this stack leaves; {0} other owner(s) keep the raw layer: {1}; of stacks that are no more an operator is rid \
             by the action rollback with \"owners\": {0}",
            others.len(),
            others.join(", ")
        );
        return (Plan::StrikeOwner, reason);
    }
    if found.made_by_hand {
        let reason = "this stack leaves; the raw layer was made by hand and stays";
        return (Plan::StrikeOwner, reason.to_owned());
    }
    (
        Plan::RollBack(Some(on_delete)),
        "the last owner leaves what a stack made".to_owned(),
    )
}

fn gone(owners: Option<usize>, found: &Found) -> Decision {
    if found.objects.is_empty() {
        return (Plan::Keep, "nothing of V001 is there".to_owned());
    }
    let there = found.owners.len();
    if there > 0 && owners != Some(there) {
        let names: Vec<&str> = found.owners.iter().map(|owner| owner.stack_id.as_str()).collect();
        let reason = format!("the raw layer is owned by {there} stack(s): {}", names.join(", "));
        return (Plan::RefuseFor(there), reason);
    }
    (Plan::RollBack(None), "asked for by hand".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(stack: &str) -> Owner {
        Owner {
            stack_id: stack.to_owned(),
            logical_resource_id: "RawLayer".to_owned(),
        }
    }

    fn there(owners: &[&str]) -> Found {
        Found {
            objects: vec!["table raw.site_tracking_events_r".to_owned()],
            checksum: Some("now".to_owned()),
            owners: owners.iter().map(|stack| owner(stack)).collect(),
            ..Found::default()
        }
    }

    #[test]
    fn who_wants_the_layer_gets_it_and_nothing_is_done_twice() {
        let a = || Wish::Have(Some(owner("a")));
        let drifted = Found {
            differences: Some("a column is missing".to_owned()),
            ..there(&["a"])
        };
        let unvalidated = Found {
            is_unvalidated: true,
            ..there(&["a"])
        };
        let older = Found {
            checksum: Some("before".to_owned()),
            ..there(&["a"])
        };
        let unknown = Found {
            checksum: None,
            ..there(&[])
        };
        for (label, wish, found, plan, because) in [
            (
                "nothing is there",
                a(),
                Found::default(),
                Plan::Apply,
                "not there",
            ),
            (
                "by hand",
                Wish::Have(None),
                Found::default(),
                Plan::Apply,
                "not there",
            ),
            ("already owned", a(), there(&["a"]), Plan::Keep, "is there"),
            (
                "owned with another",
                a(),
                there(&["b", "a"]),
                Plan::Keep,
                "is there",
            ),
            (
                "owned by another",
                a(),
                there(&["b"]),
                Plan::Apply,
                "becomes an owner",
            ),
            ("made by hand", a(), there(&[]), Plan::Apply, "becomes an owner"),
            (
                "by hand again",
                Wish::Have(None),
                there(&["a"]),
                Plan::Keep,
                "is there",
            ),
            ("drift", a(), drifted, Plan::Apply, "a column is missing"),
            (
                "stopped before its end",
                a(),
                unvalidated,
                Plan::Apply,
                "not validated",
            ),
            ("another edition", a(), older, Plan::Apply, "another edition"),
            ("no ledger", a(), unknown, Plan::Apply, "another edition"),
        ] {
            let (planned, reason) = decide(&wish, &found, "now");
            assert_eq!(planned, plan, "{label}");
            assert!(reason.contains(because), "{label}: {reason}");
        }
    }

    #[test]
    fn a_predecessor_is_adopted_or_refused_and_left_alone_once_it_is_as_it_should_be() {
        let standing = |verdict: &Verdict, differences: Option<&str>| Found {
            verdict: verdict.clone(),
            differences: differences.map(str::to_owned),
            ..there(&["a"])
        };
        let incompatible = Verdict::Incompatible("user_agent is varchar(50)".to_owned());
        for (label, who, verdict, differences, plan, because) in [
            (
                "new",
                "a",
                &Verdict::Compatible,
                Some("no keys table"),
                Plan::Adopt,
                "no keys table",
            ),
            ("adopted", "a", &Verdict::Compatible, None, Plan::Keep, "is there"),
            (
                "shared",
                "b",
                &Verdict::Compatible,
                None,
                Plan::Adopt,
                "becomes an owner",
            ),
            (
                "narrow",
                "a",
                &incompatible,
                Some("much"),
                Plan::RefuseToAdopt,
                "user_agent is varchar(50)",
            ),
            (
                "ours",
                "a",
                &Verdict::Ours,
                Some("an index"),
                Plan::Apply,
                "an index",
            ),
        ] {
            let (planned, reason) = decide(
                &Wish::Have(Some(owner(who))),
                &standing(verdict, differences),
                "now",
            );
            assert_eq!(planned, plan, "{label}");
            assert!(reason.contains(because), "{label}: {reason}");
        }
        let leaving = Wish::Leave(owner("a"), OnDelete::Drop);
        let (planned, _) = decide(&leaving, &standing(&incompatible, Some("drift")), "now");
        assert_eq!(planned, Plan::RollBack(Some(OnDelete::Drop)));
    }

    #[test]
    fn objects_go_when_the_last_owner_leaves_what_a_stack_made() {
        use OnDelete::{Drop, DropIfEmpty, Retain};
        let by_hand = Found {
            made_by_hand: true,
            ..there(&["a"])
        };
        let other_resource = Owner {
            logical_resource_id: "Other".to_owned(),
            ..owner("a")
        };
        for (label, leaving, how, found, plan) in [
            (
                "last",
                owner("a"),
                DropIfEmpty,
                there(&["a"]),
                Plan::RollBack(Some(DropIfEmpty)),
            ),
            (
                "last, drop",
                owner("a"),
                Drop,
                there(&["a"]),
                Plan::RollBack(Some(Drop)),
            ),
            ("retain", owner("a"), Retain, there(&["a"]), Plan::Keep),
            (
                "first of two",
                owner("a"),
                Drop,
                there(&["a", "b"]),
                Plan::StrikeOwner,
            ),
            ("made by hand", owner("a"), Drop, by_hand, Plan::StrikeOwner),
            ("a stranger", owner("c"), Drop, there(&["a"]), Plan::Keep),
            (
                "a sibling resource",
                other_resource,
                Drop,
                there(&["a"]),
                Plan::Keep,
            ),
            ("nothing is there", owner("a"), Drop, Found::default(), Plan::Keep),
        ] {
            let (planned, reason) = decide(&Wish::Leave(leaving, how), &found, "now");
            assert_eq!(planned, plan, "{label}: {reason}");
        }
    }

    #[test]
    fn by_hand_the_layer_goes_if_it_is_there_and_its_owners_were_counted() {
        for (label, owners, found, plan) in [
            ("nothing is there", None, Found::default(), Plan::Keep),
            ("nothing is left", Some(2), Found::default(), Plan::Keep),
            ("nobody owns it", None, there(&[]), Plan::RollBack(None)),
            ("not counted", None, there(&["a", "b"]), Plan::RefuseFor(2)),
            ("one too few", Some(1), there(&["a", "b"]), Plan::RefuseFor(2)),
            ("one too many", Some(3), there(&["a", "b"]), Plan::RefuseFor(2)),
            ("counted", Some(2), there(&["a", "b"]), Plan::RollBack(None)),
        ] {
            let (planned, reason) = decide(&Wish::Gone { rows: None, owners }, &found, "now");
            assert_eq!(planned, plan, "{label}: {reason}");
        }
    }
}
