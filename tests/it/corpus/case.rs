//! A case: a file of the corpus, its placeholders, and the site keys that it asks for.

use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::Value;
use site_tracking::site_key::SiteKey;
use uuid::Uuid;

use crate::support::site::Site;
use crate::support::tools;

/// `{{id_1}}` to `{{id_9}}`: names that no other event has.
const IDS: std::ops::RangeInclusive<u8> = 1..=9;

pub struct Case {
    /// Folder and file.
    pub name: String,
    /// As it stands in the file, or filled.
    pub text: String,
    pub json: Value,
}

impl Case {
    /// All, by name.
    pub fn all() -> Vec<Self> {
        let corpus = tools::project().join("tests/events/corpus");
        let folders = entries(&corpus);
        let files = folders.iter().flat_map(|folder| entries(folder));
        files.map(|file| Self::read(&corpus, &file)).collect()
    }

    fn read(corpus: &Path, file: &Path) -> Self {
        let name = file.strip_prefix(corpus).unwrap().display().to_string();
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::of(name, text)
    }

    fn of(name: String, text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, text, json }
    }

    /// Container, encoding, ladder step, split, verdict.
    pub fn traits(&self) -> [String; 5] {
        ["container", "encoding", "step", "split", "verdict"].map(|name| {
            let value = self.json["case"][name].as_str();
            value
                .unwrap_or_else(|| panic!("{}: case.{name} is missing", self.name))
                .to_owned()
        })
    }

    pub fn about(&self) -> &str {
        self.json["about"].as_str().unwrap()
    }

    /// How often it is sent.
    pub fn times(&self) -> u64 {
        self.json["request"]["times"].as_u64().unwrap_or(1)
    }

    pub fn request(&self) -> &Value {
        &self.json["request"]
    }

    pub fn expect(&self) -> &Value {
        &self.json["expect"]
    }

    /// What the collector has to be told at its start, as `ingest` reads it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let settings = self.json["settings"].as_object().into_iter().flatten();
        let variable = |(name, value): (&String, &Value)| {
            let name = match name.as_str() {
                "explain" => "EXPLAIN",
                "trusted_proxies" => "TRUSTED_PROXIES",
                other => panic!("{}: no setting is called {other}", self.name),
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name, text)
        };
        settings.map(variable).collect()
    }

    /// A header as the case gives it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.request()["headers"].as_object()?;
        let mut named = headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next()?.1.as_str()
    }

    /// With every placeholder replaced.
    pub fn filled(&self, keys: &Keys) -> Self {
        let mut text = self.text.clone();
        for (name, key) in &keys.named {
            let basic = STANDARD.encode(format!("{}:", key.expose()));
            text = text.replace(&format!("{{{{{name}}}}}"), key.expose());
            text = text.replace(&format!("{{{{basic {name}}}}}"), &basic);
        }
        for number in IDS {
            text = text.replace(&format!("{{{{id_{number}}}}}"), &Uuid::now_v7().to_string());
        }
        assert!(
            !text.contains("{{"),
            "{}: a placeholder that nobody knows",
            self.name
        );
        Self::of(self.name.clone(), text)
    }
}

/// The site keys of one case; all that are active belong to one tenant.
pub struct Keys {
    pub tenant: String,
    named: Vec<(&'static str, SiteKey)>,
}

impl Keys {
    /// Makes those keys that `text` asks for.
    pub async fn make(site: &Site, number: usize, text: &str) -> Self {
        let tenant = format!("tenant-{number}");
        let sql = "insert into auth.tenant_h values ($1)";
        site.admin.execute(sql, &[&tenant.as_bytes()]).await.unwrap();
        let mut named = vec![("other_key", SiteKey::generate().unwrap())];
        for (name, origins) in [
            ("site_key", None),
            ("revoked_key", None),
            ("orphan_key", None),
            (
                "origin_key",
                Some(vec!["https://shop.example", "https://*.example.org"]),
            ),
            (
                "required_origin_key",
                Some(vec!["required", "https://shop.example"]),
            ),
        ] {
            if text.contains(&format!("{name}}}}}")) {
                let owner = if name == "orphan_key" { "orphan" } else { &tenant };
                named.push((name, site.another_key(owner, origins).await));
            }
        }
        let keys = Self { tenant, named };
        if let Some(key) = keys.get("revoked_key") {
            let sql = "update raw.site_tracking_keys_r set is_active = false, revoked_at = '2026-01-01'
                       where api_key_hk = $1";
            let hash = key.hash();
            site.admin.execute(sql, &[&hash.as_slice()]).await.unwrap();
        }
        keys
    }

    /// The random part of each key, which must stand in no row and no answer.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(_, key)| &key.expose()[4..])
    }

    fn get(&self, name: &str) -> Option<&SiteKey> {
        self.named
            .iter()
            .find_map(|(other, key)| (*other == name).then_some(key))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}
