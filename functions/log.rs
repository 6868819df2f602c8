//! One JSON line per outcome on standard output, and the names of its fields.
//!
//! In: a level and the fields of one outcome. Out: one line with `timestamp` (RFC 3339, UTC, milliseconds) and
//! `level` in front, as Lambda's JSON log format wants it. What must never stand in a field: site keys, addresses,
//! user agents, payloads, passwords, tokens, response URLs; callers hand over tags, counts, times and ids. A line may be
//! metrics too ([`metrics`]); its fields that are begin with a capital.

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::config::LogLevel;

pub mod metrics;

/// Writes lines at or above a level.
#[derive(Clone, Debug)]
pub struct Log {
    level: LogLevel,
    stack: Arc<str>,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    timestamp: String,
    level: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

impl Log {
    /// A log that says what `level` asks for, of the stack of that name.
    pub fn new(level: LogLevel, stack: &str) -> Self {
        Self {
            level,
            stack: stack.into(),
        }
    }

    /// Whose metrics its lines are.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// An outcome: written always.
    pub fn outcome(&self, fields: &impl Serialize) {
        write("INFO", fields);
    }

    /// A fault of ours: written always.
    pub fn fault(&self, fields: &impl Serialize) {
        write("ERROR", fields);
    }

    /// A step that may help to find a fault: written at level `debug` only.
    pub fn step(&self, fields: &impl Serialize) {
        if self.level == LogLevel::Debug {
            write("DEBUG", fields);
        }
    }
}

/// A log that cannot be written must not cost an event: a closed or full standard output is passed over.
fn write(level: &'static str, fields: &impl Serialize) {
    let timestamp = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    if let Ok(mut line) = serde_json::to_vec(&Line {
        timestamp,
        level,
        fields,
    }) {
        line.push(b'\n');
        let _ = std::io::stdout().lock().write_all(&line);
    }
}
