//! A certificate authority of the test's own: clients verify as in production, with the CA given by file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::scratch::Scratch;

/// A throw-away authority whose certificate lies in the test's directory.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

/// A certificate chain and key in PEM, for servers that read files.
#[derive(Debug)]
pub struct PemFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(scratch: &Scratch) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Agent Guard test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = scratch.write("ca.pem", issuer.pem().as_bytes())?;
        Ok(Self { issuer, file })
    }

    /// The CA certificate for `--cacert`, `REQUESTS_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS` and the like.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What a server shows for `names` (DNS names or IP literals). HTTP/1.1 only, for that is what is decoded.
    pub fn server_config(&self, names: &[String]) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = self.issue(names)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The same as files, named after `stem`.
    pub fn pem_files(&self, scratch: &Scratch, stem: &str, names: &[String]) -> Result<PemFiles> {
        let (certificate, key) = self.issue(names)?;
        Ok(PemFiles {
            certificate: scratch.write(&format!("{stem}.pem"), certificate.pem().as_bytes())?,
            key: scratch.write(&format!("{stem}.key"), key.serialize_pem().as_bytes())?,
        })
    }

    fn issue(&self, names: &[String]) -> Result<(rcgen::Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec()).context("names of the server certificate")?;
        params.distinguished_name.push(DnType::CommonName, "Agent Guard test server");
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}
