//! Throwaway PostgreSQL servers: TLS on, a free port of 127.0.0.1, gone when the process that started them is gone,
//! however it ended.
//!
//! A server is kept by a shell that reads words from a pipe: `stop`, `start`; the end of the pipe is the
//! end of the server and of its files. PostgreSQL refuses root, so there it runs as an existing other account.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::authority::{Authority, Identity};
use super::{account, tools, wait};

pub const SUPERUSER: &str = "postgres";
pub const SUPERUSER_PASSWORD: &str = "throwaway-superuser-password";

/// A server with a loaded machine behind it needs seconds; more than this and it will not come.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Which PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Oldest,
    Default,
    Newest,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::Oldest, Self::Default, Self::Newest];

    /// Directory with `initdb` and `postgres`.
    pub fn bin(self) -> PathBuf {
        tools::path(match self {
            Self::Oldest => "POSTGRES_12_BIN",
            Self::Default => "POSTGRES_DEFAULT_BIN",
            Self::Newest => "POSTGRES_18_BIN",
        })
    }
}

/// A running server.
pub struct Cluster {
    pub port: u16,
    dir: PathBuf,
    keeper: Mutex<Child>,
}

impl Cluster {
    /// The server of this version that the whole test run shares. Roles are shared with it: a test that makes or
    /// drops roles takes its [`Cluster::own`].
    pub fn shared(version: Version) -> &'static Self {
        static CLUSTERS: [OnceLock<Cluster>; 3] = [const { OnceLock::new() }; 3];
        CLUSTERS[version as usize].get_or_init(|| Self::own(version))
    }

    /// A server of one's own; fast rather than durable.
    pub fn own(version: Version) -> Self {
        Self::start(&version.bin(), &["fsync = off", "full_page_writes = off"])
    }

    /// A server with lines of one's own at the end of `postgresql.conf`.
    pub fn start(bin: &Path, settings: &[&str]) -> Self {
        let bin = &within_reach(bin);
        let port = free_port();
        let dir = fresh_directory();
        let data = dir.join("data");
        copy_of_initdb(bin, &data);
        prove(&dir, Authority::server);
        let conf = configuration(port, settings);
        let own = fs::read_to_string(data.join("postgresql.conf")).unwrap() + &conf;
        fs::write(data.join("postgresql.conf"), own).unwrap();
        account::give(&dir);
        let cluster = Self {
            port,
            keeper: Mutex::new(keeper(bin, &dir)),
            dir,
        };
        cluster.wait_until_ready();
        cluster
    }

    /// The root that vouches for this server, for `DB_CA` and `sslrootcert`.
    pub fn authority_pem(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    /// The server's certificate and key.
    pub fn identity(&self) -> (PathBuf, PathBuf) {
        let data = self.dir.join("data");
        (data.join("server.crt"), data.join("server.key"))
    }

    /// Stops it at once, as a crash of the machine would; sessions are cut.
    pub fn stop(&self) {
        self.say("stop");
        let pid_file = self.dir.join("data/postmaster.pid");
        wait::until("the server's end", START_LIMIT, || {
            (!pid_file.exists()).then_some(())
        });
    }

    /// Starts it again on the same port with the same data.
    pub fn start_again(&self) {
        self.say("start");
        self.wait_until_ready();
    }

    /// Starts it again with a certificate whose time is over, and with an authority that vouched for it.
    pub fn let_certificate_expire(&self) {
        self.stop();
        prove(&self.dir, Authority::expired_server);
        account::give(&self.dir);
        self.start_again();
    }

    /// What the server wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn say(&self, word: &str) {
        let mut keeper = self.keeper.lock().unwrap();
        writeln!(keeper.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn wait_until_ready(&self) {
        let status = self.dir.join("data/postmaster.pid");
        wait::until(
            &format!("PostgreSQL; its log: {}", self.log()),
            START_LIMIT,
            || {
                let text = fs::read_to_string(&status).ok()?;
                text.lines()
                    .nth(7)
                    .is_some_and(|line| line.trim() == "ready")
                    .then_some(())
            },
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }
}

/// Gives the server in `dir` a new authority, and a certificate of it.
fn prove(dir: &Path, certificate: fn(&Authority, &[&str]) -> Identity) {
    let authority = Authority::new();
    fs::write(dir.join("authority.pem"), authority.pem()).unwrap();
    let server = certificate(&authority, &["localhost", "127.0.0.1"]);
    let data = dir.join("data");
    fs::write(data.join("server.crt"), server.certificate_pem).unwrap();
    fs::write(data.join("server.key"), server.key_pem).unwrap();
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A port that nobody holds at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn configuration(port: u16, settings: &[&str]) -> String {
    let mut lines = vec![
        String::new(),
        format!("port = {port}"),
        "listen_addresses = '127.0.0.1'".to_owned(),
        "unix_socket_directories = ''".to_owned(),
        "ssl = on".to_owned(),
        "max_connections = 200".to_owned(),
        "shared_buffers = 64MB".to_owned(),
        "dynamic_shared_memory_type = mmap".to_owned(),
        "log_min_messages = warning".to_owned(),
    ];
    lines.extend(settings.iter().map(|line| (*line).to_owned()));
    lines.join("\n") + "\n"
}

fn keeper(bin: &Path, dir: &Path) -> Child {
    const SCRIPT: &str = r#"
        run() { "$1/postgres" -D "$2/data" >>"$2/log" 2>&1 </dev/null & pid=$!; }
        run "$1" "$2"
        while read -r word; do
            case $word in
                stop) kill -QUIT "$pid"; wait "$pid"; rm -f "$2/data/postmaster.pid" ;;
                start) run "$1" "$2" ;;
            esac
        done
        kill -QUIT "$pid" 2>/dev/null; wait "$pid"; rm -rf "$2""#;
    let mut command = Command::new("sh");
    command.arg("-c").arg(SCRIPT).arg("keeper").arg(bin).arg(dir);
    account::run_as(&mut command).process_group(0).current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// `initdb` takes seconds, a copy of its result a fraction: each version's is made once in a process.
fn copy_of_initdb(bin: &Path, data: &Path) {
    static MADE: Mutex<Vec<(PathBuf, PathBuf, Option<Child>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    if !made.iter().any(|(of, _, _)| of == bin) {
        let dir = fresh_directory();
        initdb(bin, &dir);
        let sweeper = sweeper(&dir);
        made.push((bin.to_owned(), dir, Some(sweeper)));
    }
    let (_, template, _) = made.iter().find(|(of, _, _)| of == bin).unwrap();
    copy(&template.join("data"), data);
}

/// The server's programs where the account that runs them can read them: a copy, once in a process, if it cannot
/// where they are (below the home of root, say).
fn within_reach(bin: &Path) -> PathBuf {
    static COPIES: Mutex<Vec<(PathBuf, PathBuf, Child)>> = Mutex::new(Vec::new());
    let program = bin.join("postgres");
    if !program.exists() || account::can_run(&program) {
        return bin.to_owned();
    }
    let mut copies = COPIES.lock().unwrap();
    if !copies.iter().any(|(of, _, _)| of == bin) {
        let dir = fresh_directory();
        let installation = bin.parent().expect("bin lies in the installation's folder");
        copy(installation, &dir.join("installation"));
        account::give(&dir);
        let sweeper = sweeper(&dir);
        copies.push((bin.to_owned(), dir.join("installation/bin"), sweeper));
    }
    copies.iter().find(|(of, _, _)| of == bin).unwrap().1.clone()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "cp {} failed", from.display());
}

fn initdb(bin: &Path, dir: &Path) {
    fs::write(dir.join("password"), SUPERUSER_PASSWORD).unwrap();
    account::give(dir);
    let mut command = Command::new(bin.join("initdb"));
    command.args([
        "-U",
        SUPERUSER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
        "-D",
    ]);
    command
        .arg(dir.join("data"))
        .arg("--pwfile")
        .arg(dir.join("password"))
        .env("LC_ALL", "C")
        .current_dir("/");
    let output = account::run_as(&mut command).output();
    let output = output.unwrap_or_else(|error| panic!("{}/initdb: {error}; run `make tools`", bin.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}/initdb failed: {said}", bin.display());
}

/// Removes a directory when this process is gone.
fn sweeper(dir: &Path) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", "read -r _; rm -rf \"$1\"", "sweeper"])
        .arg(dir)
        .process_group(0)
        .current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn fresh_directory() -> PathBuf {
    let name = format!("site-tracking-postgres-{}", uuid::Uuid::now_v7().simple());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir(&dir).unwrap();
    dir
}
