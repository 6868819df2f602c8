//! The key of a stack's first tenant, which its owner drew and gives by a property.
//!
//! In: the properties. Out: the key registered, by its hash. It is not drawn here: CloudFormation repeats requests, and
//! asks for the same answer again later, when nobody knows the key any more; what the owner drew is the same each time.

use tokio_postgres::types::Type;

use super::failure::Failure;
use super::fields::Fields;
use super::keys::{self, Wanted};
use crate::config;
use crate::db;
use crate::site_key::SiteKey;

/// What the list of keys says of it.
const LABEL: &str = "first key of the stack";

/// A key, and whose it is to be.
#[derive(Clone, Debug)]
pub struct FirstKey {
    key: SiteKey,
    wanted: Wanted,
}

impl FirstKey {
    /// `FirstTenant`, `FirstSiteKey` and `FirstOrigins`; `None`: the stack has no first tenant.
    ///
    /// # Errors
    /// One of them is there without the others, or cannot be understood. No message holds the key.
    pub fn of(properties: &Fields<'_>) -> Result<Option<Self>, Failure> {
        let text = |name| properties.text(name).filter(|text: &String| !text.is_empty());
        let (tenant_bk, key, origins) = (text("FirstTenant"), text("FirstSiteKey"), text("FirstOrigins"));
        let (tenant_bk, key) =
            match (tenant_bk, key, &origins) {
                (None, None, None) => return Ok(None),
                (Some(tenant_bk), Some(key), _) => (tenant_bk, key),
                _ => return Err(Failure::request(
                    "FirstTenant, FirstSiteKey and FirstOrigins belong together: the first two are needed",
                    "give a tenant and the key that `make site-key` draws, or none of the three",
                )),
            };
        let key = SiteKey::parse(&key).ok_or_else(|| {
            Failure::request(
                "FirstSiteKey is not a site key: its form or its checksum is wrong",
                "draw one with `make site-key`",
            )
        })?;
        let wanted = Wanted {
            tenant_bk,
            label: Some(LABEL.to_owned()),
            allowed_origins: origins.map(|list| list.split(',').map(|o| o.trim().to_owned()).collect()),
        };
        Ok(Some(Self {
            key,
            wanted: wanted.checked()?,
        }))
    }

    /// Registers it; of one that is there the origins are set. What a person should know.
    ///
    /// # Errors
    /// The tenant is not known, the key is another tenant's, or the database's.
    pub async fn register(self, database: &config::Database) -> Result<Option<String>, Failure> {
        let client = db::connect(database).await?;
        let tenant_hk = keys::tenant(&client, &self.wanted.tenant_bk).await?;
        let rows = client
            .query_typed(
                "insert into raw.site_tracking_keys_r as k (api_key_hk, tenant_hk, tenant_bk, label, allowed_origins)
                 values ($1, $2, $3, $4, $5)
                 on conflict (api_key_hk) do update set allowed_origins = excluded.allowed_origins
                 where k.tenant_hk = excluded.tenant_hk
                 returning k.is_active",
                &[
                    (&self.key.hash().as_slice(), Type::BYTEA),
                    (&tenant_hk, Type::BYTEA),
                    (&self.wanted.tenant_bk, Type::TEXT),
                    (&self.wanted.label, Type::TEXT),
                    (&self.wanted.allowed_origins, Type::TEXT_ARRAY),
                ],
            )
            .await
            .map_err(|error| keys::without_layer(error.into()))?;
        match rows.first() {
            Some(row) if row.get(0) => Ok(None),
            Some(_) => Ok(Some(
                "FirstSiteKey was revoked and stays so: draw another one with `make site-key`".to_owned(),
            )),
            None => Err(Failure::refused(
                "FirstSiteKey is a key of another tenant already",
                "draw one of its own for this tenant with `make site-key`",
            )),
        }
    }
}

/// Whether an update gives another key than before: the former one stays good.
pub fn was_replaced(old: &Fields<'_>, new: &Fields<'_>) -> bool {
    let key = |fields: &Fields<'_>| fields.text("FirstSiteKey").filter(|key| !key.is_empty());
    key(old).is_some() && key(old) != key(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn read(json: &serde_json::Value) -> Result<Option<FirstKey>, Failure> {
        let raw: Box<RawValue> = serde_json::from_str(&json.to_string()).unwrap();
        FirstKey::of(&Fields::of(&raw))
    }

    #[test]
    fn a_tenant_and_a_key_belong_together_and_no_message_holds_the_key() {
        let key = SiteKey::generate().unwrap();
        let key = key.expose();
        let cut = &key[..key.len() - 1];
        for (tenant, key, origins, is) in [
            ("", "", "", Ok(false)),
            ("shop", key, "", Ok(true)),
            ("shop", key, "https://example.com,https://*.example.com", Ok(true)),
            ("shop", "", "", Err("belong together")),
            ("", key, "", Err("belong together")),
            ("", "", "https://example.com", Err("belong together")),
            ("shop", cut, "", Err("form or its checksum")),
            ("shop", key, "example", Err("origin")),
        ] {
            let json =
                serde_json::json!({ "FirstTenant": tenant, "FirstSiteKey": key, "FirstOrigins": origins });
            match (read(&json), is) {
                (Ok(found), Ok(is_there)) => assert_eq!(found.is_some(), is_there, "{tenant} {origins}"),
                (Err(failure), Err(says)) => {
                    let failure = failure.to_string();
                    assert!(failure.contains(says) && !failure.contains("stk_"), "{failure}");
                }
                (found, _) => panic!("{tenant} {origins}: {found:?}"),
            }
        }
    }
}
