//! TLS with a certificate authority that lives as long as the process, and what can be wrong with it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{DEFAULT_VERSIONS, ServerConfig, SupportedProtocolVersion};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name in the server's certificate, besides the loopback addresses.
pub const SERVER_NAME: &str = "localhost";

/// Why no TLS set-up could be made.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificate.
    #[error("throw-away certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The library refuses the configuration.
    #[error("TLS set-up: {0}")]
    Setup(#[from] rustls::Error),
}

/// How a listener shakes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// As it should be.
    Good,
    /// A certificate that ended long ago.
    Expired,
    /// A certificate whose time has not come.
    NotYetValid,
    /// A certificate for another name.
    WrongName,
    /// A certificate of an authority nobody knows.
    UnknownCa,
    /// TLS 1.2 and nothing newer.
    Tls12,
    /// No version the client offers: the alert `protocol_version`.
    Version,
    /// The alert `handshake_failure`.
    Alert,
    /// The connection is accepted, and the handshake never answered.
    Silent,
    /// A TCP RST in answer to the first message.
    Reset,
    /// Plain HTTP, as from a server that was started without TLS.
    Plain,
}

/// What a listener does with a connection's first bytes.
#[derive(Clone)]
pub(crate) enum Handshake {
    /// TLS.
    Serve(Arc<ServerConfig>),
    /// Says this, and ends.
    Say(&'static [u8]),
    /// Says nothing.
    Silent,
    /// Resets the connection.
    Reset,
}

const FATAL_PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
const FATAL_HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub(crate) fn throw_away() -> Result<Self, TlsError> {
        Self::named("bao-dev throw-away CA")
    }

    fn named(name: &str) -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a listener in this mode does with a handshake.
    pub(crate) fn handshake(&self, mode: TlsMode) -> Result<Handshake, TlsError> {
        let tls12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
        let config = match mode {
            TlsMode::Silent => return Ok(Handshake::Silent),
            TlsMode::Reset => return Ok(Handshake::Reset),
            TlsMode::Alert => return Ok(Handshake::Say(FATAL_HANDSHAKE_FAILURE)),
            TlsMode::Version => return Ok(Handshake::Say(FATAL_PROTOCOL_VERSION)),
            TlsMode::Plain => return Ok(Handshake::Say(PLAIN_HTTP)),
            TlsMode::Tls12 => self.config(mode, tls12)?,
            TlsMode::UnknownCa => Self::named("another CA")?.config(mode, DEFAULT_VERSIONS)?,
            TlsMode::Good | TlsMode::Expired | TlsMode::NotYetValid | TlsMode::WrongName => {
                self.config(mode, DEFAULT_VERSIONS)?
            }
        };
        Ok(Handshake::Serve(Arc::new(config)))
    }

    fn config(
        &self,
        mode: TlsMode,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, TlsError> {
        let names = match mode {
            TlsMode::WrongName => vec![String::from("elsewhere.invalid")],
            _ => [SERVER_NAME, "127.0.0.1", "::1"].map(String::from).to_vec(),
        };
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "bao-dev");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        match mode {
            TlsMode::Expired => params.not_after = date_time_ymd(2001, 1, 1),
            TlsMode::NotYetValid => params.not_before = date_time_ymd(4000, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
