//! Whom the client trusts: the authorities of one bundle, for one name, TLS 1.2 or later.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use secret::file::{CA, FileError, read};

/// Why a CA bundle cannot be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// It cannot be read, or its permissions are too wide.
    #[error("the CA bundle cannot be read")]
    Read(#[from] FileError),
    /// Not PEM.
    #[error("{} holds a PEM block that cannot be read", path.display())]
    Pem {
        /// The bundle.
        path: PathBuf,
    },
    /// A block that is no certificate authority.
    #[error("certificate {number} of {} cannot be used as a certificate authority", path.display())]
    Certificate {
        /// The bundle.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
    },
    /// No certificate at all.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The bundle.
        path: PathBuf,
    },
    /// The TLS library refuses the parameters.
    #[error("the TLS client cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The TLS configuration made from a bundle, replaced when the bundle changes.
pub(crate) struct Trust {
    ca_file: PathBuf,
    current: ArcSwap<Pinned>,
}

struct Pinned {
    pem: Vec<u8>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Reads the bundle; blocks on the file.
    pub(crate) fn load(ca_file: &Path) -> Result<Self, CaError> {
        let pinned = Pinned::load(ca_file)?;
        Ok(Self {
            ca_file: ca_file.to_owned(),
            current: ArcSwap::from_pointee(pinned),
        })
    }

    /// The configuration for the next connection.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the bundle again and says whether it changed; blocks on the file. A bundle that
    /// cannot be used leaves the one in use where it is.
    pub(crate) fn reload(&self) -> Result<bool, CaError> {
        let pinned = Pinned::load(&self.ca_file)?;
        if pinned.pem == self.current.load().pem {
            return Ok(false);
        }
        self.current.store(Arc::new(pinned));
        Ok(true)
    }
}

impl Pinned {
    fn load(path: &Path) -> Result<Self, CaError> {
        let pem = read(path, &CA)?;
        let config = Arc::new(client_config(path, &pem)?);
        Ok(Self { pem, config })
    }
}

fn client_config(path: &Path, pem: &[u8]) -> Result<ClientConfig, CaError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.map_err(|_| CaError::Pem {
            path: path.to_owned(),
        })?;
        roots.add(certificate).map_err(|_| CaError::Certificate {
            path: path.to_owned(),
            number: index + 1,
        })?;
    }
    if roots.is_empty() {
        return Err(CaError::Empty {
            path: path.to_owned(),
        });
    }
    // The provider is passed explicitly: a process-wide default could be replaced by any
    // other crate.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_bundle_without_a_certificate_is_refused_by_name() {
        let (_dir, path) = bundle("nothing here\n");
        let error = Trust::load(&path).err().unwrap();
        assert!(matches!(&error, CaError::Empty { path: p } if *p == path));
    }

    #[test]
    fn a_block_that_is_no_certificate_is_refused_by_number() {
        let good = authority();
        let (_dir, path) = bundle(&format!(
            "{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        ));
        let error = Trust::load(&path).err().unwrap();
        assert!(matches!(error, CaError::Certificate { number: 2, .. }));
    }

    #[test]
    fn a_changed_bundle_is_taken_up_and_a_broken_one_leaves_the_old_in_use() {
        let (_dir, path) = bundle(&authority());
        let trust = Trust::load(&path).unwrap();
        let first = trust.config();
        assert!(!trust.reload().unwrap());
        assert!(Arc::ptr_eq(&first, &trust.config()));

        std::fs::write(&path, "half a bun").unwrap();
        assert!(trust.reload().is_err());
        assert!(Arc::ptr_eq(&first, &trust.config()));

        std::fs::write(&path, authority()).unwrap();
        assert!(trust.reload().unwrap());
        assert!(!Arc::ptr_eq(&first, &trust.config()));
    }

    #[test]
    fn only_http_1_1_is_offered() {
        let (_dir, path) = bundle(&authority());
        let config = Trust::load(&path).unwrap().config();
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }
}
