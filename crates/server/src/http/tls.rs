//! The server's certificate, and its replacement while the server runs: certificates are
//! renewed every few weeks, and a server that needs a restart for that will serve an
//! expired one some day.
//!
//! A new pair is loaded when the files change or the operator requests it; an invalid one
//! is rejected with a line in the log, and the old one stays in force.

use arc_swap::ArcSwap;
use rustls::{ServerConfig, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
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
use tegata_system::{
    file::{self, Links},
    pem::Pem,
    secret::{self, Form, UnusableSecret},
};
use tegata_token::time::UnixTime;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

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
    /// The certificate's file cannot be read.
    #[error("the certificate {} (tls_cert): {}", .0.display(), .1)]
    File(PathBuf, file::Error),
    /// A file does not hold what it should.
    #[error("{}: {}", .0.display(), .1)]
    Content(PathBuf, String),
    /// The key's file cannot be read.
    #[error(transparent)]
    Key(#[from] UnusableSecret),
    /// The PEM block does not contain a certificate.
    #[error("{}: the first certificate in it cannot be read", .0.display())]
    Form(PathBuf),
    /// The key is that of another certificate in the file.
    #[error(
        "{}: the leaf must come first: the key is that of certificate {nth} in this file; write \
         the server's own certificate before its intermediates", .file.display()
    )]
    Order {
        /// The certificate's file.
        file: PathBuf,
        /// The place of the leaf, from 1 on.
        nth: usize,
    },
    /// The key does not match the certificate, or is of an unsupported kind.
    #[error("{} and {} cannot be used together: {why}", .files.certificate.display(), .files.key.display())]
    Pair {
        /// The two.
        files: TlsFiles,
        /// The library's error.
        why: rustls::Error,
    },
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
        warn(&files, good);
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
                warn(&self.files, good);
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

fn warn(files: &TlsFiles, good: CertificateValidity) {
    if good.is_self_signed_ca {
        tracing::warn!(file = %files.certificate.display(), "{SELF_SIGNED_CA}");
    }
}

/// What is wrong with a certificate that is [self-signed and a certificate
/// authority's](CertificateValidity::is_self_signed_ca), and how to make a better one.
pub const SELF_SIGNED_CA: &str = "the certificate is that of a certificate authority (CA:TRUE), \
    which `tegata` and other clients do not accept of a server; make one with: openssl req -x509 \
    -newkey rsa:2048 -nodes -keyout KEY -out CERTIFICATE -days 365 -subj /CN=NAME -addext \
    subjectAltName=DNS:NAME -addext basicConstraints=critical,CA:FALSE";

/// The validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateValidity {
    /// Not before.
    pub from: UnixTime,
    /// Not after.
    pub until: UnixTime,
    /// Whether it signed itself and is marked as a certificate authority's: `curl` accepts
    /// such a certificate of a server, and rustls, Go and others refuse it.
    pub is_self_signed_ca: bool,
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

/// Reads the certificates, which another program renews, often as another user.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let content = |what: String| BadCertificate::Content(path.to_owned(), what);
    let (text, _) = match file::read(path, Links::Follow, LONGEST) {
        Err(file::Error::NotText) => {
            return Err(content(Pem::find("").instead_of_a_certificate()));
        }
        read => read.map_err(|error| BadCertificate::File(path.to_owned(), error))?,
    };
    let pem = Pem::find(&text);
    let found = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| content(error.to_string()))?;
    if found.is_empty() {
        return Err(content(pem.instead_of_a_certificate()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    let text = secret::in_file(path, Form::Key)?;
    let content = |what: String| BadCertificate::Content(path.to_owned(), what);
    let pem = Pem::find(&text);
    if !pem.has_private_key() {
        return Err(content(pem.instead_of_a_private_key(&text)));
    }
    PrivateKeyDer::from_pem_slice(pem.text.as_bytes()).map_err(|error| content(error.to_string()))
}

fn read(files: &TlsFiles) -> Result<(ServerConfig, CertificateValidity), BadCertificate> {
    let certificates = certificates(&files.certificate)?;
    // The intermediate certificates are renewed with it.
    let (_, own) = X509Certificate::from_der(&certificates[0])
        .map_err(|_| BadCertificate::Form(files.certificate.clone()))?;
    let [from, until] = [own.validity.not_before, own.validity.not_after];
    let [from, until] = [from, until].map(|it| UnixTime(it.timestamp()));
    let is_self_signed_ca = own.is_ca() && own.issuer() == own.subject();
    let key = private_key(&files.key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let is_of_key = |certificate: &CertificateDer<'static>| {
        let chain = vec![certificate.clone()];
        CertifiedKey::from_der(chain, key.clone_key(), &provider)
            .is_ok_and(|it| it.keys_match().is_ok())
    };
    if !is_of_key(&certificates[0])
        && let Some(behind) = certificates.iter().position(is_of_key)
    {
        return Err(BadCertificate::Order { file: files.certificate.clone(), nth: behind + 1 });
    }
    let pair = |why| BadCertificate::Pair { files: files.clone(), why };
    // TLS 1.2 and 1.3, with the library's choice of ciphers for each.
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, CertificateValidity { from, until, is_self_signed_ca }))
}
