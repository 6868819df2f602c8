//! The dependency rules of ARCHITECTURE.md, as far as a search of the text can tell, and the README's tables.

use std::path::{Path, PathBuf};

use site_tracking::config::{Function, VARIABLES};

use crate::support::tools;

/// Where a word may stand in `functions/`; everywhere else it is a fault.
struct Rule {
    words: &'static [&'static str],
    may_stand_in: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["crate::ingest", "site_tracking::ingest"],
        may_stand_in: &["ingest/"],
        why: "only ingest uses ingest",
    },
    Rule {
        words: &["crate::migrate", "site_tracking::migrate"],
        may_stand_in: &["migrate/"],
        why: "only migrate uses migrate",
    },
    Rule {
        words: &["env::var", "env::vars", "env::var_os", "env::vars_os"],
        may_stand_in: &["config.rs"],
        why: "only config reads the environment",
    },
    Rule {
        words: &["Environment::of_process("],
        may_stand_in: &["ingest/main.rs", "migrate/main.rs"],
        why: "the environment is read once, in main",
    },
    Rule {
        words: &["StatusCode", "statusCode", "status_code"],
        may_stand_in: &["ingest/reply.rs", "ingest/reply/", "migrate/send.rs"],
        why: "only reply knows the statuses that a sender sees; send reads the one that it is answered with",
    },
    Rule {
        words: &["ingest_tracking_beacon", "ingest_tracking_event"],
        may_stand_in: &["ingest/landing.rs", "ingest/landing/", "migrate/"],
        why: "only landing calls the SQL functions",
    },
    Rule {
        words: &["SystemTime::now", "Instant::now", "Uuid::now_v7", "TcpStream"],
        may_stand_in: &[
            "db.rs",
            "db/",
            "log.rs",
            "log/",
            "ingest/main.rs",
            "ingest/mod.rs",
            "ingest/landing.rs",
            "ingest/landing/",
            "migrate/main.rs",
            "migrate/mod.rs",
            "migrate/run.rs",
            "migrate/run/",
            "migrate/send.rs",
        ],
        why: "what parses and decides knows no clock and no network",
    },
];

#[test]
fn words_stand_only_where_their_stage_is() {
    let sources = sources();
    assert!(sources.len() > 10, "found {} files", sources.len());
    let mut faults = Vec::new();
    for (name, code) in &sources {
        for rule in RULES
            .iter()
            .filter(|rule| !rule.may_stand_in.iter().any(|place| name.starts_with(place)))
        {
            for (number, line) in code.lines().enumerate() {
                if rule.words.iter().any(|word| line.contains(word)) {
                    faults.push(format!(
                        "functions/{name}:{}: {}: {}",
                        number + 1,
                        rule.why,
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_place_in_a_rule_is_there() {
    let sources = sources();
    for place in RULES
        .iter()
        .flat_map(|rule| rule.may_stand_in)
        .filter(|place| place.ends_with(".rs"))
    {
        assert!(
            sources.iter().any(|(name, _)| name == place),
            "no functions/{place}"
        );
    }
}

#[test]
fn the_readme_has_a_line_for_each_variable_and_none_for_others() {
    let readme = std::fs::read_to_string(tools::project().join("README.md")).unwrap();
    let (_, behind) = readme
        .split_once("| variable | read by | default | meaning |\n")
        .expect("the table");
    let found: Vec<&str> = behind
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<String> = VARIABLES
        .iter()
        .map(|variable| {
            let readers = variable.functions.iter().map(|function| match function {
                Function::Ingest => "ingest",
                Function::Migrate => "migrate",
            });
            let readers: Vec<&str> = readers.collect();
            let default = match variable.default {
                None => String::new(),
                Some("") => "empty".to_owned(),
                Some(value) => format!("`{value}`"),
            };
            format!(
                "| `{}` | {} | {default} | {} |",
                variable.name,
                readers.join(", "),
                variable.meaning
            )
        })
        .collect();
    assert_eq!(found, expected, "the table should read\n{}", expected.join("\n"));
}

/// Name below `functions/`, and text without its unit tests and comments.
fn sources() -> Vec<(String, String)> {
    let root = tools::project().join("functions");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code: Vec<&str> = code
                .lines()
                .map(|line| line.split("//").next().unwrap())
                .collect();
            (name, code.join("\n"))
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
