//! TLS to the database, by `sslmode` and `sslrootcert` as libpq understands them.

use super::bad_address::BadPostgresAddress;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{error, io, sync::Arc};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Takes `sslmode` and `sslrootcert` out of an address: the driver knows not all of them. As for the
/// driver, settings begin with the first `?` after the first `@`: one before it is of the password.
pub(super) fn take_settings(url: &str) -> (String, Option<String>, Option<String>) {
    let behind = url.find('@').unwrap_or_default();
    let Some(question) = url[behind..].find('?').map(|it| behind + it) else {
        return (url.into(), None, None);
    };
    let (base, query) = (&url[..question], &url[question + 1..]);
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root = Some(decoded(value)),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { base.into() } else { format!("{base}?{}", rest.join("&")) };
    (url, mode, root)
}

/// Percent-decodes a file's name.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        // `from_str_radix` accepts a sign.
        let hex = hex.filter(|it| first == b'%' && it.bytes().all(|it| it.is_ascii_hexdigit()));
        let byte = hex.and_then(|it| u8::from_str_radix(it, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The connector of a mode: `verify-ca` and `verify-full` verify the database's certificate,
/// as does any mode that names a root certificate.
pub(super) fn connector(
    mode: &str,
    root: Option<&str>,
) -> Result<MakeRustlsConnect, BadPostgresAddress> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match root {
        Some(file) => {
            let bad = |why: String| BadPostgresAddress::RootCertificate(file.into(), why);
            let roots = Arc::new(roots(file).map_err(bad)?);
            let builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            let inner = builder.build().map_err(|error| bad(error.to_string()))?;
            match mode {
                "verify-full" => inner,
                _ => Arc::new(Chain { inner: Some(inner), provider: provider.clone() }),
            }
        }
        None if mode.starts_with("verify-") => {
            return Err(BadPostgresAddress::NoRootCertificate(mode.into()));
        }
        None => Arc::new(Chain { inner: None, provider: provider.clone() }),
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let versions = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| BadPostgresAddress::Form(error.to_string()))?;
    let config =
        versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// What an operator does about a connection that failed for this cause; `None`: it is not a
/// certificate's.
pub(super) fn next_step(cause: &(dyn error::Error + 'static)) -> Option<&'static str> {
    use CertificateError as Wrong;
    let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
    let Error::InvalidCertificate(wrong) = inner.downcast_ref()? else { return None };
    Some(match wrong {
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "its certificate is for other names: name it by one of them in the address"
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => {
            "its certificate has expired, or this machine's clock is wrong"
        }
        _ => {
            "its certificate is signed by no authority that sslrootcert names: name the certificate \
             of the one that signed it there"
        }
    })
}

fn roots(file: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(roots)
}

/// Verifies who signed a certificate and not whose name it bears, or nothing at all: what
/// `sslmode` says without `verify-full`. The handshake's signature is always verified.
#[derive(Debug)]
struct Chain {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_tls_are_found_behind_whatever_the_password_holds() {
        for password in ["ab", "a?b", "a?b?c", "a/b?sslmode=disable&c", "a&b=c?", "%3F%40"] {
            let url = format!("postgres://me:{password}@db/t?x=1&sslmode=require&sslrootcert=%2Fa");
            let (rest, mode, root) = take_settings(&url);
            assert_eq!(rest, format!("postgres://me:{password}@db/t?x=1"));
            assert_eq!((mode.as_deref(), root.as_deref()), (Some("require"), Some("/a")));
        }
        assert_eq!(take_settings("postgres://db?sslmode=disable").1.as_deref(), Some("disable"));
        assert_eq!(take_settings("postgres://me:a?b@db/t").1, None);
        for (file, is) in [("%2fa%20b", "/a b"), ("/a%+b", "/a%+b"), ("/%", "/%"), ("/%2", "/%2")] {
            let url = format!("postgres://db?sslrootcert={file}");
            assert_eq!(take_settings(&url).2.as_deref(), Some(is), "{file}");
        }
    }
}
