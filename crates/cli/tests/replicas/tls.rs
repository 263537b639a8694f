//! TLS to the database: which certificate of it is accepted, and what an operator reads of another.

use crate::{Channel, Field, Key, With, issue, provider, refused, verifies};
use postgres_fixture::{Folder, PostgresServer, ServerSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::{Path, PathBuf};

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, name);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap()
}

/// A database with a certificate for `localhost`.
struct Certified {
    postgres: PostgresServer,
    /// The certificate of the authority that signed it, and of another one.
    own: PathBuf,
    foreign: PathBuf,
    _files: Folder,
}

impl Certified {
    fn start() -> Self {
        let (files, authority, foreign) =
            (Folder::new().unwrap(), authority("own"), authority("foreign"));
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let file = |name, text: &str| files.write(name, text).unwrap();
        let certificate = file("tls.crt", &leaf.pem()).display().to_string();
        let key = file("tls.key", &key.serialize_pem()).display().to_string();
        let settings = ServerSettings::default()
            .with("ssl", "on")
            .with("ssl_cert_file", &certificate)
            .with("ssl_key_file", &key);
        let (own, foreign) =
            (file("own.pem", &authority.pem()), file("foreign.pem", &foreign.pem()));
        let postgres = PostgresServer::start(settings).unwrap();
        Self { postgres, own, foreign, _files: files }
    }

    /// The command that starts a server by this host of the database.
    fn command(
        &self,
        field: &Field<'_>,
        host: &str,
        mode: &str,
        root: &Path,
    ) -> std::process::Command {
        let (port, database, root) = (self.postgres.port(), &field.database, root.display());
        let store =
            format!("postgres://tegata@{host}:{port}/{database}?sslmode={mode}&sslrootcert={root}");
        let mut command = field.command("a", &[]);
        command.env("TEGATA_STORE", store);
        command
    }
}

const SIGNED: &str =
    "signed by no authority that sslrootcert names: name the certificate of the one";
const NAMED: &str = "its certificate is for other names: name it by one of them in the address";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_with_the_certificate_that_it_expects_and_no_other() {
    let it = Certified::start();
    let field = Field::on(&it.postgres);
    let command = |host, mode, root| it.command(&field, host, mode, root);
    for (host, mode, root, why) in [
        ("localhost", "verify-full", &it.foreign, SIGNED),
        ("localhost", "verify-ca", &it.foreign, SIGNED),
        ("127.0.0.1", "verify-full", &it.own, NAMED),
    ] {
        let said = refused(command(host, mode, root));
        assert!(said.contains(why), "{host} {mode}: {said}");
    }
    let server = crate::Server::start(command("localhost", "verify-full", &it.own)).await;
    let channel = Channel::create(&server, &provider(&server).await, &Key::generate()).await;
    let token = issue(&server, &channel.issue_short_lived(With::default())).await;
    assert!(verifies(&server, &token).await);
    let plain = "SELECT 1 FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
                 WHERE application_name = 'tegata' AND NOT ssl";
    assert!(it.postgres.ask(&field.database, plain).unwrap().is_empty(), "each is encrypted");
    drop(server);
    // It names who signed it, and not whose name it bears.
    drop(crate::Server::start(command("127.0.0.1", "verify-ca", &it.own)).await);
}
