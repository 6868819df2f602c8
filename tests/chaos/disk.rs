//! A small file system for the events, where the machine lets one be mounted; gone with this process.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::support::account;

/// More than a run stores.
const SIZE: &str = "1g";

/// So often it is asked to shrink to what is used: the events grow meanwhile.
const TRIES: usize = 20;

pub struct Disk {
    pub folder: PathBuf,
    sweeper: Child,
}

impl Disk {
    /// Nothing where the machine lets nobody mount.
    pub fn mount() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("site-tracking-disk-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).ok()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", "read -r _; umount -l \"$1\"; rmdir \"$1\"", "sweeper"])
            .arg(&folder);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let disk = Self {
            sweeper: command.process_group(0).current_dir("/").spawn().ok()?,
            folder,
        };
        let mounted = disk.shell(&format!("mount -t tmpfs -o size={SIZE} tmpfs \"$1\""));
        if mounted {
            account::give(&disk.folder);
        }
        mounted.then_some(disk)
    }

    /// Leaves no room beside what is used.
    pub fn fill(&self) {
        let shrink = "mount -o remount,size=$(df -k --output=used \"$1\" | tail -n 1 | tr -d ' ')k \"$1\"";
        assert!(
            (0..TRIES).any(|_| self.shell(shrink)),
            "the file system does not shrink"
        );
    }

    pub fn empty(&self) {
        assert!(
            self.shell(&format!("mount -o remount,size={SIZE} \"$1\"")),
            "the file system does not grow"
        );
    }

    fn shell(&self, script: &str) -> bool {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "disk"])
            .arg(&self.folder)
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}
