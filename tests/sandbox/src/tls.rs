//! The sandbox's own certificate authority and its server certificate, made anew at every start.
//! Neither key is ever written to disk.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Every name under which a client may reach the sandbox.
const NAMES: [&str; 5] = ["smtp.gmail.com", "imap.gmail.com", "oauth2.googleapis.com", "localhost", "127.0.0.1"];

/// The TLS side of the server, and the certificate that a client has to trust for it.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
}

pub(crate) fn make_identity() -> anyhow::Result<Identity> {
    let ca_key = KeyPair::generate().context("make the sandbox CA's key")?;
    let ca_params = ca_params()?;
    let ca_pem = ca_params.self_signed(&ca_key).context("sign the sandbox CA")?.pem();
    let issuer = Issuer::new(ca_params, ca_key);

    let leaf_key = KeyPair::generate().context("make the server's key")?;
    let leaf = leaf_params()?.signed_by(&leaf_key, &issuer).context("sign the server's certificate")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));

    // The provider is named here: a process-wide default would depend on which crates are linked.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choose TLS versions")?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .context("load the server's certificate")?;
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem })
}

fn ca_params() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).context("describe the sandbox CA")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Postroom sandbox CA (for tests)");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params() -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).context("describe the server's certificate")?;
    params.distinguished_name.push(DnType::CommonName, "smtp.gmail.com (simulated by the Postroom sandbox)");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
