//! Certificates, read again when the admin renews them.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

/// The paths of a certificate and its key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then the chain.
    pub certificate: PathBuf,
    /// The path of its private key, in PEM.
    pub key: PathBuf,
}

/// The certificate that new connections get.
#[derive(Clone)]
pub struct TlsReloader {
    files: TlsFiles,
    current: Arc<arc_swap::ArcSwap<ServerConfig>>,
}

impl TlsReloader {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, holds nothing of use, or the two do not belong together.
    pub fn load(files: TlsFiles) -> anyhow::Result<TlsReloader> {
        let config = read(&files)?;
        Ok(TlsReloader { files, current: Arc::new(arc_swap::ArcSwap::from(config)) })
    }

    /// Reads the files again; what was in use stays so if they are not right.
    ///
    /// # Errors
    ///
    /// Those of [`TlsReloader::load`].
    pub fn reload(&self) -> anyhow::Result<()> {
        self.current.store(read(&self.files)?);
        Ok(())
    }

    /// The acceptor for a new connection, with the newest certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let certificate_file = files.certificate.display();
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("tls_certificate_path: {certificate_file} cannot be read"))?;
    if certificates.is_empty() {
        bail!("tls_certificate_path: {certificate_file} holds no certificate in PEM");
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| {
        format!(
            "tls_private_key_path: {} holds no key in PEM that can be read",
            files.key.display()
        )
    })?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .context("tls_certificate_path and tls_private_key_path do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
