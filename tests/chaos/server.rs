//! PostgreSQL's process brought down, and up again.

use std::time::Duration;

use tokio::task::block_in_place;

use super::support::postgres::Cluster;
use super::support::processes::{self, signal};
use super::support::wait;

/// Of a process that was told to end, on a loaded machine.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Kills all of its processes: no buffer is written, no client hears of it.
pub fn kill(cluster: &Cluster) {
    block_in_place(|| {
        let postmaster = postmaster(cluster);
        // Stopped it starts no other.
        signal(&postmaster, "STOP");
        let backends = processes::below(postmaster.parse().unwrap());
        signal(&postmaster, "KILL");
        for backend in &backends {
            signal(&backend.pid.to_string(), "KILL");
        }
        wait::until("the end of all backends", END_LIMIT, || {
            (!backends.iter().any(processes::Process::is_alive)).then_some(())
        });
        cluster.stop();
    });
}

/// Ends it as an operator does who is in a hurry: sessions are ended, buffers are written.
pub fn shut_down(cluster: &Cluster) {
    block_in_place(|| {
        let postmaster = postmaster(cluster);
        let all = processes::below(postmaster.parse().unwrap());
        signal(&postmaster, "INT");
        wait::until("the end of all backends", END_LIMIT, || {
            (!all.iter().any(processes::Process::is_alive)).then_some(())
        });
        cluster.stop();
    });
}

/// Ends it at once.
pub fn stop(cluster: &Cluster) {
    block_in_place(|| cluster.stop());
}

pub fn start(cluster: &Cluster) {
    block_in_place(|| cluster.start_again());
}

fn postmaster(cluster: &Cluster) -> String {
    let file = cluster.authority_pem().with_file_name("data/postmaster.pid");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().next().unwrap().trim().to_owned()
}
