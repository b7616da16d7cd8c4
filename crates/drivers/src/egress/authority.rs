//! Who we are to a program that is looked into: an authority of one workspace, made when the daemon needs
//! one and gone with it. Its key is on no disk, and nobody outside the walls trusts it.

use abi::net::Host;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Hosts whose certificates are kept.
const LEAVES_MAX: usize = 256;

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for all of its hosts: it stands for this daemon, not for them.
    key: KeyPair,
    leaves: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    /// A new one; the name is what people see in a certificate.
    pub fn make(name: &str) -> Result<Self, String> {
        let told = |error: rcgen::Error| format!("no certificate could be made: {error}");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, format!("skep {name}"));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(told)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(told)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(told)?;
        Ok(Self { issuer, key, leaves: Mutex::default() })
    }

    /// Its certificate, as programs read it.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(self.issuer.der());
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// TLS as this host.
    pub(super) fn stand_for(&self, host: &Host) -> Result<Arc<ServerConfig>, String> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = leaves.get(host.as_str()) {
            return Ok(known.clone());
        }
        let made = Arc::new(self.leaf(host)?);
        if leaves.len() >= LEAVES_MAX {
            leaves.clear();
        }
        leaves.insert(host.as_str().to_owned(), made.clone());
        Ok(made)
    }

    fn leaf(&self, host: &Host) -> Result<ServerConfig, String> {
        let told = |error: rcgen::Error| format!("no certificate for {host}: {error}");
        let mut params = CertificateParams::new(vec![host.as_str().to_owned()]).map_err(told)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&self.key, &self.issuer).map_err(told)?;
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.with_no_client_auth();
        let mut config = config
            .with_single_cert(vec![leaf.der().clone(), self.issuer.der().clone()], key)
            .map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
