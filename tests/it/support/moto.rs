//! Services of AWS on loopback: moto's server, on a port that it chooses, gone when the process that started it is
//! gone, however it ended.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use site_tracking::aws::{Aws, Service};
use site_tracking::config::Environment;

use super::tools;

/// A loaded machine needs many seconds to read all of its Python.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A request on loopback that takes longer will never be answered.
const PATIENCE: Duration = Duration::from_secs(30);

pub const REGION: &str = "eu-west-1";

pub struct Moto {
    /// `http://127.0.0.1:port`, for `AWS_ENDPOINT_URL`.
    pub url: String,
    keeper: Child,
}

impl Moto {
    pub fn start() -> Self {
        const SCRIPT: &str = r#""$1" -H 127.0.0.1 -p 0 2>&1 </dev/null & pid=$!
            read -r _
            kill "$pid"; wait "$pid""#;
        let program = tools::path("MOTO");
        assert!(
            program.exists(),
            "{}: no such file; run `make tools`",
            program.display()
        );
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("keeper").arg(program);
        command.process_group(0).current_dir("/").stderr(Stdio::null());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let output = BufReader::new(keeper.stdout.take().unwrap());
        let (found, place) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let port = line.split_once("Running on http://127.0.0.1:");
                let _ = port.map(|(_, port)| found.send(port.trim().to_owned()));
            }
        });
        let port = place.recv_timeout(START_LIMIT).expect("moto does not start");
        Self {
            url: format!("http://127.0.0.1:{port}"),
            keeper,
        }
    }

    /// What a function needs to find it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.url)
    }

    /// A client of it.
    pub fn client(&self) -> Aws {
        client(&self.url)
    }

    /// Asks it for something; the answer.
    pub async fn ask(&self, service: Service, action: &str, body: serde_json::Value) -> serde_json::Value {
        let answer = self
            .client()
            .call(service, action, body.to_string(), PATIENCE)
            .await;
        let answer = answer.unwrap_or_else(|error| panic!("{action}: {error}"));
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// Makes a queue; its URL.
    pub async fn queue(&self, name: &str) -> String {
        let body = serde_json::json!({ "QueueName": name });
        let answer = self.ask(Service::Sqs, "AmazonSQS.CreateQueue", body).await;
        answer["QueueUrl"].as_str().unwrap().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A client of whatever answers at `url`.
pub fn client(url: &str) -> Aws {
    let variables = environment(url).into_iter();
    let variables = variables.map(|(name, value)| (name, Some(value)));
    Aws::new(Environment::of_process().replaced(variables).aws().unwrap())
}

fn environment(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "canary-access-key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret-key".to_owned()),
        ("AWS_SESSION_TOKEN", "canary-session-token".to_owned()),
        ("AWS_ENDPOINT_URL", url.to_owned()),
    ]
}
