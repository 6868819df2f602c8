//! A predecessor of the raw layer: whether V001 can write to what is there under its names.
//!
//! In: the shape of what is there, as the catalog has it. Out: a [`Verdict`] with each difference in words. Pure. What
//! is compared is what V001 writes, not how V001 would have made it: a wider text, a nullable column, an integer id is
//! no obstacle; a narrower text, a column that refuses NULL, another type is one.

use serde::Deserialize;

/// Tables of this size or more get their indexes while others write.
const LIVE_TABLE_BYTES: i64 = 64 * 1024 * 1024;

/// What stands under our names.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Shape {
    /// Of the events table: `r` for a table; `None`: there is none.
    pub kind: Option<String>,
    /// Whether it survives a crash.
    pub logged: bool,
    /// Whether it hides rows from its owner.
    pub hides_rows: bool,
    /// Size of its rows.
    pub bytes: i64,
    /// Whether its id has a sequence that belongs to it.
    pub id_has_sequence: bool,
    /// Whether its id is unique and never NULL.
    pub id_is_unique: bool,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Relations under the names of our indexes.
    pub indexes: Vec<Index>,
    /// Functions under our names that are not as V001 declares them.
    pub functions: Vec<Function>,
    /// How the table of site keys differs, if there is one.
    pub keys_differ: Option<String>,
    /// Functions in SQL that call a function which has to give way, on a server that would refuse its new result.
    pub callers_that_break: Vec<String>,
    /// What hinders the adoption of a stranger, with the remedy: it would work, and could not be given back, or others
    /// would not find what they call.
    pub at_first: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, without length.
    pub kind: String,
    /// Its length, where it has one.
    pub length: Option<i32>,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Whether it fills itself where nothing is said.
    pub has_default: bool,
    /// Whether nothing may be said: generated, or an identity of the strict kind.
    pub fixed: bool,
}

/// A relation under the name of one of our indexes.
#[derive(Clone, Debug, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// How the catalog says it is made; empty: it is no index.
    pub definition: String,
    /// Whether it was built to its end.
    pub valid: bool,
}

/// A function that has to give way.
#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    /// With its arguments and result.
    pub name: String,
    /// Whether it can be put back from its definition.
    pub can_return: bool,
    /// What would go with it.
    pub dependents: Vec<String>,
}

/// What can be done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It is as V001 makes it, or nothing is there.
    #[default]
    Ours,
    /// V001 can write to it.
    Compatible,
    /// V001 cannot, and why.
    Incompatible(String),
}

struct Wanted {
    name: &'static str,
    exact: (&'static str, Option<i32>, bool),
    also: &'static [&'static str],
    shortest: i32,
    /// V001 says nothing, or never NULL.
    may_refuse_null: bool,
    may_be_missing: bool,
}

const fn wanted(
    name: &'static str,
    exact: (&'static str, Option<i32>, bool),
    also: &'static [&'static str],
) -> Wanted {
    Wanted {
        name,
        exact,
        also,
        shortest: 0,
        may_refuse_null: exact.2,
        may_be_missing: true,
    }
}

const fn text(name: &'static str, exact: (&'static str, Option<i32>, bool), shortest: i32) -> Wanted {
    let row = wanted(name, exact, &["text", "character varying"]);
    Wanted { shortest, ..row }
}

const fn needed(name: &'static str, kind: &'static str, also: &'static [&'static str]) -> Wanted {
    let row = wanted(name, (kind, None, true), also);
    Wanted {
        may_be_missing: false,
        ..row
    }
}

const TIME: &str = "timestamp with time zone";

