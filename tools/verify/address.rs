//! Where the database is: `DATABASE_URL`, else the `DB_*` variables, as the environment that `migrate` reads.
//!
//! In: the process environment. Out: an [`Environment`], or a sentence that never repeats the URL: it holds a password.

use site_tracking::config::Environment;
use tokio_postgres::config::Host;
use tokio_postgres::Config;

use crate::Failed;

/// For servers that ask for none; a variable must not be empty.
const NO_PASSWORD: &str = "none";

/// Parameters of a URL that say where the database is; of the others only `sslrootcert` is read. TLS is verified
/// whatever `sslmode` says, except on loopback.
const PLACES: [&str; 5] = ["host", "port", "user", "password", "dbname"];

/// The environment for the action.
pub fn environment() -> Result<Environment, Failed> {
    let process = Environment::of_process();
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
    let or = |name, otherwise: &str| Some(variable(name).unwrap_or_else(|| otherwise.to_owned()));
    let named = process.replaced([
        ("LOG_LEVEL", None),
        ("STACK_NAME", None),
        ("DB_AUTH", or("DB_AUTH", "password")),
        ("DB_CA", or("DB_CA", "system")),
    ]);
    let Some(url) = variable("DATABASE_URL") else {
        for name in ["DB_HOST", "DB_NAME", "DB_USER"] {
            variable(name).ok_or_else(|| {
                format!("{name} is not set: name the database by DATABASE_URL, or by DB_HOST, DB_NAME, DB_USER, DB_PASSWORD")
            })?;
        }
        return Ok(named.replaced([
            ("DB_PORT", or("DB_PORT", "5432")),
            ("DB_MIGRATOR_USER", variable("DB_USER")),
            ("DB_MIGRATOR_PASSWORD", or("DB_PASSWORD", NO_PASSWORD)),
        ]));
    };
    let (place, root) = divided(&url);
    let config: Config = place.parse().map_err(|_| {
        "DATABASE_URL cannot be read: write postgres://user:password@host:5432/database".to_owned()
    })?;
    of_config(&named, &config, root)
}

fn of_config(named: &Environment, config: &Config, root: Option<String>) -> Result<Environment, Failed> {
    let user = config
        .get_user()
        .map(str::to_owned)
        .or_else(|| std::env::var("USER").ok());
    let user = user.ok_or("DATABASE_URL names no user: write postgres://user:password@host:5432/database")?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(directory)) => directory.display().to_string(),
        None => "localhost".to_owned(),
    };
    let password = config.get_password().map(String::from_utf8_lossy);
    let password = password.map_or_else(|| NO_PASSWORD.to_owned(), |text| text.into_owned());
    let named = match root {
        Some(root) => named.replaced([("DB_CA", Some(root))]),
        None => named.clone(),
    };
    Ok(named.replaced([
        ("DB_HOST", Some(host)),
        (
            "DB_PORT",
            Some(config.get_ports().first().unwrap_or(&5432).to_string()),
        ),
        ("DB_NAME", Some(config.get_dbname().unwrap_or(&user).to_owned())),
        ("DB_MIGRATOR_PASSWORD", Some(password)),
        ("DB_MIGRATOR_USER", Some(user)),
    ]))
}

/// The URL with the parameters that say where, and the file of `sslrootcert`.
fn divided(url: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let is_place = |pair: &&str| PLACES.contains(&pair.split('=').next().unwrap_or_default());
    let kept: Vec<&str> = query.split('&').filter(is_place).collect();
    let root = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sslrootcert="));
    let root = root.map(|root| {
        percent_encoding::percent_decode_str(root)
            .decode_utf8_lossy()
            .into_owned()
    });
    (format!("{place}?{}", kept.join("&")), root)
}
