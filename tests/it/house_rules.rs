//! The dependency rules of ARCHITECTURE.md, as far as a search of the text can tell, and the README's tables.

use std::path::{Path, PathBuf};

use site_tracking::config::{Function, VARIABLES};

use crate::support::tools;

/// Words that some of `functions/` must do without.
struct Rule {
    words: &'static [&'static str],
    place: Place,
    why: &'static str,
}

/// Names of files, and of folders with a `/` behind.
enum Place {
    OnlyIn(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

use Place::{NotIn, OnlyIn};

const RULES: &[Rule] = &[
    Rule {
        words: &["crate::ingest", "site_tracking::ingest"],
        place: OnlyIn(&["ingest/"]),
        why: "only ingest uses ingest",
    },
    Rule {
        words: &["crate::migrate", "site_tracking::migrate"],
        place: OnlyIn(&["migrate/"]),
        why: "only migrate uses migrate",
    },
    Rule {
        words: &["env::var", "env::vars", "env::var_os", "env::vars_os"],
        place: OnlyIn(&["config.rs"]),
        why: "only config reads the environment",
    },
    Rule {
        words: &["Environment::of_process("],
        place: OnlyIn(&["ingest/main.rs", "migrate/main.rs"]),
        why: "the environment is read once, in main",
    },
    Rule {
        words: &["StatusCode", "statusCode", "status_code"],
        place: OnlyIn(&["ingest/reply.rs", "ingest/reply/", "migrate/send.rs"]),
        why: "only reply knows the statuses that a sender sees; send reads the one that it is answered with",
    },
    Rule {
        words: &["ingest_tracking_beacon", "ingest_tracking_event"],
        place: OnlyIn(&["ingest/landing/", "migrate/"]),
        why: "only landing calls the SQL functions, and migrate knows what V001 makes",
    },
    Rule {
        words: &[
            "::now()",
            "now_v7()",
            "TcpStream",
            "tokio::",
            "tokio_postgres::Client",
            "crate::db",
        ],
        place: NotIn(&[
            "config.rs",
            "site_key.rs",
            "doctor.rs",
            "config/",
            "ingest/api_event.rs",
            "ingest/api_event/",
            "ingest/limits.rs",
            "ingest/api_event/",
            "ingest/loose_json.rs",
            "ingest/route.rs",
            "ingest/caller.rs",
            "ingest/caller/",
            "ingest/beacon.rs",
            "ingest/beacon/",
            "ingest/reply.rs",
            "ingest/reply/",
            "ingest/breaker.rs",
            "ingest/stamp.rs",
            "ingest/queue/message.rs",
            "ingest/queue/parts.rs",
            "ingest/replay/",
            "migrate/catalogue.rs",
            "migrate/cfn_event.rs",
            "migrate/fields.rs",
            "migrate/properties.rs",
            "migrate/plan.rs",
            "migrate/predecessor.rs",
            "migrate/answer.rs",
            "migrate/origin.rs",
            "migrate/report.rs",
            "migrate/action/",
        ]),
        why: "what parses and decides knows no clock and no network",
    },
];

impl Place {
    fn names(&self) -> &'static [&'static str] {
        match self {
            OnlyIn(names) | NotIn(names) => names,
        }
    }

    fn allows(&self, file: &str) -> bool {
        let is_named = self.names().iter().any(|name| match name.strip_suffix('/') {
            Some(_) => file.starts_with(name),
            None => file == *name,
        });
        is_named == matches!(self, OnlyIn(_))
    }
}

#[test]
fn words_stand_only_where_their_stage_is() {
    let sources = sources();
    let mut faults = Vec::new();
    for (name, code) in &sources {
        for rule in RULES.iter().filter(|rule| !rule.place.allows(name)) {
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
    for place in RULES.iter().flat_map(|rule| rule.place.names()) {
        let is_there = sources
            .iter()
            .any(|(name, _)| name == place || place.ends_with('/') && name.starts_with(place));
        assert!(is_there, "no functions/{place}");
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
