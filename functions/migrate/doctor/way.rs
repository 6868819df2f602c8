//! The way to the database: variables, name, network, TLS, login; the first that fails ends it.

use std::net::SocketAddr;

use tokio::net::{lookup_host, TcpStream};
use tokio::time::timeout;
use tokio_postgres::Client;

use super::PATIENCE;
use crate::config::{self, Environment, Function};
use crate::db::{self, ConnectError};
use crate::doctor::{Finding, Page};

const WAY: [&str; 5] = ["variables", "name", "network", "tls", "authentication"];

const ENCRYPTED: &str = "select s.ssl, coalesce(s.version, '') from pg_catalog.pg_stat_ssl s
    where s.pid = pg_catalog.pg_backend_pid()";

/// A connection, if there is a way.
pub async fn client(environment: &Environment, page: &mut Page) -> Option<Client> {
    let needs = |place: usize| format!("the line {} to be ok", WAY[place]);
    let database = match variables(environment) {
        Ok(database) => database,
        Err(fault) => {
            // The sentence of a variable ends with its remedy.
            page.write(
                WAY[0],
                Finding::failed(fault.to_string(), "set it, then deploy again"),
            );
            page.skip(&WAY[1..], &needs(0));
            return None;
        }
    };
    page.write(WAY[0], Finding::ok("all that migrate reads can be understood"));
    if database.host.starts_with('/') {
        page.write(WAY[1], Finding::skipped("DB_HOST is the directory of a socket"));
        page.write(WAY[2], Finding::skipped("DB_HOST is the directory of a socket"));
    } else {
        let addresses = match addresses(&database).await {
            Ok(addresses) => addresses,
            Err(failed) => {
                page.write(WAY[1], failed);
                page.skip(&WAY[2..], &needs(1));
                return None;
            }
        };
        page.write(
            WAY[1],
            Finding::ok(format!("{} has {} address(es)", database.host, addresses.len())),
        );
        if !page.write(WAY[2], network(&database, &addresses).await) {
            page.skip(&WAY[3..], &needs(2));
            return None;
        }
    }
    let connected = db::connect(&database).await;
    logged_in(&database, connected, page).await
}

fn variables(environment: &Environment) -> Result<config::Database, config::Invalid> {
    environment.log_level()?;
    environment.stack_name()?;
    environment.database(Function::Migrate)
}

async fn addresses(database: &config::Database) -> Result<Vec<SocketAddr>, Finding> {
    let remedy = "correct DB_HOST, or the DNS of the function's subnets";
    let place = (database.host.as_str(), database.port);
    match timeout(PATIENCE, lookup_host(place)).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(Finding::failed(
            format!("{} is not resolved: {error}", database.host),
            remedy,
        )),
        Err(_) => Err(Finding::failed(
            format!(
                "{} is not resolved within {} s",
                database.host,
                PATIENCE.as_secs()
            ),
            remedy,
        )),
    }
}

async fn network(database: &config::Database, addresses: &[SocketAddr]) -> Finding {
    let place = format!("{}:{}", database.host, database.port);
    let remedy =
        "check that the database runs, DB_PORT, the security groups of both sides and the route between them";
    match timeout(PATIENCE, TcpStream::connect(addresses)).await {
        Ok(Ok(_)) => Finding::ok(format!("{place} takes connections")),
        Ok(Err(error)) => Finding::failed(format!("{place} takes no connection: {error}"), remedy),
        Err(_) => Finding::failed(
            format!("{place} does not answer within {} s", PATIENCE.as_secs()),
            remedy,
        ),
    }
}

/// TLS comes before the login: who was refused by PostgreSQL has come through it.
async fn logged_in(
    database: &config::Database,
    connected: Result<Client, ConnectError>,
    page: &mut Page,
) -> Option<Client> {
    let client = match connected {
        Ok(client) => client,
        Err(error @ (ConnectError::Refused { .. } | ConnectError::Secret(_))) => {
            page.write(WAY[3], Finding::ok("the server was spoken to"));
            let remedy = "check DB_AUTH, the login, what proves it, and DB_NAME";
            page.write(WAY[4], Finding::failed(error.to_string(), remedy));
            return None;
        }
        Err(error) => {
            let remedy = "check DB_CA, and that DB_HOST is a name which the server's certificate bears";
            page.write(WAY[3], Finding::failed(error.to_string(), remedy));
            page.skip(&WAY[4..], "the line tls to be ok");
            return None;
        }
    };
    let row = client.query_typed(ENCRYPTED, &[]).await.ok();
    let row = row.as_ref().and_then(|rows| rows.first());
    page.write(
        WAY[3],
        match row.map(|row| (row.get::<_, bool>(0), row.get::<_, String>(1))) {
            Some((true, version)) => Finding::ok(format!("{version}, and the certificate is the server's")),
            _ => Finding::ok("clear text, which is taken on loopback and sockets alone"),
        },
    );
    page.write(WAY[4], Finding::ok(format!("logged in as {}", database.user)));
    Some(client)
}
