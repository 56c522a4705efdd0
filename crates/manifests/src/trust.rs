//! Whom a manifest URL is believed to be: the authorities of one bundle, TLS 1.2 or later.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use secret::file::{CA, FileError, read};

use crate::facts::Digest;

/// Where distributions keep the bundle of public authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("the CA bundle cannot be read")]
    Read(#[from] FileError),
    #[error("{} cannot be read", path.display())]
    System { path: PathBuf, source: io::Error },
    #[error(
        "no bundle of public authorities was found on this system; name a CA file for the manifest URL"
    )]
    NoBundle,
    #[error("{} holds no usable certificate authority", path.display())]
    Empty { path: PathBuf },
    #[error("certificate {number} of {} cannot be used as a certificate authority", path.display())]
    Certificate { path: PathBuf, number: usize },
    #[error("the TLS client cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The configuration made from a bundle; made anew when the bundle changes.
#[derive(Default)]
pub(crate) struct Trust {
    /// The user's bundle; without one, the system's.
    own: Option<PathBuf>,
    made: Option<(Digest, Arc<ClientConfig>)>,
}

impl Trust {
    pub(crate) fn new(own: Option<PathBuf>) -> Self {
        Self { own, made: None }
    }

    /// The configuration for the next connection. Blocks on the bundle. A user's bundle must be
    /// good as a whole; of the system's, what is not understood is passed over.
    pub(crate) fn config(&mut self) -> Result<Arc<ClientConfig>, TrustError> {
        let (path, pem) = match &self.own {
            Some(path) => (path.clone(), read(path, &CA)?),
            None => system()?,
        };
        let digest = Digest::of(&pem);
        if let Some((_, config)) = self.made.as_ref().filter(|(old, _)| *old == digest) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(client(&path, &pem, self.own.is_some())?);
        self.made = Some((digest, Arc::clone(&config)));
        Ok(config)
    }
}

fn system() -> Result<(PathBuf, Vec<u8>), TrustError> {
    let exists = |path: &&&str| Path::new(path).exists();
    let path = BUNDLES.iter().find(exists).ok_or(TrustError::NoBundle)?;
    let path = PathBuf::from(path);
    match std::fs::read(&path) {
        Ok(pem) => Ok((path, pem)),
        Err(source) => Err(TrustError::System { path, source }),
    }
}

fn client(path: &Path, pem: &[u8], strict: bool) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let added = certificate.is_ok_and(|certificate| roots.add(certificate).is_ok());
        if !added && strict {
            return Err(TrustError::Certificate {
                path: path.to_owned(),
                number: index + 1,
            });
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Empty {
            path: path.to_owned(),
        });
    }
    // Passed explicitly: a process-wide default could be replaced by any other crate.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
