//! A real PgBouncer in transaction mode before a throwaway server, TLS on both sides, gone when the process that started
//! it is gone.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::postgres::{free_port, Cluster};
use super::{account, tools, wait};

const START_LIMIT: Duration = Duration::from_secs(30);

pub struct PgBouncer {
    pub port: u16,
    keeper: Child,
}

impl PgBouncer {
    /// With so many connections to the server, for one login.
    pub fn start(cluster: &Cluster, login: &str, password: &str, connections: u32) -> Self {
        Self::before(cluster.port, cluster, login, password, connections)
    }

    /// The same, with something at `server_port` between it and the server.
    pub fn before(
        server_port: u16,
        cluster: &Cluster,
        login: &str,
        password: &str,
        connections: u32,
    ) -> Self {
        const SCRIPT: &str = r#""$1" "$2/pgbouncer.ini" >"$2/log" 2>&1 </dev/null & pid=$!
            read -r _
            kill -TERM "$pid"; wait "$pid"; rm -rf "$2""#;
        let port = free_port();
        let name = format!("site-tracking-pgbouncer-{}", uuid::Uuid::now_v7().simple());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let users = format!("\"{login}\" \"{password}\"\n");
        fs::write(dir.join("users.txt"), users).unwrap();
        let settings = configuration((server_port, cluster), &dir, port, connections);
        fs::write(dir.join("pgbouncer.ini"), settings).unwrap();
        let program = within_reach(&dir);
        account::give(&dir);
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("keeper").arg(program).arg(&dir);
        account::run_as(&mut command).process_group(0).current_dir("/");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = command.spawn().unwrap();
        let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
        wait::until("PgBouncer's port", START_LIMIT, || {
            let is_up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            assert!(!log().contains("FATAL"), "PgBouncer: {}", log());
            is_up.then_some(())
        });
        Self { port, keeper }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = writeln!(self.keeper.stdin.as_mut().unwrap());
        let _ = self.keeper.wait();
    }
}

fn configuration((server_port, cluster): (u16, &Cluster), dir: &Path, port: u16, connections: u32) -> String {
    let (certificate, key) = cluster.identity();
    format!(
        "[databases]
         * = host=127.0.0.1 port={server}
         [pgbouncer]
         listen_addr = 127.0.0.1
         listen_port = {port}
         unix_socket_dir =
         pool_mode = transaction
         default_pool_size = {connections}
         auth_type = scram-sha-256
         auth_file = {users}
         client_tls_sslmode = require
         client_tls_cert_file = {certificate}
         client_tls_key_file = {key}
         server_tls_sslmode = verify-full
         server_tls_ca_file = {authority}
        ",
        server = server_port,
        users = dir.join("users.txt").display(),
        certificate = certificate.display(),
        key = key.display(),
        authority = cluster.authority_pem().display(),
    )
    .replace("\n         ", "\n")
}

/// The program, or a copy of its folder where the account that runs it may not read that.
fn within_reach(dir: &Path) -> PathBuf {
    let program = tools::path("PGBOUNCER");
    assert!(
        program.exists(),
        "{}: no such file; run `make tools`",
        program.display()
    );
    if account::can_run(&program) {
        return program;
    }
    let folder = program.parent().expect("a program lies in a folder");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(folder)
        .arg(dir.join("program"))
        .status();
    assert!(copied.unwrap().success(), "cp {} failed", folder.display());
    dir.join("program")
        .join(program.file_name().expect("a program has a name"))
}
