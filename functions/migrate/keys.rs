//! Site keys, as an operator makes, revokes and lists them.
//!
//! In: a connection and what the operator says. Out: data for the answer. A key is shown once, in the answer to who
//! made it; what is stored, listed and logged is its hash. A tenant is looked up, never made.

use serde_json::{json, Map, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::failure::{Failure, Kind};
use super::origin;
use crate::config::withheld;
use crate::site_key::SiteKey;

/// Length of `raw.site_tracking_keys_r.tenant_bk`.
const TENANT_CHARACTERS: usize = 255;

/// Longest list that is told at once: some 4 MB, of the 6 MB that Lambda answers with.
const LIST_LIMIT: i64 = 10_000;

/// What a new key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Business key of the tenant.
    pub tenant_bk: String,
    /// For the person who reads the list.
    pub label: Option<String>,
    /// Origins that may use it; `None`: any.
    pub allowed_origins: Option<Vec<String>>,
}

impl Wanted {
    /// Checked against the rules of the keys' table.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn checked(self) -> Result<Self, Failure> {
        storable("tenant_bk", &self.tenant_bk)?;
        storable("label", self.label.as_deref().unwrap_or_default())?;
        let characters = self.tenant_bk.chars().count();
        if characters == 0 || characters > TENANT_CHARACTERS {
            return Err(Failure::request(
                format!("tenant_bk must have 1 to {TENANT_CHARACTERS} characters, got {characters}"),
                "give the tenant's business key",
            ));
        }
        let allowed_origins = match self.allowed_origins {
            Some(origins) if origins.is_empty() => {
                return Err(Failure::request(
                    "allowed_origins is an empty list, which would allow nobody",
                    "leave it out to allow any origin",
                ))
            }
            Some(origins) => Some(
                origins
                    .iter()
                    .map(|entry| origin::read(entry))
                    .collect::<Result<_, _>>()?,
            ),
            None => None,
        };
        Ok(Self {
            allowed_origins,
            ..self
        })
    }
}

fn storable(field: &str, text: &str) -> Result<(), Failure> {
    match text.chars().position(|character| character == '\0') {
        Some(at) => Err(Failure::request(
            format!(
                "{field} has a character U+0000 at position {}, which PostgreSQL does not store",
                at + 1
            ),
            "leave that character out",
        )),
        None => Ok(()),
    }
}

/// Makes a key; the answer holds it, and nothing else ever does.
///
/// # Errors
/// The tenant is not known or not unique, or the layer is not there.
pub async fn create(client: &Client, wanted: Wanted) -> Result<Map<String, Value>, Failure> {
    let wanted = wanted.checked()?;
    let tenant_hk = tenant(client, &wanted.tenant_bk).await?;
    let key = SiteKey::generate().map_err(|error| {
        Failure::new(
            Kind::Panic,
            format!("the random source failed: {error}"),
            "try again",
        )
    })?;
    let hash = key.hash();
    client
        .query_typed(
            "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk, label, allowed_origins)
             values ($1, $2, $3, $4, $5)",
            &[
                (&hash.as_slice(), Type::BYTEA),
                (&tenant_hk, Type::BYTEA),
                (&wanted.tenant_bk, Type::TEXT),
                (&wanted.label, Type::TEXT),
                (&wanted.allowed_origins, Type::TEXT_ARRAY),
            ],
        )
        .await
        .map_err(|error| without_layer(error.into()))?;
    Ok(fields([
        ("key", json!(key.expose())),
        ("api_key_hk", json!(hex(&hash))),
        ("tenant_bk", json!(wanted.tenant_bk)),
        ("tenant_hk", json!(hex(&tenant_hk))),
        ("label", json!(wanted.label)),
        ("allowed_origins", json!(wanted.allowed_origins)),
    ]))
}

/// `tenant_hk` of exactly one tenant; where there is no table of tenants, the hash of its business key.
pub(super) async fn tenant(client: &Client, tenant_bk: &str) -> Result<Vec<u8>, Failure> {
    let rows = client
        .query_typed("select pg_catalog.to_regclass('auth.tenant_h') is not null", &[])
        .await?;
    let has_tenants = rows.first().is_some_and(|row| row.get(0));
    let query = if has_tenants {
        "select tenant_hk from auth.tenant_h where tenant_bk = $1 limit 2"
    } else {
        "select pg_catalog.sha256(pg_catalog.convert_to($1, 'UTF8'))"
    };
    let rows = client.query_typed(query, &[(&tenant_bk, Type::TEXT)]).await?;
    match rows.as_slice() {
        [row] => Ok(row.get(0)),
        [] => Err(Failure::refused(
            format!(
                "auth.tenant_h has no tenant with this tenant_bk of {}",
                withheld(tenant_bk)
            ),
            "load the tenant first, or correct tenant_bk; no tenant is made here",
        )),
        _ => Err(Failure::refused(
            format!(
                "auth.tenant_h has more than one tenant with this tenant_bk of {}",
                withheld(tenant_bk)
            ),
            "make tenant_bk unique: a key must name exactly one tenant",
        )),
    }
}

/// Which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the key itself.
    Key(SiteKey),
    /// By its hash.
    Hash(Vec<u8>),
}

impl Which {
    /// From what the operator has: the key, or its hash in hexadecimal.
    ///
    /// # Errors
    /// Neither was given, or it has not the form.
    pub fn of(key: Option<&str>, hash: Option<&str>) -> Result<Self, Failure> {
        match (key, hash) {
            (Some(key), None) => SiteKey::parse(key).map(Self::Key).ok_or_else(|| {
                Failure::request(
                    "key is not a site key: its form or its checksum is wrong",
                    "copy it again, or name it by api_key_hk (see list_keys)",
                )
            }),
            (None, Some(hash)) => unhex(hash)
                .filter(|bytes| bytes.len() == 32)
                .map(Self::Hash)
                .ok_or_else(|| {
                    Failure::request(
                        "api_key_hk must be 64 hexadecimal digits",
                        "copy it from list_keys, or name the key itself by key",
                    )
                }),
            _ => Err(Failure::request(
                "revoke_key needs either key or api_key_hk",
                "name the key by one of them",
            )),
        }
    }

