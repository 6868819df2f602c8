//! `cargo lambda watch` and the functions that it starts: started in a group of their own, stopped to the last one.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::support::{processes, tools, wait};
use crate::Failed;

/// It listens within a second; a loaded machine may need more.
const START_LIMIT: Duration = Duration::from_secs(30);

/// It gives its functions one second to end; after three times that it is not asked any more.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// How often the end of a process is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// What the functions and the compiler write, below the project.
pub const LOG: &str = "target/run/log";

/// Becomes `cargo lambda watch`, beside a guard that ends it when nobody holds the pipe any more: when this program
/// lets go of it, or is gone.
const GUARDED: &str = r#"
    exec 3<&0
    (read -r _ <&3; kill -s TERM "$$") &
    exec "$@" </dev/null 3<&-"#;

pub struct Watch {
    child: Child,
}

impl Watch {
    /// Returns when it listens on the port.
    pub async fn start(settings: &Settings, environment: &[(&'static str, String)]) -> Result<Self, Failed> {
        let log = tools::project().join(LOG);
        let created = log
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create(&log));
        let log = created.map_err(|error| format!("{LOG} cannot be written: {error}"))?;
        let errors = log.try_clone().map_err(|error| format!("{LOG}: {error}"))?;
        let child = Command::new("sh")
            .args(["-c", GUARDED, "guard"])
            .arg(&settings.cargo_lambda)
            .args(["lambda", "watch", "--disable-cors", "--color", "never"])
            .args([
                "--invoke-address",
                "127.0.0.1",
                "--invoke-port",
                &settings.port.to_string(),
            ])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(tools::project())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", settings.cargo_lambda.display()))?;
        let mut watch = Self { child };
        watch.listens(settings.port).await?;
        Ok(watch)
    }

    /// Waits for an end that nobody asked for.
    pub async fn ended(&mut self) -> Failed {
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return format!("cargo lambda watch ended; its last words are in {LOG}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listens(&mut self, port: u16) -> Result<(), Failed> {
        let connected = wait::until_async("cargo lambda watch to listen", START_LIMIT, || async {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        tokio::select! {
            _ = connected => Ok(()),
            failed = self.ended() => Err(failed),
        }
    }
}

impl Drop for Watch {
    /// Its functions live in sessions of their own, so those that outlive it are ended one by one.
    fn drop(&mut self) {
        let functions = processes::below(self.child.id());
        drop(self.child.stdin.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > STOP_LIMIT {
                let _ = self.child.kill();
            }
            std::thread::sleep(PAUSE);
        }
        for function in functions.iter().filter(|function| function.is_alive()) {
            processes::signal(&function.pid.to_string(), "KILL");
        }
    }
}
