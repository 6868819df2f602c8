//! A real binary of ours under the Runtime API: started, invoked, listened to, stopped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::runtime_api::{Outcome, RuntimeApi};
use super::wait;

pub const INGEST: &str = "ingest";
pub const MIGRATE: &str = "migrate";

/// What Lambda tells `ingest` of the time that is left, as template.yaml has it.
pub const REMAINING: Duration = Duration::from_secs(10);

/// A test that has waited this long for an answer will get none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running function. It ends with the value.
pub struct Function {
    pub api: RuntimeApi,
    child: Child,
    output: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Function {
    /// Starts the binary at `path` with these variables and no others but Lambda's own.
    pub async fn start(path: &str, environment: &[(&str, String)]) -> Self {
        let api = RuntimeApi::start().await;
        let mut command = Command::new(kept(path));
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", api.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "test"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "test"),
            ("RUST_BACKTRACE", "1"),
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{path}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        let listeners = vec![
            tokio::spawn(listen(child.stdout.take().unwrap(), output.clone())),
            tokio::spawn(listen(child.stderr.take().unwrap(), output.clone())),
        ];
        Self {
            api,
            child,
            output,
            listeners,
        }
    }

    /// One event, its answer.
    ///
    /// # Panics
    /// The function reported an error, or said nothing.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> serde_json::Value {
        match self.outcome(event, REMAINING).await {
            Outcome::Response(value) => value,
            Outcome::Error(error) => panic!("the function reported {error}; it wrote:\n{}", self.output()),
        }
    }

    /// One event, however it ends.
    pub async fn outcome(&self, event: impl Into<Bytes>, remaining: Duration) -> Outcome {
        let answer = self.api.invoke(event, remaining);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(outcome)) => outcome,
            _ => panic!("no answer; the function wrote:\n{}", self.output()),
        }
    }

    /// Everything that it wrote so far, both streams.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits for a piece of output.
    pub async fn output_with(&self, piece: &str) -> String {
        let what = format!("output with {piece:?}");
        wait::until_async(&what, PATIENCE, || async {
            let output = self.output();
            output.contains(piece).then_some(output)
        })
        .await
    }

    /// Sends a signal by name (`STOP`, `CONT`, `KILL` …).
    pub async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success(), "kill -s {name} failed");
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the function ended")
    }

    /// Ends it and gives everything that it ever wrote.
    pub async fn stop(mut self) -> String {
        let _ = self.child.kill().await;
        for listener in std::mem::take(&mut self.listeners) {
            listener.await.unwrap();
        }
        self.output()
    }

    /// Waits for its end; its exit code (`None`: a signal).
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the function does not end").unwrap().code()
    }
}

/// A copy of the binary at `path`, made with its sibling's when the first of them is asked for: `make run` builds the
/// same files anew, without what only tests have, and a test must not meet that. Any other program is itself.
pub fn kept(path: &str) -> PathBuf {
    static COPIES: OnceLock<()> = OnceLock::new();
    let built = Path::new(path);
    if ![INGEST, MIGRATE].iter().any(|name| built.ends_with(name)) {
        return built.to_owned();
    }
    let copies = built.with_file_name("under-test");
    COPIES.get_or_init(|| {
        std::fs::create_dir_all(&copies).unwrap();
        for name in [INGEST, MIGRATE] {
            let copy = copies.join(name);
            let _ = std::fs::remove_file(&copy);
            std::fs::copy(built.with_file_name(name), copy).unwrap();
        }
    });
    copies.join(built.file_name().expect("the path of a binary"))
}

async fn listen(stream: impl AsyncRead + Unpin, output: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = output.lock().unwrap();
        output.push_str(&line);
        output.push('\n');
    }
}
