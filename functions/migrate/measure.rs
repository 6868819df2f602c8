//! What the schedule asks every few minutes: figures of the database as metrics, for the alarms of a stack.
//!
//! In: a connection inside a transaction that reads. Out: the fields of the answer, which are the fields of the log's
//! line. A figure that could not be had in time is left out, with a note: an alarm sees that nothing was told, and no
//! number that nobody counted.

use std::time::Duration;

use serde_json::{json, Map, Value};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::backlog::{self, Figure};
use super::failure::Failure;
use crate::log::metrics::{Metric, Metrics, Unit};

/// All figures together.
const LIMIT: Duration = Duration::from_secs(5);

const METRICS: [Metric; 6] = [
    Metric::new("OldestPendingSeconds", Unit::Seconds),
    Metric::count("Pending"),
    Metric::count("QuarantinedRows"),
    Metric::count("Connections"),
    Metric::new("ConnectionsUsedPercent", Unit::Percent),
    Metric::new("IdsLeftPercent", Unit::Percent),
];

/// The members of `tracking_ingest_role` that log in, which are the functions of all stacks on this database: how many
/// connections they have, and how near the nearest of them is to its end, which is that of the login, of the database
/// or of the server.
const CONNECTIONS: Figure = (
    "connections",
    "
select pg_catalog.jsonb_build_object('count', coalesce(sum(l.used), 0),
  'percent', coalesce(max(pg_catalog.round(100.0 * l.used / greatest(l.room, 1), 1)), 0))
from (
  select (select count(*) from pg_catalog.pg_stat_activity a where a.usesysid = r.oid) as used,
    least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1),
      pg_catalog.current_setting('max_connections')::integer
        - pg_catalog.current_setting('superuser_reserved_connections')::integer) as room
  from pg_catalog.pg_auth_members m
  join pg_catalog.pg_roles g on g.oid = m.roleid and g.rolname = 'tracking_ingest_role'
  join pg_catalog.pg_roles r on r.oid = m.member and r.rolcanlogin and not r.rolsuper
  join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
  where not m.admin_option and r.rolname <> current_user
) as l
where $1 > 0",
);

/// Measures.
///
/// # Errors
/// The database's.
pub async fn measure(client: &Client) -> Result<Map<String, Value>, Failure> {
    let end = Instant::now() + LIMIT;
    // The dearest stands last.
    let [pending, oldest, ids, quarantined] = backlog::FIGURES;
    let wanted = [CONNECTIONS, oldest, ids, pending, quarantined];
    Ok(told(&backlog::figures(client, &wanted, Some(end)).await?))
}

fn told(figures: &Map<String, Value>) -> Map<String, Value> {
    let figure = |name: &str| figures.get(name).filter(|figure| !figure.is_null());
    let has_failed = |name: &str| {
        let notes = figures["notes"].as_array().into_iter().flatten();
        notes
            .filter_map(Value::as_str)
            .any(|note| note.starts_with(&format!("{name} ")))
    };
    let oldest = match figure("oldest_pending") {
        Some(oldest) => Some(oldest["age_seconds"].clone()),
        None => (!has_failed("oldest_pending")).then(|| json!(0)),
    };
    let values = [
        oldest,
        figure("pending").map(|pending| pending["count"].clone()),
        figure("quarantined").map(|quarantined| quarantined["count"].clone()),
        figure("connections").map(|connections| connections["count"].clone()),
        figure("connections").map(|connections| connections["percent"].clone()),
        figure("ids").and_then(left_percent),
    ];
    let named = METRICS.iter().zip(values);
    let mut told: Map<String, Value> = named
        .filter_map(|(metric, value)| Some((metric.name.to_owned(), value?)))
        .collect();
    told.insert("notes".to_owned(), figures["notes"].clone());
    told
}

fn left_percent(ids: &Value) -> Option<Value> {
    let (last, left) = (ids["last"].as_f64()?, ids["left"].as_f64()?);
    let percent = 100.0 * left / (last + left);
    Some(json!((percent * 100.0).floor() / 100.0))
}

/// What makes the line of an answer metrics: its figures, and the member that says so. Nothing where it has none.
pub fn as_metrics(answer: &Map<String, Value>) -> Map<String, Value> {
    let is_told = |metric: &&Metric| answer.get(metric.name).is_some_and(Value::is_number);
    let metrics: Vec<Metric> = METRICS.iter().filter(is_told).copied().collect();
    let mut fields: Map<String, Value> = metrics
        .iter()
        .map(|metric| (metric.name.to_owned(), answer[metric.name].clone()))
        .collect();
    if !metrics.is_empty() {
        fields.insert("_aws".to_owned(), json!(Metrics::of_stack(&metrics)));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_no_metric_and_nothing_pending_is_no_age() {
        let figures = json!({"pending": {"count": 3, "more": false}, "oldest_pending": null, "quarantined": null,
            "connections": {"count": 2, "percent": 2.5}, "ids": {"last": 25, "left": 75},
            "notes": ["quarantined was not counted within 5 ms"]});
        let told = told(figures.as_object().unwrap());
        assert_eq!(
            json!(told),
            json!({"OldestPendingSeconds": 0, "Pending": 3, "Connections": 2, "ConnectionsUsedPercent": 2.5,
                "IdsLeftPercent": 75.0, "notes": ["quarantined was not counted within 5 ms"]})
        );
        let fields = as_metrics(&told);
        let named = &fields["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!(named.as_array().unwrap().len(), 5, "{fields:?}");
        assert_eq!(as_metrics(&Map::new()), Map::new());
    }

    #[test]
    fn an_age_that_could_not_be_had_is_not_zero() {
        let figures = json!({"oldest_pending": null, "notes": ["oldest_pending is not known: 42501"]});
        assert_eq!(
            told(figures.as_object().unwrap()).get("OldestPendingSeconds"),
            None
        );
    }
}
