//! What a person needs to use it, in nine lines; what a program needs, in `target/run/env`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::deploy::{Site, DATABASE, TENANT};
use crate::settings::Settings;
use crate::support::postgres::{Cluster, SUPERUSER, SUPERUSER_PASSWORD};
use crate::support::tools;
use crate::watch::LOG;
use crate::Failed;

/// The file for programs.
const ENV: &str = "target/run/env";

/// The file is there, until this value is not.
pub struct Ready(PathBuf);

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes away what a run that was killed has left.
pub fn withdraw() {
    let _ = fs::remove_file(tools::project().join(ENV));
}

/// Says it all; the commands stand on lines of their own, to be copied whole.
pub fn make(settings: &Settings, cluster: &Cluster, site: &Site) -> Result<Ready, Failed> {
    let url = format!("http://127.0.0.1:{}", settings.port);
    let database_url = format!(
        "postgresql://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/{DATABASE}?sslmode=require",
        cluster.port
    );
    let key = &site.key;
    let psql = psql(settings);
    println!("listening on {url}, tenant {TENANT}, site key {key}");
    println!("send an event:");
    println!("curl -sS '{url}/{key}' -H 'content-type: application/json' -d '{{\"event\":\"page_view\",\"path\":\"/pricing\"}}'");
    println!("or from a page:");
    println!("<script>navigator.sendBeacon('{url}/{key}', JSON.stringify({{event: 'page_view', url: location.href}}))</script>");
    println!("look at the rows:");
    println!("{psql} '{database_url}' -c 'select * from raw.site_tracking_events_r'");
    println!("the functions write to {LOG}; Ctrl-C stops all of this; each row that lands:");
    let env = format!("URL={url}\nSITE_KEY={key}\nTENANT={TENANT}\nDATABASE_URL={database_url}\n");
    write_at_once(&env)
}

/// A reader that sees the file sees all of it.
fn write_at_once(env: &str) -> Result<Ready, Failed> {
    let file = tools::project().join(ENV);
    let new = file.with_extension("new");
    fs::write(&new, env)
        .and_then(|()| fs::rename(&new, &file))
        .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    Ok(Ready(file))
}

/// `psql` where that is found, else its path.
fn psql(settings: &Settings) -> String {
    let found = Command::new("psql")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => "psql".to_owned(),
        _ => settings.psql.display().to_string(),
    }
}
