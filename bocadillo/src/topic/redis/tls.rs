//! TLS for the connections to Redis.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[derive(Clone)]
pub(super) struct Tls {
    /// `None` means the system's authorities.
    pub(super) root_certificates: Option<PathBuf>,
}

impl Tls {
    pub(super) async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let file = self.root_certificates.clone();
        // Reading and parsing the certificates blocks.
        let config = tokio::task::spawn_blocking(move || config(file.as_deref()));
        let config = config.await.map_err(io::Error::other)??;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

fn config(root_certificates: Option<&Path>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = root_certificates {
        let certificates = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
        for certificate in certificates {
            let certificate = certificate.map_err(io::Error::other)?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
    } else {
        // Some of a system's certificates may be unreadable. The others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // A program may have several providers, and then has no default one.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
