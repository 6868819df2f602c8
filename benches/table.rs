//! What is printed: a line per figure, its target beside it where it has one.

use crate::support::database::Database;
use crate::support::postgres::Cluster;

pub struct Table {
    machine: String,
    lines: Vec<String>,
}

impl Table {
    pub async fn of(cluster: &Cluster) -> Self {
        let name = "postgres".to_owned();
        let client = Database { cluster, name }.superuser().await;
        let server: String = client.query_one("show server_version", &[]).await.unwrap().get(0);
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let model = model.trim_start_matches([' ', '\t', ':']);
        let version = server.split(' ').next().unwrap_or_default();
        Self {
            machine: format!("{cores} cores of {model}, PostgreSQL {version}, TLS on loopback"),
            lines: Vec::new(),
        }
    }

    pub fn heading(&mut self, text: &str) {
        self.lines.push(format!("\n{text}"));
    }

    pub fn figure(&mut self, name: &str, value: String) {
        self.lines.push(format!("  {name:<58} {value}"));
    }

    /// A figure that must not exceed its target.
    pub fn target(&mut self, name: &str, value: f64, most: f64, unit: &str) {
        let verdict = if value <= most { "held" } else { "MISSED" };
        self.figure(name, format!("{value:.2} {unit} (target {most:.2}: {verdict})"));
    }

    pub fn print(&self) {
        println!("{}", self.machine);
        for line in &self.lines {
            println!("{line}");
        }
    }
}
