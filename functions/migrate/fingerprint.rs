//! What is in a database's catalog, as text that is equal where the catalog means the same.
//!
//! In: a connection inside a transaction. Out: entries (class and name, definition) and one SHA-256 of them. Classes:
//! schemas, relations with their settings, columns, constraints, indexes, sequences, views, rules, triggers, policies,
//! functions and aggregates, types, operators and their classes, casts, collations, extended statistics, extensions,
//! languages, foreign servers, event triggers, publications, privileges (none written is the default written out),
//! default privileges, comments, owners, settings of the database, V001's roles and who is a member of them. Left out:
//! rows, OIDs, attribute numbers, statistics, hints, values of sequences, text search, large objects, subscriptions,
//! what belongs to the server, and by name temporary and toast schemas, the system's and `migrations`.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::failure::Failure;

/// One piece of SQL a class; see there.
const CLASSES: &str = include_str!("fingerprint/classes.sql");
const MARK: &str = "-- class: ";

/// Settings that texts of definitions depend on; and plans that do not believe that catalogs are small: 1.8 s instead of
/// 4.9 s for 3,000 relations.
const SETTINGS: &str = "savepoint fingerprint;
    set local search_path = pg_catalog, pg_temp; set local datestyle = iso, ymd; set local intervalstyle = postgres;
    set local timezone = 'UTC'; set local extra_float_digits = 1; set local bytea_output = hex;
    set local quote_all_identifiers = off; set local jit = off; set local enable_nestloop = off";

/// Enough of a hash to see that a definition is another.
const BRIEF_BYTES: usize = 8;

/// What was in a catalog at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    object: String,
    definition: String,
}

/// What became of an entry between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was there.
    Gone,
    /// It is there.
    New,
    /// It is another.
    Altered,
}

/// An entry that is not the same at two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What became of it.
    pub change: Change,
    /// Class and name.
    pub entry: String,
    /// What the entry belongs to, in the ledger's words: `table raw.site_tracking_events_r`.
    pub object: String,
    /// For a person: the entry and both definitions.
    pub line: String,
}

/// Reads it. Locks, settings and savepoints are afterwards what they were.
///
/// # Errors
/// The database's.
pub async fn read(client: &Client) -> Result<Fingerprint, Failure> {
    let row = client
        .query_typed("select current_setting('server_version_num')::integer", &[])
        .await?;
    let classes = classes(row.first().map_or(0, |row| row.get(0)));
    let mut fingerprint = Fingerprint::default();
    fingerprint.add(client, &classes.join("union all\n")).await?;
    Ok(fingerprint)
}

impl Fingerprint {
    /// Adds what a query finds. Locks, settings and savepoints are afterwards what they were.
    ///
    /// # Errors
    /// The database's.
    pub async fn add(&mut self, client: &Client, query: &str) -> Result<(), Failure> {
        client.batch_execute(SETTINGS).await?;
        let rows = client.query_typed(query, &[]).await?;
        client
            .batch_execute("rollback to savepoint fingerprint; release savepoint fingerprint")
            .await?;
        self.entries.extend(rows.iter().filter_map(entry));
        Ok(())
    }
}

fn entry(row: &tokio_postgres::Row) -> Option<(String, Entry)> {
    let definition = row.get::<_, Option<String>>(2).unwrap_or_default();
    let object = row.get::<_, Option<String>>(0).unwrap_or_default();
    Some((row.get::<_, Option<String>>(1)?, Entry { object, definition }))
}

/// The same class by class, a query each: between them somebody else may change something.
pub fn queries(server_version: i32) -> Vec<String> {
    let classes = classes(server_version);
    let (beginning, rest) = classes.split_first().unwrap_or((&"", &[]));
    let query = |class: &&str| format!("{beginning}union all\n{class}");
    rest.iter().map(query).collect()
}

/// What all begin with, and the classes that a server of this version has; in one statement there is one snapshot for
/// all of them.
fn classes(server_version: i32) -> Vec<&'static str> {
    let mut asked = Vec::new();
    for piece in CLASSES.split(MARK).skip(1) {
        let (name, sql) = piece.split_once('\n').unwrap_or((piece, ""));
        let since = name.rsplit(' ').next().and_then(|word| word.parse().ok());
        if since.unwrap_or(0) <= server_version {
            asked.push(sql);
        }
    }
    asked
}

impl Fingerprint {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// SHA-256 of all entries, in lower-case hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, entry) in &self.entries {
            for text in [name, &entry.definition] {
                hash.update(text.len().to_be_bytes());
                hash.update(text);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The entries of some objects, each with the beginning of its definition's hash: for the ledger.
    pub fn brief(&self, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let wanted = self.entries.iter().filter(|(_, entry)| is_wanted(&entry.object));
        wanted
            .map(|(name, entry)| {
                let hash = Sha256::digest(&entry.definition);
                let short = hash.iter().take(BRIEF_BYTES).map(|byte| format!("{byte:02x}"));
                (name.clone(), short.collect())
            })
            .collect()
    }

    /// What is different at a later moment, in the order of the entries.
    pub fn difference(&self, later: &Self) -> Vec<Difference> {
        let names: BTreeSet<&String> = self.entries.keys().chain(later.entries.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| difference(name, self.entries.get(name), later.entries.get(name)))
            .collect()
    }
}

fn difference(name: &str, before: Option<&Entry>, after: Option<&Entry>) -> Option<Difference> {
    let (change, object, line) = match (before, after) {
        (Some(before), None) => (
            Change::Gone,
            before,
            format!("gone: {name} ({})", before.definition),
        ),
        (None, Some(after)) => (Change::New, after, format!("new: {name} ({})", after.definition)),
        (Some(before), Some(after)) if before != after => {
            let line = format!(
                "altered: {name} ({}, not {})",
                after.definition, before.definition
            );
            (Change::Altered, after, line)
        }
        _ => return None,
    };
    Some(Difference {
        change,
        entry: name.to_owned(),
        object: object.object.clone(),
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> Fingerprint {
        let entry = |(name, definition): &(&str, &str)| {
            let (object, definition) = ("o".to_owned(), (*definition).to_owned());
            ((*name).to_owned(), Entry { object, definition })
        };
        Fingerprint {
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn two_moments_differ_in_what_came_went_or_changed_and_so_does_the_digest() {
        let before = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let after = of(&[("a", "1"), ("b", "two"), ("d", "4")]);
        let lines: Vec<_> = before
            .difference(&after)
            .into_iter()
            .map(|difference| (difference.change, difference.line))
            .collect();
        assert_eq!(
            lines,
            [
                (Change::Altered, "altered: b (two, not 2)".to_owned()),
                (Change::Gone, "gone: c (3)".to_owned()),
                (Change::New, "new: d (4)".to_owned())
            ]
        );
        assert_ne!(before.digest(), after.digest());
        assert_ne!(of(&[("ab", "c")]).digest(), of(&[("a", "bc")]).digest());
        assert!(before.difference(&before.clone()).is_empty());
    }

    #[test]
    fn a_class_that_a_server_does_not_know_yet_is_not_asked_for() {
        for (version, asked) in [
            (120_022, false),
            (149_999, false),
            (150_000, true),
            (180_004, true),
        ] {
            assert_eq!(
                classes(version).concat().contains("pg_publication_namespace"),
                asked,
                "{version}"
            );
        }
    }
}
