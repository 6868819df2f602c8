//! What is asked for and what is there: the port, PostgreSQL, `cargo-lambda`; read before anything is started.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use crate::support::tools;
use crate::Failed;

/// Where `cargo lambda watch` listens when nobody says otherwise, too.
const DEFAULT_PORT: u16 = 9000;

pub struct Settings {
    pub port: u16,
    pub postgres_bin: PathBuf,
    pub psql: PathBuf,
    pub cargo_lambda: PathBuf,
}

impl Settings {
    /// Fails on a port that is taken or none, and on a tool that is not there.
    pub fn read() -> Result<Self, Failed> {
        let port = port()?;
        free(port)?;
        Ok(Self {
            port,
            postgres_bin: there("POSTGRES_DEFAULT_BIN", "postgres")?,
            psql: there("PSQL", "")?,
            cargo_lambda: there("CARGO_LAMBDA", "")?,
        })
    }

    pub fn say_postgres(&self) {
        let version = Command::new(self.postgres_bin.join("postgres"))
            .arg("--version")
            .output();
        let version = version.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
        eprintln!(
            "starting a throwaway {} from {}",
            version.unwrap_or_else(|_| "PostgreSQL".to_owned()),
            self.postgres_bin.display()
        );
    }
}

fn port() -> Result<u16, Failed> {
    match std::env::var("PORT") {
        Err(_) => Ok(DEFAULT_PORT),
        Ok(text) => match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("PORT must be a number from 1 to 65535, got {text:?}")),
        },
    }
}

fn free(port: u16) -> Result<(), Failed> {
    let other = if port == DEFAULT_PORT {
        port + 1
    } else {
        DEFAULT_PORT
    };
    TcpListener::bind(("127.0.0.1", port))
        .map(drop)
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                format!(
                    "port {port} is taken; stop what listens there, or choose another: make run PORT={other}"
                )
            }
            _ => format!(
                "port {port} of 127.0.0.1 cannot be used ({error}); choose another: make run PORT={other}"
            ),
        })
}

/// The file that `.tools/env` names, or the file `inside` the folder that it names.
fn there(name: &str, inside: &str) -> Result<PathBuf, Failed> {
    let path = tools::path(name);
    let file = if inside.is_empty() {
        path.clone()
    } else {
        path.join(inside)
    };
    if file.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{name} of .tools/env is {:?}, and {} is no file; run `rm -r .tools`, then `make run`",
            path.display(),
            file.display()
        ))
    }
}
