//! A throwaway certificate authority, and the server certificates that it vouches for.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509Name, X509};

/// A self-made root.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A server's certificate and key, in PEM.
pub struct Identity {
    pub certificate_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
}

/// From when to when a certificate holds, in days from now.
const VALID: (i64, i64) = (-1, 30);
const EXPIRED: (i64, i64) = (-30, -1);

impl Authority {
    pub fn new() -> Self {
        let key = key();
        let mut builder = builder("throwaway authority", &key, VALID);
        let subject = name("throwaway authority");
        builder.set_issuer_name(&subject).unwrap();
        builder
            .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
            .unwrap();
        let usage = KeyUsage::new()
            .critical()
            .key_cert_sign()
            .crl_sign()
            .build()
            .unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self {
            certificate: builder.build(),
            key,
        }
    }

    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// A certificate for `hosts` (names, or addresses).
    pub fn server(&self, hosts: &[&str]) -> Identity {
        self.issue(hosts, VALID)
    }

    /// The same, its time over.
    pub fn expired_server(&self, hosts: &[&str]) -> Identity {
        self.issue(hosts, EXPIRED)
    }

    fn issue(&self, hosts: &[&str], days: (i64, i64)) -> Identity {
        let key = key();
        let mut builder = builder(hosts[0], &key, days);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let mut names = SubjectAlternativeName::new();
        for host in hosts {
            match host.parse::<std::net::IpAddr>() {
                Ok(_) => names.ip(host),
                Err(_) => names.dns(host),
            };
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let names = names.build(&context).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Identity {
            certificate_pem: builder.build().to_pem().unwrap(),
            key_pem: key.private_key_to_pem_pkcs8().unwrap(),
        }
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(common_name: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common_name).unwrap();
    name.build()
}

fn builder(common_name: &str, key: &PKey<Private>, days: (i64, i64)) -> X509Builder {
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&serial.to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(&name(common_name)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&days_from_now(days.0)).unwrap();
    builder.set_not_after(&days_from_now(days.1)).unwrap();
    builder
}

fn days_from_now(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Asn1Time::from_unix(i64::try_from(now.as_secs()).unwrap() + days * 86_400).unwrap()
}
