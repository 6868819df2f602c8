//! Developers run the function under `cargo lambda watch`: a beacon over plain HTTP lands there too.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::postgres::free_port;
use crate::support::site::Site;
use crate::support::{tools, wait};

/// It builds the function first, without what tests add to it.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

struct Watch {
    child: Child,
    port: u16,
}

impl Watch {
    fn start(site: &Site) -> Self {
        let port = free_port();
        let mut command = Command::new(tools::path("CARGO_LAMBDA"));
        command
            .args([
                "lambda",
                "watch",
                "--invoke-address",
                "127.0.0.1",
                "--invoke-port",
            ])
            .arg(port.to_string())
            .current_dir(tools::project())
            .envs(site.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Self {
            child: command.spawn().unwrap(),
            port,
        }
    }

    /// The response to `request`, as it came; nothing while nobody listens.
    async fn exchange(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.ok()?;
        Some(String::from_utf8_lossy(&response).into_owned())
    }
}

/// Its functions are its children: the whole group ends.
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            let group = format!("-{pid}");
            let _ = std::process::Command::new("kill")
                .args(["-s", "INT", "--", &group])
                .status();
            wait::until("the end of cargo lambda watch", Duration::from_secs(30), || {
                matches!(self.child.try_wait(), Ok(Some(_))).then_some(())
            });
        }
    }
}

#[tokio::test]
async fn a_beacon_lands_under_cargo_lambda_watch() {
    let site = Site::new().await;
    let watch = Watch::start(&site);
    let body = r#"{"event":"canary-payload"}"#;
    let request = format!(
        "POST /lambda-url/ingest/{}/t?v=1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        site.key.expose(),
        body.len()
    );
    let response = wait::until_async("cargo lambda watch", BUILD_LIMIT, || watch.exchange(&request)).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("\"stored\":1"), "{response}");
    let rows = site.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["request"]["path"], "/t", "{}", rows[0]);
}
