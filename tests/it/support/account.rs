//! PostgreSQL refuses root: where this process is root's, the servers run as an account that exists already.

use std::fs;
use std::os::unix::fs::{lchown, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a command the account's.
pub fn run_as(command: &mut Command) -> &mut Command {
    match account() {
        Some((user, group)) => command.uid(user).gid(group),
        None => command,
    }
}

/// Makes a folder and all that is in it the account's.
pub fn give(folder: &Path) {
    if let Some(account) = account() {
        give_to(folder, account);
    }
}

/// Whether the account may read and start this program.
pub fn can_run(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").current_dir("/").stdout(Stdio::null());
    run_as(&mut command).status().is_ok_and(|status| status.success())
}

/// User and group id.
fn account() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let find = |wanted: &str| {
        let fields: Vec<&str> = accounts
            .lines()
            .map(|l| l.split(':').collect())
            .find(|f: &Vec<_>| f[0] == wanted)?;
        Some((fields[2].parse().ok()?, fields[3].parse().ok()?))
    };
    let found = find("postgres").or_else(|| find("nobody"));
    Some(found.expect("PostgreSQL refuses root: an account postgres or nobody"))
}

fn give_to(path: &Path, (user, group): (u32, u32)) {
    lchown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            give_to(&entry.unwrap().path(), (user, group));
        }
    }
}
