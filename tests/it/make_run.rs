//! `make run` in this checkout: what it prints works as it stands, and Ctrl-C leaves nothing behind.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};

use crate::support::function;
use crate::support::postgres::free_port;
use crate::support::processes::{self, Process};
use crate::support::{tools, wait};
use crate::INGEST;

/// It may have to compile everything.
const UNTIL_READY: Duration = Duration::from_secs(900);

/// Of a program that is there.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_printed_commands_work_as_they_stand_and_an_interrupt_leaves_nothing() {
    function::kept(INGEST);
    let port = free_port();
    let mut run = MakeRun::start(port);
    run.line("listening on ", UNTIL_READY);
    let curl = run.line("curl ", SOON);
    run.line("look at the rows", SOON);
    let psql = run.line("", SOON);
    let before_the_rows = run.line("the functions write to ", SOON);
    assert!(
        run.said() <= 10,
        "the announcement has {} lines, up to {before_the_rows}",
        run.said()
    );
    let variables = variables();
    assert_eq!(variables["URL"], format!("http://127.0.0.1:{port}"));
    assert!(
        curl.contains(&format!("{}/{}", variables["URL"], variables["SITE_KEY"])),
        "{curl}"
    );

    let answer = shell(&curl);
    assert!(answer.contains("\"stored\":1"), "{answer}");
    let row = run.line("row ", SOON);
    assert!(
        row.contains("page_view") && row.contains(&variables["TENANT"]),
        "{row}"
    );
    assert!(shell(&psql).contains("page_view"));

    let started = run.started();
    run.signal("INT");
    nothing_is_left(&started, port);
    assert!(!env_file().exists(), "target/run/env promises what is not there");
    killed_as_well();
}

/// Not a test of its own, since both use this checkout's `target/run`.
fn killed_as_well() {
    let port = free_port();
    let mut run = MakeRun::start(port);
    run.line("the functions write to ", UNTIL_READY);
    let started = run.started();
    let program = started
        .iter()
        .find(|process| process.command_line().ends_with("examples/run "));
    processes::signal(
        &program.expect("the program that runs it").pid.to_string(),
        "KILL",
    );
    nothing_is_left(&started, port);
}

fn nothing_is_left(started: &[Process], port: u16) {
    wait::until("the end of all that was started", SOON, || {
        started.iter().all(|process| !process.is_alive()).then_some(())
    });
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
}

#[test]
fn a_port_that_is_taken_or_none_is_one_sentence_and_nothing_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (port, sentence) in [
        (
            taken.as_str(),
            format!("error: port {taken} is taken; stop what listens there, or choose another"),
        ),
        (
            "http",
            "error: PORT must be a number from 1 to 65535, got \"http\"".to_owned(),
        ),
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = make_run(port).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(!status.success() && stdout.is_empty(), "{port}");
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
        assert!(said.contains(&sentence), "{said}");
        assert!(!said.contains("starting"), "{said}");
    }
}

struct MakeRun {
    make: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl MakeRun {
    fn start(port: u16) -> Self {
        let mut make = make_run(&port.to_string()).spawn().unwrap();
        let (sender, lines) = channel();
        listen(make.stdout.take().unwrap(), sender);
        let (errors, _) = channel();
        listen(make.stderr.take().unwrap(), errors);
        Self {
            make,
            lines,
            said: Vec::new(),
        }
    }

    /// The next line that begins so.
    fn line(&mut self, beginning: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(rest);
            let line = line.unwrap_or_else(|_| panic!("no line {beginning:?} behind {:?}", self.said));
            self.said.push(line.clone());
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    fn said(&self) -> usize {
        self.said.len()
    }

    /// As a terminal does it: to each process of the group.
    fn signal(&self, name: &str) {
        processes::signal(&format!("-{}", self.make.id()), name);
    }

    /// All processes that it has started.
    fn started(&self) -> Vec<Process> {
        let started = processes::below(self.make.id());
        for name in ["postgres", "cargo-lambda", "debug/ingest"] {
            assert!(
                started
                    .iter()
                    .any(|process| process.command_line().contains(name)),
                "no {name}"
            );
        }
        started
    }
}

impl Drop for MakeRun {
    fn drop(&mut self) {
        if self.make.try_wait().unwrap().is_none() {
            self.signal("TERM");
            let _ = self.make.wait();
        }
    }
}

fn make_run(port: &str) -> Command {
    let mut command = Command::new("make");
    command
        .arg("run")
        .arg(format!("PORT={port}"))
        .current_dir(tools::project())
        .process_group(0);
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        command.env_remove(variable);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn listen(stream: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            println!("make run: {line}");
            let _ = sender.send(line);
        }
    });
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn env_file() -> PathBuf {
    tools::project().join("target/run/env")
}

fn variables() -> std::collections::HashMap<String, String> {
    let text = wait::until("target/run/env", SOON, || {
        std::fs::read_to_string(env_file()).ok()
    });
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
