//! Many processes as many sandboxes, each with one request at a time, in front of one database.
//!
//! A crowd sends in turns: each process gets one beacon, and all have been answered when the turn is over. What the
//! server saw of them is in its own log and counters.

use std::time::{Duration, Instant};

use super::function::{Function, REMAINING};
use super::gateway::{Answer, Request, Shape};
use super::postgres::{Cluster, Version};
use super::runtime_api::Outcome;
use super::site::Site;

/// Processes and their site.
pub struct Crowd {
    pub site: Site,
    processes: Vec<Function>,
}

/// What a crowd was answered.
#[derive(Debug, Default)]
pub struct Heard {
    pub stored: usize,
    /// Asked to come again, and when.
    pub come_again: Vec<u64>,
    /// Asked to come again after a call whose end is not known.
    pub unknown: usize,
    /// Until the last of them was.
    pub took: Duration,
}

/// A server that writes down who comes, and has room for `connections` of a login and for who looks on.
pub fn cluster(connections: usize) -> &'static Cluster {
    let room = format!("max_connections = {}", connections + 40);
    let settings = [
        "fsync = off",
        "full_page_writes = off",
        "log_connections = on",
        "log_line_prefix = '%n '",
        &room,
    ];
    Box::leak(Box::new(Cluster::start(&Version::Default.bin(), &settings)))
}

impl Crowd {
    /// So many processes of the binary at `path`; their login may hold so many connections.
    pub async fn start(path: &str, processes: usize, connections: usize) -> Self {
        let site = Site::on(cluster(connections)).await;
        let sql = format!("alter role {} connection limit {connections}", site.login);
        site.admin.batch_execute(&sql).await.unwrap();
        let environment = site.environment();
        let mut crowd = Self {
            site,
            processes: Vec::new(),
        };
        for _ in 0..processes {
            crowd.processes.push(Function::start(path, &environment).await);
        }
        crowd
    }

    /// One beacon to each process.
    pub async fn turn(&self) -> Heard {
        let event = Request::post(Shape::V2, self.site.key.expose(), r#"{"a":1}"#).json();
        let began = Instant::now();
        let sent = self
            .processes
            .iter()
            .map(|process| process.api.invoke(event.clone(), REMAINING));
        let sent: Vec<_> = sent.collect();
        let mut heard = Heard::default();
        for (answer, process) in sent.into_iter().zip(&self.processes) {
            let Ok(Outcome::Response(reply)) = answer.await else {
                panic!("no answer:\n{}", process.output());
            };
            let answer = Answer::of(&reply);
            match answer.status {
                200 => heard.stored += 1,
                503 => {
                    heard.unknown += usize::from(answer.header("x-ingest-outcome") == "outcome_unknown");
                    heard
                        .come_again
                        .push(answer.header("retry-after").parse().expect("seconds"));
                }
                other => panic!("{other}: {answer:?}"),
            }
        }
        heard.took = began.elapsed();
        heard
    }

    /// Connections that the login holds now.
    pub async fn connections(&self) -> usize {
        let sql = "select count(*) from pg_stat_activity where usename = $1";
        let admin = self.site.database.superuser().await;
        let row = admin.query_one(sql, &[&self.site.login]).await.unwrap();
        usize::try_from(row.get::<_, i64>(0)).unwrap()
    }

    /// Seconds since 1970 at which somebody came to the server, as it wrote them down behind the first `skipped`
    /// bytes of its log.
    pub fn arrivals(&self, skipped: usize) -> Vec<f64> {
        let log = self.site.database.cluster.log();
        let lines = log.get(skipped..).unwrap_or_default().lines();
        lines
            .filter(|line| line.contains("connection received"))
            .filter_map(|line| line.split(' ').next()?.parse().ok())
            .collect()
    }

    /// Ends all of them.
    pub async fn stop(self) {
        for process in self.processes {
            process.stop().await;
        }
    }
}

/// The most that come within any one second.
pub fn most_in_a_second(arrivals: &[f64]) -> usize {
    let within = |from: &f64| {
        arrivals
            .iter()
            .filter(|at| (*from..from + 1.0).contains(*at))
            .count()
    };
    arrivals.iter().map(within).max().unwrap_or(0)
}