/// What V001 makes, and what it can write to instead.
const COLUMNS: [Wanted; 14] = [
    needed("raw_event_id", "bigint", &["integer"]),
    needed("tenant_hk", "bytea", &[]),
    wanted("api_key_hk", ("bytea", None, false), &[]),
    wanted("received_timestamp", (TIME, None, true), &[]),
    wanted("client_ip", ("inet", None, false), &[]),
    text("user_agent", ("text", None, false), 1024),
    needed("raw_payload", "jsonb", &[]),
    text("batch_id", ("character varying", Some(100), false), 36),
    text("processing_status", ("character varying", Some(20), true), 10),
    text("error_message", ("text", None, false), 1024),
    wanted("retry_count", ("integer", None, true), &["smallint", "bigint"]),
    text("record_source", ("character varying", Some(100), true), 12),
    wanted("event_key", ("uuid", None, false), &[]),
    wanted("request", ("jsonb", None, false), &[]),
];

/// Our indexes on the events table, as the catalog says how they are made.
pub const INDEXES: [(&str, &str); 3] = [
    (
        "site_tracking_events_r_pending",
        "INDEX %s ON raw.site_tracking_events_r USING btree (raw_event_id) \
         WHERE ((processing_status)::text = 'PENDING'::text)",
    ),
    (
        "site_tracking_events_r_received",
        "INDEX %s ON raw.site_tracking_events_r USING brin (received_timestamp)",
    ),
    (
        "site_tracking_events_r_event_once",
        "UNIQUE INDEX %s ON raw.site_tracking_events_r USING btree (event_key, tenant_hk) WHERE (event_key IS NOT NULL)",
    ),
];

impl Shape {
    /// What can be done with it.
    pub fn verdict(&self) -> Verdict {
        if self.kind.is_none() && self.functions.is_empty() {
            return self
                .keys_differ
                .clone()
                .map_or(Verdict::Ours, Verdict::Incompatible);
        }
        let obstacles = self.obstacles();
        if !obstacles.is_empty() {
            return Verdict::Incompatible(obstacles.join("; "));
        }
        if self.functions.is_empty() && COLUMNS.iter().all(|wanted| self.is_exact(wanted)) {
            return Verdict::Ours;
        }
        Verdict::Compatible
    }

    /// The same of what no attempt of ours has touched yet.
    pub fn verdict_at_first(&self) -> Verdict {
        match self.verdict() {
            Verdict::Compatible if !self.at_first.is_empty() => {
                Verdict::Incompatible(self.at_first.join("; "))
            }
            Verdict::Incompatible(why) if !self.at_first.is_empty() => {
                Verdict::Incompatible(format!("{why}; {}", self.at_first.join("; ")))
            }
            verdict => verdict,
        }
    }

    /// Whether its indexes have to be built while others write.
    pub fn is_live(&self) -> bool {
        self.bytes >= LIVE_TABLE_BYTES
    }

    /// Our indexes that are not there to their end, with what is left of an earlier try: name, statement, leftover.
    pub fn indexes_to_build(&self) -> Vec<(&'static str, String, bool)> {
        let of = |name: &str| self.indexes.iter().find(|index| index.name == name);
        INDEXES
            .iter()
            .filter(|(name, _)| of(name).is_none_or(|index| !index.valid))
            .map(|(name, made)| {
                let made = made.replace("INDEX %s", &format!("INDEX CONCURRENTLY {name}"));
                (*name, format!("CREATE {made}"), of(name).is_some())
            })
            .collect()
    }

