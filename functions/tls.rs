//! Who may vouch for a server: a TLS connector that trusts only what [`Ca`] names, and where none is needed.
//!
//! In: [`Ca`]. Out: a connector, or why its certificates cannot be used; never one that trusts nobody or everybody.
//! `roots.pem` holds the roots of Amazon RDS, each behind a line `region <name>`, and those of all other services of
//! Amazon (RDS Proxy among them) under `region any`; its source is Amazon's published bundle. Loading the 144 roots of
//! an operating system costs a cold start more than everything else together, so [`skip_system_roots`] keeps OpenSSL
//! from doing it unasked.

use std::net::IpAddr;

use native_tls::{Certificate, TlsConnector};

use crate::config::Ca;

const ROOTS: &str = include_str!("tls/roots.pem");

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

/// Loopback addresses and their name: the only hosts that are spoken to in clear text.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// For a database.
///
/// # Errors
/// Why the certificates cannot be used.
pub fn connector(ca: &Ca) -> Result<TlsConnector, String> {
    match ca {
        Ca::System => TlsConnector::new().map_err(|error| error.to_string()),
        Ca::Rds(region) => trusting(&rds_pem(region.as_deref())),
        Ca::File(path) => {
            let pem =
                std::fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
            trusting(&pem)
        }
    }
}

/// For the services of Amazon: their five public roots and no other.
///
/// # Errors
/// OpenSSL cannot use them.
pub fn amazon_connector() -> Result<TlsConnector, String> {
    trusting(&pem_of(|name| name == ANY_REGION))
}

fn trusting(pem: &str) -> Result<TlsConnector, String> {
    let roots = certificates(pem)?;
    if roots.is_empty() {
        return Err("they hold no certificate".to_owned());
    }
    let mut builder = TlsConnector::builder();
    builder.disable_built_in_roots(true);
    for root in roots {
        builder.add_root_certificate(root);
    }
    builder.build().map_err(|error| error.to_string())
}

/// The roots of one region and those of every region; all of them where the region is not known or new.
fn rds_pem(region: Option<&str>) -> String {
    let known = blocks().any(|(name, _)| Some(name) == region);
    pem_of(|name| !known || name == ANY_REGION || Some(name) == region)
}

fn pem_of(is_wanted: impl Fn(&str) -> bool) -> String {
    let wanted = blocks().filter(|(name, _)| is_wanted(name));
    wanted.map(|(_, pem)| pem).collect()
}

/// Region, and the text of its roots.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let blocks = ROOTS.split("region ").skip(1);
    blocks.filter_map(|block| block.split_once('\n'))
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| Certificate::from_pem(block.trim_start().as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
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
    fn the_services_of_amazon_have_five_roots() {
        let amazon = certificates(&pem_of(|name| name == ANY_REGION)).unwrap();
        assert_eq!(amazon.len(), 5);
        assert!(amazon_connector().is_ok());
    }

    /// A stack that is not deployed anew for two years still connects.
    #[test]
    fn each_embedded_root_holds_for_two_more_years() {
        let ahead = openssl::asn1::Asn1Time::days_from_now(2 * 365).unwrap();
        let roots = openssl::x509::X509::stack_from_pem(pem_of(|_| true).as_bytes()).unwrap();
        assert!(roots.len() > 80);
        for root in roots {
            let until = root.not_after();
            assert!(
                *until > ahead,
                "{:?} ends {until}: take it out of roots.pem, or take Amazon's new bundle",
                root.subject_name()
            );
        }
    }

    #[test]
    fn a_file_without_a_certificate_trusts_nobody() {
        assert!(connector(&Ca::File("/dev/null".to_owned())).is_err());
        assert!(connector(&Ca::File("/no/such.pem".to_owned())).is_err());
    }
}
