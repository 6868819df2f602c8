//! What the processes counted, held against what the senders were told.

use std::time::Duration;

use super::account::{Attempt, COUNTED};
use super::support::{metrics, wait};
use super::world::World;

/// A line is written before its answer is sent, and read a moment later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything in which the sums of the metrics are not what the senders were told, sandbox by sandbox. Of a request
/// without an answer there may be a line or none.
pub async fn differences(world: &World, attempts: &[Attempt]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, sandbox) in world.sandboxes.iter().enumerate() {
        let own = || attempts.iter().filter(|attempt| attempt.place == place);
        let is_answered = |attempt: &&Attempt| attempt.counts.iter().sum::<u64>() > 0;
        let answered = own().filter(is_answered).count();
        let lines = wait::until_async("a line for each answer", PATIENCE, || async {
            let mut lines = metrics::lines(&sandbox.log());
            lines.retain(|line| line.get("Received").is_some());
            (lines.len() >= answered).then_some(lines)
        })
        .await;
        found.extend(lines.iter().flat_map(metrics::faults));
        let open: usize = own()
            .filter(|attempt| !is_answered(attempt))
            .map(|attempt| attempt.marks.len())
            .sum();
        let mut sum = 0.0;
        for (which, (_, name)) in COUNTED.iter().enumerate() {
            let told = own().map(|attempt| attempt.counts[which]).sum::<u64>() as f64;
            let counted = metrics::total(&lines, name);
            sum += counted;
            if !(told..=told + open as f64).contains(&counted) {
                found.push(format!(
                    "sandbox {place} counted {counted} {name}, its sender was told {told}, {open} open"
                ));
            }
        }
        let received = metrics::total(&lines, "Received");
        if received != sum || metrics::total(&lines, "Beacons") != lines.len() as f64 {
            found.push(format!("sandbox {place} received {received}, and counted {sum}"));
        }
    }
    found
}