    fn hash(&self) -> Vec<u8> {
        match self {
            Self::Key(key) => key.hash().to_vec(),
            Self::Hash(hash) => hash.clone(),
        }
    }
}

/// Revokes a key; one that is revoked already stays as it is.
///
/// # Errors
/// There is no such key, or the layer is not there.
pub async fn revoke(client: &Client, which: &Which) -> Result<Map<String, Value>, Failure> {
    let hash = which.hash();
    let rows = client
        .query_typed(
            "with revoked as (
               update raw.site_tracking_keys_r set is_active = false, revoked_at = clock_timestamp()
               where api_key_hk = $1 and (is_active or revoked_at is null)
               returning api_key_hk, revoked_at)
             select r.api_key_hk is not null, k.tenant_bk::text, k.label,
               pg_catalog.to_jsonb(coalesce(r.revoked_at, k.revoked_at))
             from raw.site_tracking_keys_r k left join revoked r using (api_key_hk)
             where k.api_key_hk = $1",
            &[(&hash, Type::BYTEA)],
        )
        .await
        .map_err(|error| without_layer(error.into()))?;
    let Some(row) = rows.first() else {
        return Err(Failure::refused(
            format!("there is no key with api_key_hk {}", hex(&hash)),
            "see list_keys for those that there are",
        ));
    };
    Ok(fields([
        ("changed", json!(row.get::<_, bool>(0))),
        ("api_key_hk", json!(hex(&hash))),
        ("tenant_bk", json!(row.get::<_, Option<String>>(1))),
        ("label", json!(row.get::<_, Option<String>>(2))),
        ("revoked_at", row.get(3)),
    ]))
}

/// The tenant whose keys are to be listed; `None`: all.
///
/// # Errors
/// It holds what PostgreSQL does not store.
pub fn listed(tenant_bk: Option<String>) -> Result<Option<String>, Failure> {
    storable("tenant_bk", tenant_bk.as_deref().unwrap_or_default())?;
    Ok(tenant_bk)
}

/// Lists keys, newest first, without the keys; of one tenant or of all.
///
/// # Errors
/// The layer is not there.
pub async fn list(client: &Client, tenant_bk: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let rows = client
        .query_typed(
            "select pg_catalog.jsonb_build_object('api_key_hk', pg_catalog.encode(api_key_hk, 'hex'),
               'tenant_hk', pg_catalog.encode(tenant_hk, 'hex'), 'tenant_bk', tenant_bk, 'label', label,
               'allowed_origins', allowed_origins, 'is_active', is_active, 'created_at', created_at,
               'revoked_at', revoked_at)
             from raw.site_tracking_keys_r
             where $1 is null or tenant_bk = $1
             order by created_at desc, api_key_hk limit $2",
            &[(&tenant_bk, Type::TEXT), (&(LIST_LIMIT + 1), Type::INT8)],
        )
        .await
        .map_err(|error| without_layer(error.into()))?;
    let limit = usize::try_from(LIST_LIMIT).unwrap_or(usize::MAX);
    let keys: Vec<Value> = rows.iter().take(limit).map(|row| row.get(0)).collect();
    Ok(fields([
        ("more", json!(rows.len() > limit)),
        ("keys", json!(keys)),
    ]))
}

pub(super) fn without_layer(failure: Failure) -> Failure {
    if failure.is(&SqlState::UNDEFINED_TABLE) || failure.is(&SqlState::INVALID_SCHEMA_NAME) {
        return Failure {
            remedy: Some("apply V001 first: deploy the stack, or {\"action\": \"apply\"}".to_owned()),
            ..failure
        };
    }
    failure
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(16 * digit(*high)? + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_wanted_for_a_tenant_and_for_somebody() {
        let wanted = |tenant: &str, origins: Option<Vec<&str>>| {
            Wanted {
                tenant_bk: tenant.to_owned(),
                label: None,
                allowed_origins: origins.map(|o| o.into_iter().map(str::to_owned).collect()),
            }
            .checked()
            .is_ok()
        };
        assert!(wanted("shop", None) && wanted(&"ä".repeat(255), Some(vec!["null"])));
        assert!(!wanted("", None) && !wanted(&"x".repeat(256), None) && !wanted("a\0b", None));
        assert!(!wanted("shop", Some(vec![])) && !wanted("shop", Some(vec!["shop"])));
    }

    #[test]
    fn a_key_is_named_by_itself_or_by_its_hash_and_by_one_of_them() {
        let key = SiteKey::generate().unwrap();
        let hash = hex(&key.hash());
        assert_eq!(Which::of(Some(key.expose()), None).unwrap().hash(), key.hash());
        assert_eq!(Which::of(None, Some(&hash)).unwrap().hash(), key.hash());
        assert_eq!(
            Which::of(None, Some(&hash.to_uppercase())).unwrap().hash(),
            key.hash()
        );
        for (key, hash) in [
            (None, None),
            (Some(key.expose()), Some(hash.as_str())),
            (Some("stk_short"), None),
            (None, Some(&hash[1..])),
            (None, Some(&hash[2..])),
            (None, Some("zz")),
        ] {
            assert!(Which::of(key, hash).is_err(), "{key:?} {hash:?}");
        }
    }
}
