//! A headless Chromium, driven by `tests/browser/drive.mjs`: commands go in as lines, results come out as lines.
//!
//! Pages stand at `https://{name}.page.test`, a site other than the collector's; every `*.test` is this machine, and
//! no other name resolves. The driver ends with its input, and that with the value or with the test, however it ends.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::authority::Identity;
use super::tools;

/// Longer than each of the driver's own limits, bundling on a loaded machine included.
const PATIENCE: Duration = Duration::from_secs(120);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

pub struct Browser {
    commands: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
    driver: Child,
}

impl Browser {
    /// `identity` is for `*.page.test` and for the collector, so that one key is all that the browser is told to trust.
    ///
    /// # Panics
    /// Chromium, Node or the packages are not there; the message says how to get them.
    pub async fn start(identity: &Identity) -> Self {
        let folder = tools::project().join("tests/browser");
        let chromium = tools::path("CHROMIUM");
        let remedy = "run `tools/install browser`";
        assert!(
            chromium.join("chromium").is_file(),
            "no chromium in {chromium:?}; {remedy}"
        );
        assert!(
            folder.join("node_modules").is_dir(),
            "no packages in {folder:?}; {remedy}"
        );
        let mut driver = Command::new("node")
            .arg(folder.join("drive.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}; install Node.js 20 or newer, then {remedy}"));
        let waiting = Waiting::default();
        let (ready, is_ready) = oneshot::channel();
        waiting.lock().unwrap().insert(0, ready);
        tokio::spawn(listen(driver.stdout.take().unwrap(), waiting.clone()));
        let browser = Self {
            commands: driver.stdin.take().unwrap().into(),
            waiting,
            next: AtomicU64::new(1),
            driver,
        };
        let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
        let (certificate, key) = (text(&identity.certificate_pem), text(&identity.key_pem));
        browser
            .say(&json!({ "chromium": chromium, "certificate": certificate, "key": key }))
            .await;
        within(is_ready).await;
        browser
    }

    /// Commands to be run at once; their results in the same order.
    ///
    /// # Panics
    /// One failed, or the driver ended.
    pub async fn run(&self, commands: Vec<Value>) -> Vec<Value> {
        let mut results = Vec::new();
        for mut command in commands {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let (sender, result) = oneshot::channel();
            self.waiting.lock().unwrap().insert(id, sender);
            command["id"] = id.into();
            self.say(&command).await;
            results.push((command, result));
        }
        let mut answers = Vec::new();
        for (command, result) in results {
            let mut said = within(result).await;
            assert!(said.get("error").is_none(), "{command}: {}", said["error"]);
            answers.push(said["result"].take());
        }
        answers
    }

    /// Ends it and takes its profile away.
    pub async fn close(mut self) {
        drop(self.commands);
        let ended = tokio::time::timeout(PATIENCE, self.driver.wait()).await;
        assert!(ended.expect("the browser does not end").unwrap().success());
    }

    async fn say(&self, value: &Value) {
        let mut commands = self.commands.lock().await;
        commands.write_all(format!("{value}\n").as_bytes()).await.unwrap();
    }
}

async fn within(result: oneshot::Receiver<Value>) -> Value {
    let result = tokio::time::timeout(PATIENCE, result).await;
    result
        .expect("the browser's driver is silent")
        .expect("the browser's driver ended")
}

/// Ends with the driver, and with it all that wait.
async fn listen(output: ChildStdout, waiting: Waiting) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let id = said["id"].as_u64().unwrap_or(0);
        if let Some(sender) = waiting.lock().unwrap().remove(&id) {
            let _ = sender.send(said);
        }
    }
    waiting.lock().unwrap().clear();
}
