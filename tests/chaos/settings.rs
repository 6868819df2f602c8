//! How many faults, and which chance: `CHAOS_FAULTS`, `CHAOS_SEED`, `CHAOS_WORLDS`.

use std::sync::Arc;

use super::fault::{Keeps, Kind};
use super::inject::{Lengths, LONG, SHORT};
use super::lane::{Lane, Progress};
use super::seed::Seed;

/// Of each kind, where nobody says a number: as many as fit into a minute.
const FAULTS: usize = 2;

/// From so many on it is a long run, with long faults.
const LONG_FROM: usize = 10;

/// Worlds at once; they mostly wait.
const WORLDS: usize = 3;

pub struct Settings {
    pub seed: u64,
    pub faults: usize,
    pub worlds: usize,
    /// Somebody asks which tests there are.
    pub is_only_listed: bool,
}

impl Settings {
    pub fn read() -> Self {
        Self {
            seed: number("CHAOS_SEED")
                .unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000_000),
            faults: number("CHAOS_FAULTS").map_or(FAULTS, |faults| usize::try_from(faults).unwrap_or(FAULTS)),
            worlds: number("CHAOS_WORLDS")
                .map_or(WORLDS, |worlds| usize::try_from(worlds).unwrap_or(WORLDS).max(1)),
            is_only_listed: std::env::args().any(|argument| argument == "--list"),
        }
    }

    /// All faults, in the order of the seed.
    pub fn plan(&self) -> Vec<Kind> {
        let mut faults: Vec<Kind> = Kind::ALL
            .into_iter()
            .flat_map(|kind| vec![kind; self.faults])
            .collect();
        Seed::new(self.seed).shuffle(&mut faults);
        faults
    }

    fn seed_of(&self, world: usize) -> Seed {
        Seed::new(self.seed).of(1 + world as u64)
    }

    /// The world of this place, with its faults.
    pub fn lane(&self, faults: Vec<Kind>, place: usize, progress: &Arc<Progress>, keeps: Keeps) -> Lane {
        Lane::new(
            faults,
            self.seed_of(place),
            self.lengths(),
            progress.clone(),
            keeps,
        )
    }

    fn lengths(&self) -> Lengths {
        match self.faults {
            ..LONG_FROM => SHORT,
            _ => LONG,
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, got {text:?}")),
    )
}
