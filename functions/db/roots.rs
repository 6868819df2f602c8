//! Who may vouch for the server: a TLS connector that trusts only what [`Ca`] names.
//!
//! In: [`Ca`]. Out: a connector, or why its certificates cannot be used; never one that trusts nobody or everybody.
//! `roots.pem` holds the roots of Amazon RDS, each behind a line `region <name>`, and those of RDS Proxy under
//! `region any`; its source is Amazon's published bundle. Loading the 144 roots of an operating system costs a
//! cold start more than everything else together, so [`skip_system_roots`] keeps OpenSSL from doing it unasked.

use native_tls::{Certificate, TlsConnector};

use super::ConnectError;
use crate::config::Ca;

const RDS: &str = include_str!("roots.pem");

/// The name under which `roots.pem` keeps what every region needs.
const ANY_REGION: &str = "any";

/// Where OpenSSL looks for the file of trusted roots.
const OPENSSL_ROOTS: &str = "SSL_CERT_FILE";

/// Makes OpenSSL load no root of the operating system. Call it first thing in `main`, before any thread runs.
///
/// `disable_built_in_roots` alone does not save the time: the roots are loaded, and then thrown away.
pub fn skip_system_roots() {
    std::env::set_var(OPENSSL_ROOTS, "/dev/null");
}

pub(super) fn connector(ca: &Ca) -> Result<TlsConnector, ConnectError> {
    let mut builder = TlsConnector::builder();
    if let Some(roots) = roots(ca)? {
        builder.disable_built_in_roots(true);
        if roots.is_empty() {
            return Err(ConnectError::Authority("they hold no certificate".to_owned()));
        }
        for root in roots {
            builder.add_root_certificate(root);
        }
    }
    builder
        .build()
        .map_err(|error| ConnectError::Authority(error.to_string()))
}

/// `None`: those of the operating system.
fn roots(ca: &Ca) -> Result<Option<Vec<Certificate>>, ConnectError> {
    match ca {
        Ca::System => Ok(None),
        Ca::Rds(region) => certificates(&rds_pem(region.as_deref())).map(Some),
        Ca::File(path) => {
            let pem = std::fs::read_to_string(path)
                .map_err(|error| ConnectError::Authority(format!("cannot read the file: {error}")))?;
            certificates(&pem).map(Some)
        }
    }
}

/// The roots of one region and those of every region; all of them where the region is not known or new.
fn rds_pem(region: Option<&str>) -> String {
    let blocks = || {
        RDS.split("region ")
            .skip(1)
            .filter_map(|block| block.split_once('\n'))
    };
    let known = blocks().any(|(name, _)| Some(name) == region);
    blocks()
        .filter(|(name, _)| !known || *name == ANY_REGION || Some(*name) == region)
        .map(|(_, pem)| pem)
        .collect()
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, ConnectError> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| Certificate::from_pem(block.trim_start().as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|error| ConnectError::Authority(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_own_roots_and_those_of_the_proxy() {
        let of = |region| certificates(&rds_pem(region)).unwrap().len();
        assert_eq!(of(Some("eu-west-1")), 5 + 3);
        assert_eq!(of(Some("xx-new-1")), of(None));
        assert!(of(None) > 80);
    }

    #[test]
    fn a_file_without_a_certificate_trusts_nobody() {
        assert!(matches!(
            connector(&Ca::File("/dev/null".to_owned())),
            Err(ConnectError::Authority(_))
        ));
        assert!(matches!(
            connector(&Ca::File("/no/such.pem".to_owned())),
            Err(ConnectError::Authority(_))
        ));
    }
}
