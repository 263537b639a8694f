//! The server's certificate: reloaded on SIGHUP, counted down by a metric, and checked by
//! `doctor`.

use crate::program::{Home, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tegata_system::http::client_for;
use tokio::time::{sleep, timeout};

const DAY: i64 = 24 * 60 * 60;

/// A new pair for `localhost`, valid for this many days.
#[expect(clippy::disallowed_methods, reason = "a certificate is valid by the wall clock")]
fn pair(days: i64) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let now = SystemTime::now();
    let away = Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60);
    certificate.not_before = (now - Duration::from_secs(400 * 24 * 60 * 60)).into();
    certificate.not_after = if days < 0 { now - away } else { now + away }.into();
    [certificate.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

/// The two files in a home, and the arguments for `serve` and `doctor`.
struct Files([PathBuf; 2]);

impl Files {
    fn of(home: &Home, pair: &[String; 2]) -> Self {
        let files = Self(["tls.crt", "tls.key"].map(|name| home.file(name, "")));
        files.write(pair);
        fs::set_permissions(&files.0[1], std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        files
    }

    /// Writes both in place, so that by length, time and number nothing changed: no
    /// look at the files tells, and only a word to the server does.
    fn write(&self, pair: &[String; 2]) {
        for (file, text) in self.0.iter().zip(pair) {
            fs::write(file, format!("{text:\n<4096}")).unwrap();
            File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH)
                .unwrap();
        }
    }

    fn words(&self) -> [&str; 4] {
        let [certificate, key] = self.0.each_ref().map(|it| it.to_str().unwrap());
        ["--tls-cert", certificate, "--tls-key", key]
    }
}

/// Requests a page as a client that trusts this certificate alone.
async fn get(server: &Server, path: &str, trusted: &str) -> reqwest::Result<String> {
    let certificate = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
    let address = server.url.replace("127.0.0.1", "localhost");
    let url = format!("{address}{path}").parse().unwrap();
    let http = client_for(&url).tls_certs_only([certificate]).build().unwrap();
    http.get(url).send().await?.error_for_status()?.text().await
}

async fn days_left(server: &Server, trusted: &str) -> i64 {
    let text = get(server, "/metrics", trusted).await.unwrap();
    let shown = "tegata_tls_certificate_expiry_seconds ";
    let seconds = text.lines().find_map(|line| line.strip_prefix(shown)).unwrap();
    (seconds.parse::<i64>().unwrap() + DAY / 2) / DAY
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_certificate_and_a_bad_one_leaves_the_old_in_use() {
    let home = Home::new();
    let [first, second] = [pair(90), pair(3)];
    let files = Files::of(&home, &first);
    let mut server = home.serve(&files.words());
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    assert_eq!(days_left(&server, &first[0]).await, 90);

    files.write(&second);
    server.signal("-HUP");
    let taken = async {
        while get(&server, "/livez", &second[0]).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), taken)
        .await
        .expect("the server reloads the certificate on SIGHUP");
    assert!(get(&server, "/livez", &first[0]).await.is_err(), "the old one is still in use");
    assert_eq!(days_left(&server, &second[0]).await, 3);
    // A certificate that expires soon does not make the server unready.
    get(&server, "/readyz", &second[0]).await.unwrap();

    // A key of another pair.
    files.write(&[first[0].clone(), second[1].clone()]);
    server.signal("-HUP");
    let log = server.log();
    assert_eq!(days_left(&server, &second[0]).await, 3);
    assert!(server.stop().success());
    let log = log.join().unwrap();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("the certificate was read and is in force"), 1, "{log}");
    assert_eq!(lines("the new certificate is rejected"), 1, "{log}");
}

#[test]
fn doctor_warns_before_a_certificate_expires_and_of_a_key_that_does_not_match() {
    let home = Home::new();
    let good = pair(90);
    let check = |pair: &[String; 2]| {
        let files = Files::of(&home, pair);
        let done = home.run(&[&["doctor", "--listen", "127.0.0.1:0"], &files.words()[..]].concat());
        (done.code, done.out)
    };
    for (pair, code, words) in [
        (&good, 0, "matches its key, valid until 2"),
        (&pair(13), 0, "the certificate expires at 2"),
        (&pair(-1), 1, "the certificate expired at 2"),
        (&[pair(90)[0].clone(), good[1].clone()], 1, "cannot be used together"),
        (&["no PEM".to_owned(), good[1].clone()], 1, "it holds no PEM"),
    ] {
        let (exit, out) = check(pair);
        assert!(out.contains(words) && exit == code, "{words}: {out}");
        assert_eq!(out.contains("WARNING"), words.contains("expires at"), "{out}");
    }
}

#[test]
fn a_self_signed_certificate_of_an_authority_is_warned_of_and_each_refusal_has_its_advice() {
    let home = Home::new();
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = [authority.self_signed(&key).unwrap().pem(), key.serialize_pem()];
    let files = Files::of(&home, &authority);
    let doctor = home.run(&[&["doctor", "--listen", "127.0.0.1:0"], &files.words()[..]].concat());
    assert!(doctor.out.contains("(CA:TRUE)") && doctor.out.contains("CA:FALSE"), "{}", doctor.out);
    let list = |server: &Server, trusted: bool| {
        let mut command = home.tegata(&["--url", &server.url, "provider", "list"]);
        command.env("TEGATA_ADMIN_TOKEN", "x".repeat(32));
        if trusted {
            command.env("SSL_CERT_FILE", &files.0[0]);
        }
        crate::program::finish(&mut command)
    };
    let mut server = home.serve(&files.words());
    list(&server, true).expect_error(3, "CA:FALSE");
    let log = server.log();
    assert!(server.stop().success());
    let log = log.join().unwrap();
    assert!(log.contains("WARN") && log.contains("(CA:TRUE)"), "{log}");

    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = [leaf.self_signed(&key).unwrap().pem(), key.serialize_pem()];
    files.write(&leaf);
    let doctor = home.run(&[&["doctor", "--listen", "127.0.0.1:0"], &files.words()[..]].concat());
    assert!(!doctor.out.contains("(CA:TRUE)"), "{}", doctor.out);
    let server = home.serve(&files.words());
    list(&server, false).expect_error(3, "SSL_CERT_FILE");
    list(&server, true).expect_error(1, "token was refused");
    drop(server);
    // For another name.
    files.write(&pair(90));
    let server = home.serve(&files.words());
    list(&server, true).expect_error(3, "names other addresses");
}
