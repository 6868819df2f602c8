//! The page filled in, as Markdown: a table per section, as `migrations/deployment_checklist.md` has it.
//!
//! In: the filled checklist. Out: text. Evidence cannot break a table: what has a meaning in one is escaped.

use std::fmt::Write;

use super::filled::{of_section, sections, Filled, Verdict};
use crate::migrate::catalogue::V001;

/// The page.
pub fn page(filled: &Filled) -> String {
    let mut page = format!(
        "# Deployment checklist, {}, filled in\n\n{} ({} ms): {}.\n",
        V001.version,
        filled.at,
        filled.ms,
        filled.counts()
    );
    for section in sections() {
        let _ = write!(
            page,
            "\n## {}\n\n| line | what is so | who | verdict | evidence |\n|---|---|---|---|---|\n",
            section.title()
        );
        for (line, answer) in of_section(filled, section) {
            let who = if line.is_a_persons() { "person" } else { "machine" };
            let verdict = match answer.verdict {
                Verdict::Failed => "**failed**",
                other => other.words(),
            };
            let mut evidence = answer.evidence.clone();
            if answer.verdict == Verdict::Failed {
                let _ = write!(evidence, " → {}", line.remedy);
            }
            let _ = writeln!(
                page,
                "| {} | {} | {who} | {verdict} | {} |",
                line.id,
                cell(line.sentence),
                cell(&evidence)
            );
        }
    }
    page.push_str("\n## The SQL to see it again\n\nIn a transaction that is rolled back");
    page.push_str(" (`begin; set local search_path = pg_catalog, pg_temp; …; rollback;`).\n");
    for (line, _) in &filled.lines {
        if let Some(sql) = line.sql() {
            let _ = write!(page, "\n### {}\n\n```sql\n{};\n```\n", line.id, sql.trim());
        }
    }
    page
}

fn cell(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;");
    escaped.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::filled::Answer;
    use super::super::lines;
    use super::*;

    #[test]
    fn evidence_cannot_break_the_table() {
        let answered = lines().map(|line| (line, Answer::new(Verdict::Failed, "a|b\n| c <script>")));
        let filled = Filled {
            at: "now".to_owned(),
            ms: 1,
            lines: answered.collect(),
        };
        let page = page(&filled);
        let row = page.lines().find(|row| row.starts_with("| PRE-01 |")).unwrap();
        assert!(row.contains("a\\|b \\| c &lt;script>"), "{row}");
    }
}
