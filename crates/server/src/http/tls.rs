//! The server's certificate, and its replacement while the server runs: certificates are
//! renewed every few weeks, and a server that needs a restart for that will serve an
//! expired one some day.
//!
//! A new pair is loaded when the files change or the operator requests it; an invalid one
//! is rejected with a line in the log, and the old one stays in force.

use arc_swap::ArcSwap;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_system::file::{self, Links};
use tegata_token::time::UnixTime;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::Zeroizing;

/// How often the files are checked.
const PERIOD: Duration = Duration::from_secs(5);

/// The files of the certificate and its key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, PEM, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// A file cannot be read, or does not hold what it should.
    #[error("{}: {}", .0.display(), describe(.1))]
    File(PathBuf, pem::Error),
    /// The PEM block does not contain a certificate.
    #[error("{}: the first certificate in it cannot be read", .0.display())]
    Form(PathBuf),
    /// The key does not match the certificate, or is of an unsupported kind.
    #[error("{} and {} cannot be used together: {why}", .files.certificate.display(), .files.key.display())]
    Pair {
        /// The two.
        files: TlsFiles,
        /// The library's error.
        why: rustls::Error,
    },
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it contains no such PEM block".to_owned(),
        error => error.to_string(),
    }
}

/// The certificate in force.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// The expiry of the certificate in force, in seconds since 1970.
    until: AtomicI64,
    /// The files that were checked last, accepted or not.
    seen: Mutex<Stamp>,
}

/// Changes when a file, or the link to it, changes.
type Stamp = [Option<(u64, i64, i64, u64)>; 2];

impl Tls {
    /// Reads the two files.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn load(files: TlsFiles) -> Result<Self, BadCertificate> {
        let seen = Mutex::new(files.stamp());
        let (config, good) = read(&files)?;
        let until = good.until.0.into();
        Ok(Self { config: ArcSwap::from_pointee(config), until, files, seen })
    }

    /// The expiry of the certificate in force.
    pub fn until(&self) -> UnixTime {
        UnixTime(self.until.load(Relaxed))
    }

    /// The acceptor for new connections.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again, whether they changed or not. Blocks on the disk.
    pub fn reload(&self) {
        let stamp = self.files.stamp();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.files) {
            Ok((config, good)) => {
                self.config.store(Arc::new(config));
                self.until.store(good.until.0, Relaxed);
                tracing::info!(
                    file = %self.files.certificate.display(),
                    "the certificate was read and is in force"
                );
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is rejected; the old one stays in force");
            }
        }
        *seen = stamp;
    }

    fn reload_if_changed(&self) {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.files.stamp() != seen {
            self.reload();
        }
    }

    /// Checks the files every few seconds until `stop`. Links are followed, since
    /// Kubernetes volumes swap them.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let tls = self.clone();
            // A hanging file system must not block requests.
            let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
        }
    }
}

/// The validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateValidity {
    /// Not before.
    pub from: UnixTime,
    /// Not after.
    pub until: UnixTime,
}

impl TlsFiles {
    /// Reads both files as the server would, and returns the validity period.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn good(&self) -> Result<CertificateValidity, BadCertificate> {
        read(self).map(|(_, good)| good)
    }

    fn stamp(&self) -> Stamp {
        let stamp = |path: &Path| {
            let it = fs::metadata(path).ok()?;
            Some((it.ino(), it.mtime(), it.mtime_nsec(), it.len()))
        };
        [stamp(&self.certificate), stamp(&self.key)]
    }
}

/// Maximum length of a file with certificates or a key, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads a file, which another program renews, often as another user.
fn text_of(path: &Path) -> Result<String, BadCertificate> {
    let wrong =
        |error: file::Error| BadCertificate::File(path.to_owned(), pem::Error::Io(error.into()));
    file::read(path, Links::Follow, LONGEST).map(|(text, _)| text).map_err(wrong)
}

fn read(files: &TlsFiles) -> Result<(ServerConfig, CertificateValidity), BadCertificate> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| BadCertificate::File(path, error)
    };
    let text = text_of(&files.certificate)?;
    let certificates =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(file(&files.certificate))?;
    let Some(own) = certificates.first() else {
        return Err(file(&files.certificate)(pem::Error::NoItemsFound));
    };
    // The intermediate certificates are renewed with it.
    let (_, own) = X509Certificate::from_der(own)
        .map_err(|_| BadCertificate::Form(files.certificate.clone()))?;
    let [from, until] = [own.validity.not_before, own.validity.not_after];
    let [from, until] = [from, until].map(|it| UnixTime(it.timestamp()));
    let text = Zeroizing::new(text_of(&files.key)?);
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(file(&files.key))?;
    let pair = |why| BadCertificate::Pair { files: files.clone(), why };
    let provider = Arc::new(aws_lc_rs::default_provider());
    // TLS 1.2 and 1.3, with the library's choice of ciphers for each.
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, CertificateValidity { from, until }))
}
