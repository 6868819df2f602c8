//! Processes as `/proc` shows them: who is below whom, and who is still alive.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};

/// One process, told from a later one of the same number by the time of its birth.
pub struct Process {
    pub pid: u32,
    born: String,
}

impl Process {
    /// A process that has ended and that nobody has waited for is not.
    pub fn is_alive(&self) -> bool {
        state(self.pid).is_some_and(|state| state[BORN] == self.born && state[STATE] != "Z")
    }

    pub fn command_line(&self) -> String {
        let text = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\0', " ")
    }
}

/// Children, their children and so on, also those in groups and sessions of their own.
pub fn below(root: u32) -> Vec<Process> {
    let parents = parents();
    let mut family = HashSet::from([root]);
    loop {
        let known = family.clone();
        let children = parents.iter().filter(|(_, parent)| known.contains(parent));
        family.extend(children.map(|(pid, _)| *pid));
        if family == known {
            break;
        }
    }
    family.remove(&root);
    let found = family.into_iter();
    found
        .filter_map(|pid| {
            Some(Process {
                pid,
                born: state(pid)?.swap_remove(BORN),
            })
        })
        .collect()
}

/// Sends a signal by name (`INT`, `KILL` …) to a process, or to a group (`-` and the number of its leader), that
/// may be gone.
pub fn signal(whom: &str, name: &str) {
    let kill = ["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, whom];
    let _ = Command::new("sh").args(kill).stderr(Stdio::null()).status();
}

/// Number and parent of each process.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, state(pid)?[PARENT].parse().ok()?))
        })
        .collect()
}

/// Places of proc_pid_stat(5), counted from the field behind the name.
const STATE: usize = 0;
const PARENT: usize = 1;
const BORN: usize = 19;

/// The fields of `/proc/<pid>/stat` behind the name, which may hold anything.
fn state(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = text
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    (fields.len() > BORN).then_some(fields)
}
