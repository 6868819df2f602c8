//! Each symptom of the README is one that a test has seen: what the README quotes, the test finds in real output.

use crate::readme_deploy::{rows, section};
use crate::support::stack_template::translated;
use crate::support::tools;

/// Where a symptom is produced.
enum Seen {
    /// By the test of that name, in that file of this folder.
    By(&'static str, &'static str),
    /// It is AWS that says it.
    AtAws,
}
use Seen::{AtAws, By};

/// What the row says first, what it quotes, who has seen it.
const SYMPTOMS: &[(&str, &[&str], Seen)] = &[
    ("401", &["malformed_key"], By("ingest_answers", "cases")),
    ("401", &["unknown_key"], By("ingest_answers", "cases")),
    ("403", &["origin"], By("ingest_answers", "cases")),
    (
        "a page's console says",
        &["has been blocked by CORS policy"],
        By(
            "browser",
            "the_console_says_what_keeps_a_beacon_or_its_answer_away",
        ),
    ),
    (
        "202, and no row",
        &[r#"{"action":"dead_letters"}"#],
        By(
            "queue_outage",
            "what_is_refused_five_times_rests_with_its_reason_and_comes_again_when_asked",
        ),
    ),
    (
        "503 with",
        &["queue_error"],
        By("queue_outage", "with_the_queue_away_too_nothing_is_acknowledged"),
    ),
    (
        "503 for every request",
        &["no_connection"],
        By(
            "ingest_connection",
            "a_database_that_is_away_is_503_in_time_and_is_found_again_in_time",
        ),
    ),
    (
        "503 for every request",
        &["42501", "3F000", "42883"],
        By(
            "ingest_start",
            "a_database_that_is_not_ready_for_beacons_is_named_to_the_operator_alone",
        ),
    ),
    (
        "503 now and then",
        &["no_room"],
        By(
            "edge_bombs",
            "twenty_of_the_largest_bodies_at_once_are_stored_or_asked_to_come_again",
        ),
    ),
    (
        "503 or 202 now and then",
        &["busy"],
        By(
            "ingest_connection",
            "a_call_that_hangs_holds_up_and_stops_nobody_elses",
        ),
    ),
    (
        "the deploy fails",
        &["grant usage on schema auth to "],
        By(
            "migrate_rights",
            "a_right_that_an_apply_lacks_is_told_with_the_statement_that_gives_it",
        ),
    ),
    (
        "the deploy is refused at once",
        &["DatabaseHost is empty - give the host of the database, or set Database to create"],
        By(
            "template_choices",
            "each_rule_refuses_something_and_what_is_left_is_what_the_readme_offers",
        ),
    ),
    ("the deploy fails with", &["UnreservedConcurrentExecution"], AtAws),
    (
        "the deploy fails with",
        &["FirstSiteKey is not a site key"],
        By(
            "template_end_to_end",
            "a_first_key_is_one_tenants_and_a_revoked_one_stays_revoked",
        ),
    ),
    (
        "the deploy fails with",
        &["FirstSiteKey is a key of another tenant"],
        By(
            "template_end_to_end",
            "a_first_key_is_one_tenants_and_a_revoked_one_stays_revoked",
        ),
    ),
    (
        "a page's console says",
        &["violates the following Content Security Policy directive"],
        By(
            "browser",
            "the_console_says_what_keeps_a_beacon_or_its_answer_away",
        ),
    ),
    (
        "the alarm",
        &["MeasureAlarm"],
        By(
            "alarms_cross",
            "alarms_of_what_is_measured_cross_when_their_fault_is_there_or_nothing_is",
        ),
    ),
    (
        "the deploy fails with",
        &["ENV-01"],
        By(
            "migrate_checklist_deploy",
            "an_environment_stays_what_it_was_at_the_first_apply",
        ),
    ),
    (
        "the deploy fails with",
        &["FUN-"],
        By(
            "migrate_checklist_deploy",
            "a_failed_line_of_the_closed_list_fails_the_deploy_with_evidence_and_remedy",
        ),
    ),
    (
        "the deploy fails with",
        &["TR010"],
        By("migrate_adopt", "refused_untouched"),
    ),
    (
        "the deploy fails with",
        &["55P03"],
        By(
            "migrate_traffic",
            "a_delete_behind_a_held_lock_ends_in_an_answer_and_takes_nothing",
        ),
    ),
    (
        "the deploy or the delete fails with",
        &["TR019"],
        By(
            "migrate_traffic",
            "a_deploy_or_a_delete_that_would_keep_others_waiting_is_given_up_and_changes_nothing",
        ),
    ),
    ("the deploy hangs for 390 seconds", &["S3"], AtAws),
    (
        "the stack's delete left tables",
        &["Drop"],
        By("migrate_deploy", "rows_go_only_where_the_stack_says_drop"),
    ),
    (
        "the deploy fails with TR018",
        &["TR018"],
        By(
            "migrate_rehearsal",
            "a_deploy_whose_undo_would_leave_something_of_ours_fails_and_changes_nothing",
        ),
    ),
    (
        "the stack's delete fails with TR018",
        &["TR018"],
        By(
            "migrate_rehearsal",
            "a_delete_that_would_take_what_others_made_takes_nothing_and_names_it",
        ),
    ),
    (
        "deleting the last stack says",
        &["left"],
        By(
            "migrate_owners",
            "a_stack_that_retained_without_connecting_stays_an_owner_until_an_operator_counts_it",
        ),
    ),
    (
        "`make run`: port 9000 is taken",
        &["is taken"],
        By(
            "make_run",
            "a_port_that_is_taken_or_none_is_one_sentence_and_nothing_is_started",
        ),
    ),
];

#[test]
fn each_symptom_is_one_that_a_test_has_seen() {
    let mut rows = rows(&section("When something is wrong"));
    rows.remove(0);
    for (begin, quotes, seen) in SYMPTOMS {
        let holds = |row: &&Vec<String>| {
            row[0].starts_with(begin) && quotes.iter().all(|quote| row.join(" ").contains(quote))
        };
        assert!(
            rows.iter().any(|row| holds(&row)),
            "the README has no {begin} {quotes:?}"
        );
        if let By(file, test) = seen {
            let body = body_of(file, test);
            for quote in *quotes {
                assert!(body.contains(quote), "{file}::{test} has not seen {quote:?}");
            }
        }
    }
    for row in &rows {
        let is_seen = SYMPTOMS.iter().any(|(begin, quotes, _)| {
            row[0].starts_with(begin) && quotes.iter().all(|quote| row.join(" ").contains(quote))
        });
        assert!(is_seen, "no test is named for {row:?}");
    }
    assert_eq!(
        translated()["Resources"]["RawLayer"]["Properties"]["ServiceTimeout"],
        390
    );
}

fn body_of(file: &str, function: &str) -> String {
    let path = tools::project().join("tests/it").join(format!("{file}.rs"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let begin = text
        .find(&format!("fn {function}("))
        .unwrap_or_else(|| panic!("no {file}::{function}"));
    text[begin..].split("\n}\n").next().unwrap().to_owned()
}
