//! `migrations/deployment_checklist.md` lists the lines that the machine has, and no others.

use site_tracking::migrate::checklist::filled::sections;
use site_tracking::migrate::checklist::{lines, FAILS_A_DEPLOY};

use crate::support::tools;

const PAGE: &str = "migrations/deployment_checklist.md";

/// Behind this the page is the table of lines.
const MARK: &str = "<!-- lines -->\n";

#[test]
fn the_page_lists_each_line_with_who_answers_it_and_no_other() {
    let path = tools::project().join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, listed) = page.split_once(MARK).expect("the mark");
    let expected = listing();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{expected}")).unwrap();
        return;
    }
    assert_eq!(listed, expected, "UPDATE_EXPECTED=1 rewrites {PAGE}");
    for id in FAILS_A_DEPLOY {
        assert!(head.contains(id), "the closed list of {PAGE} lacks {id}");
    }
}

fn listing() -> String {
    let mut listing = String::new();
    for section in sections() {
        listing.push_str(&format!(
            "\n## {}\n\n| line | what is so | who |\n|---|---|---|\n",
            section.title()
        ));
        for line in lines().filter(|line| line.section == section) {
            let who = if line.is_a_persons() { "person" } else { "machine" };
            listing.push_str(&format!("| {} | {} | {who} |\n", line.id, line.sentence));
        }
    }
    listing
}