    /// Columns and indexes of ours that it has not.
    pub fn lacks(&self) -> Vec<String> {
        let columns = COLUMNS.iter().filter(|wanted| self.column(wanted.name).is_none());
        let indexes = self.indexes_to_build().into_iter();
        columns
            .map(|wanted| format!("column raw.site_tracking_events_r.{}", wanted.name))
            .chain(indexes.map(|(name, ..)| format!("index raw.{name}")))
            .collect()
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn is_exact(&self, wanted: &Wanted) -> bool {
        self.column(wanted.name)
            .is_some_and(|column| (column.kind.as_str(), column.length, column.not_null) == wanted.exact)
    }

    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.of_the_table();
        if self.kind.as_deref() == Some("r") {
            obstacles.extend(COLUMNS.iter().filter_map(|wanted| self.of_column(wanted)));
            obstacles.extend(self.of_further_columns());
        }
        for (name, made) in INDEXES {
            let made = format!("CREATE {}", made.replace("%s", name));
            let other = self
                .indexes
                .iter()
                .find(|i| i.name == name && i.definition != made);
            obstacles
                .extend(other.map(|_| format!("raw.{name} is something else than \"{made}\": rename it")));
        }
        for function in &self.functions {
            let name = &function.name;
            if !function.can_return {
                obstacles.push(format!("{name} is no function that could be put back: rename it"));
            }
            let on = function.dependents.join(", ");
            if !on.is_empty() {
                obstacles.push(format!(
                    "{name} has to give way, and {on} would go with it: change that first"
                ));
            }
        }
        let broken = self.callers_that_break.iter();
        obstacles.extend(broken.map(|caller| {
            format!("{caller} calls the function that gives way and would not take a bigint from it: cast the result there")
        }));
        obstacles.extend(self.keys_differ.clone());
        obstacles
    }

    fn of_the_table(&self) -> Vec<String> {
        const TABLE: &str = "raw.site_tracking_events_r";
        let mut obstacles = Vec::new();
        match self.kind.as_deref() {
            None => obstacles.push("the functions are there without the table that they write to".to_owned()),
            Some("r") => {}
            Some(_) => return vec![format!("{TABLE} is no plain table")],
        }
        for (is_so, obstacle) in [
            (!self.logged, "is not logged, a crash empties it: alter table … set logged"),
            (self.hides_rows, "hides rows from its owner: alter table … no force row level security"),
            (!self.id_is_unique, "has no unique index on raw_event_id alone: add a primary key"),
            (
                !self.id_has_sequence,
                "has no sequence of its own behind raw_event_id: alter sequence … owned by raw.site_tracking_events_r.raw_event_id",
            ),
        ] {
            if is_so && self.kind.is_some() {
                obstacles.push(format!("{TABLE} {obstacle}"));
            }
        }
        obstacles
    }

    fn of_column(&self, wanted: &Wanted) -> Option<String> {
        let name = format!("raw.site_tracking_events_r.{}", wanted.name);
        let Some(column) = self.column(wanted.name) else {
            return (!wanted.may_be_missing)
                .then(|| format!("{name} is missing, and no row could have a value in it"));
        };
        let length = column.length.map(|n| format!("({n})")).unwrap_or_default();
        let is = format!("{name} is {}{length}", column.kind);
        if column.kind != wanted.exact.0 && !wanted.also.contains(&column.kind.as_str()) {
            return Some(format!("{is}, to which V001 cannot write {}", wanted.exact.0));
        }
        if column.length.is_some_and(|length| length < wanted.shortest) {
            return Some(format!(
                "{is}, V001 writes up to {} characters there",
                wanted.shortest
            ));
        }
        if column.not_null && !wanted.may_refuse_null {
            return Some(format!("{is} not null, V001 writes NULL there"));
        }
        let fills = column.has_default || ["tenant_hk", "raw_payload"].contains(&wanted.name);
        if column.not_null && !fills {
            return Some(format!("{is} not null without a default, V001 leaves it out"));
        }
        column
            .fixed
            .then(|| format!("{is}, generated always: V001 writes its values itself"))
    }

    fn of_further_columns(&self) -> impl Iterator<Item = String> + '_ {
        let further = |column: &&Column| COLUMNS.iter().all(|wanted| wanted.name != column.name);
        self.columns
            .iter()
            .filter(further)
            .filter(|column| column.not_null && !column.has_default && !column.fixed)
            .map(|column| {
                format!(
                    "raw.site_tracking_events_r.{} is not null without a default, and V001 does not know it",
                    column.name
                )
            })
    }
}

#[cfg(test)]
#[path = "predecessor/tests.rs"]
mod tests;
