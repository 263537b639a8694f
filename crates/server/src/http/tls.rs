//! The certificate that the server shows, and how a new one takes its place while
//! it serves: certificates are renewed every few weeks, and a server that must be
//! restarted for that is one day serving an expired one.
//!
//! A new pair is taken when the files change or the operator says so; one that is
//! no good is refused with a line in the log, and the old one stays in force.

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

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, PEM, and after it those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate is not shown.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// A file holds no such thing, or cannot be read.
    #[error("{}: {}", .0.display(), what_is_wrong(.1))]
    File(PathBuf, pem::Error),
    /// What stands between the lines of PEM is no certificate.
    #[error("{}: the first certificate in it cannot be read", .0.display())]
    Form(PathBuf),
    /// The two do not go together, or the key is of no known sort.
    #[error("{} and {} cannot be used together: {why}", .files.certificate.display(), .files.key.display())]
    Pair {
        /// The two.
        files: TlsFiles,
        /// What the library says.
        why: rustls::Error,
    },
}

fn what_is_wrong(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is nothing of the kind in it, in PEM".to_owned(),
        error => error.to_string(),
    }
}

/// The certificate in force.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// When the certificate in force ends, in seconds since 1970.
    until: AtomicI64,
    /// The files that were last looked at, taken or not.
    seen: Mutex<Stamp>,
}

/// What changes when a file does, or the link to it.
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

    /// When the certificate in force ends.
    pub fn until(&self) -> UnixTime {
        UnixTime(self.until.load(Relaxed))
    }

    /// What new connections are met with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again, whether they changed or not. Blocks for the disk.
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
                tracing::error!(%error, "the new certificate is refused; the old one stays in force");
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

    /// Looks at the files every few seconds until `stop`. Links are followed, as a
    /// volume of Kubernetes swaps them.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let tls = self.clone();
            // A file system that hangs must not hang the requests.
            let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
        }
    }
}

/// When a certificate may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// Not before.
    pub from: UnixTime,
    /// Not after.
    pub until: UnixTime,
}

impl TlsFiles {
    /// Reads both as the server would, and tells when they are good.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn good(&self) -> Result<Good, BadCertificate> {
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

/// The longest file with certificates or a key, in bytes.
const LONGEST: u64 = 1 << 20;

/// Another program renews these files, often as another user.
fn text_of(path: &Path) -> Result<String, BadCertificate> {
    let wrong =
        |error: file::Error| BadCertificate::File(path.to_owned(), pem::Error::Io(error.into()));
    file::read(path, Links::Follow, LONGEST).map(|(text, _)| text).map_err(wrong)
}

fn read(files: &TlsFiles) -> Result<(ServerConfig, Good), BadCertificate> {
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
    // Those that lead to its root are renewed with it.
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
    Ok((config, Good { from, until }))
}
