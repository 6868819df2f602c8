//! The table, and whether all is well.

use std::time::Duration;

use super::fault::Kind;
use super::lane::Episode;
use super::reconcile::Verdict;
use super::settings::Settings;

/// So many of what went wrong are printed.
const SHOWN: usize = 10;

pub struct Report {
    seed: u64,
    least: usize,
    episodes: Vec<Episode>,
    verdict: Verdict,
}

impl Report {
    pub fn new(settings: &Settings, episodes: Vec<Episode>, verdict: Verdict) -> Self {
        Self {
            seed: settings.seed,
            least: settings.faults,
            episodes,
            verdict,
        }
    }

    pub fn is_good(&self) -> bool {
        self.verdict.is_good() && Kind::ALL.into_iter().all(|kind| self.is_enough(kind))
    }

    fn of(&self, kind: Kind) -> Vec<&Episode> {
        self.episodes
            .iter()
            .filter(|episode| episode.kind == kind)
            .collect()
    }

    /// A disk that nobody may make full on this machine is said to be missing, and is no fault.
    fn is_enough(&self, kind: Kind) -> bool {
        let episodes = self.of(kind);
        let hits = episodes.iter().filter(|episode| episode.is_hit).count();
        hits >= self.least || kind == Kind::DiskFull && episodes.is_empty()
    }

    pub fn print(&self) {
        println!("| fault | put in | hit | recovery: median | longest |\n|---|---|---|---|---|");
        for kind in Kind::ALL {
            println!("{}", self.line(kind));
        }
        let v = &self.verdict;
        let (open, kept) = v.open.values().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        println!(
            "beacons {}: 200 {}, 202 {}, 503 with nothing stored {}",
            v.beacons, v.acknowledged_200, v.acknowledged_202, v.unavailable
        );
        println!(
            "events {}, rows {}, dead letters {}",
            v.events, v.stored, v.dead_letters
        );
        println!("events of which their sender knows nothing: {open}, stored of them {kept}");
        for (during, (open, kept)) in &v.open {
            println!(
                "  during {}: {open}, stored {kept}",
                during.map_or("no fault", Kind::name)
            );
        }
        for (what, faults) in [
            ("lost", &v.lost),
            ("twice", &v.twice),
            ("uninvited", &v.uninvited),
            ("unexplained", &v.unexplained),
            ("miscounted", &v.miscounted),
        ] {
            for fault in faults.iter().take(SHOWN) {
                println!("{what}: {fault}");
            }
        }
        println!(
            "lost {}, twice {}, uninvited {}, unexplained {}, miscounted {}",
            v.lost.len(),
            v.twice.len(),
            v.uninvited.len(),
            v.unexplained.len(),
            v.miscounted.len()
        );
        let word = if self.is_good() { "good" } else { "FAILED" };
        println!("chaos: {word}; again with `make chaos SEED={}`", self.seed);
    }

    fn line(&self, kind: Kind) -> String {
        let episodes = self.of(kind);
        if kind == Kind::DiskFull && episodes.is_empty() {
            return format!(
                "| {} | none: this machine lets nobody mount a file system | | | |",
                kind.name()
            );
        }
        let mut recoveries: Vec<Duration> = episodes.iter().map(|episode| episode.recovery).collect();
        recoveries.sort_unstable();
        let injected: usize = episodes.iter().map(|episode| episode.injected).sum();
        let hits = episodes.iter().filter(|episode| episode.is_hit).count();
        let short = if self.is_enough(kind) { "" } else { " (too few)" };
        let ms = |duration: Option<&Duration>| duration.map_or(0, Duration::as_millis);
        format!(
            "| {} | {injected} | {hits}{short} | {} ms | {} ms |",
            kind.name(),
            ms(recoveries.get(recoveries.len().saturating_sub(1) / 2)),
            ms(recoveries.last())
        )
    }
}
