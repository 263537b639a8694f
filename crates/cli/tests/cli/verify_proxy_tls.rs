//! `tegata verify-proxy` and an authority with a certificate: what it trusts, and what it
//! reports if it does not.

use crate::{
    program::{ADMIN_TOKEN, Home, Server, finish},
    verify_proxy::{command, until_ready_is, until_reason},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for this name, and its key; it has expired if `expired`.
#[expect(clippy::disallowed_methods, reason = "a certificate is valid by the wall clock")]
fn certify(home: &Home, by: &CertifiedIssuer<'_, KeyPair>, name: &str, expired: bool) {
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new([name.to_owned()]).unwrap();
    let now = SystemTime::now();
    leaf.not_before = (now - 9 * DAY).into();
    leaf.not_after = if expired { now - DAY } else { now + 9 * DAY }.into();
    home.file("tls.crt", &leaf.signed_by(&key, by).unwrap().pem());
    let key = home.file("tls.key", &key.serialize_pem());
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_proxy_trusts_the_authorities_of_authority_ca_alone_and_names_the_next_step_otherwise() {
    let home = Home::new();
    let (own, foreign) = (authority(), authority());
    home.file("own.pem", &own.pem());
    home.file("foreign.pem", &foreign.pem());
    certify(&home, &own, "127.0.0.1", false);
    let serve = |more: &[&str]| {
        let words = [&["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:tegata.db"], more];
        Server::start(home.tegata(&words.concat()).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN))
    };
    let tls = ["--tls-cert", "tls.crt", "--tls-key", "tls.key"];
    let server = serve(&tls);
    let mut create = home.tegata(&["verifier", "create", "gateway", "-o", "json"]);
    create.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
    let made = finish(create.env("SSL_CERT_FILE", home.path("own.pem"))).expect(0);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let verifier = made["verifier_token"].as_str().unwrap().to_owned();
    let start = |authority: &str, ca: &[&str]| {
        let words = [&["--listen", "127.0.0.1:0"], ca].concat();
        Server::start(&mut command(&home, authority, &verifier, &words))
    };
    let (own_ca, foreign_ca) = (["--authority-ca", "own.pem"], ["--authority-ca", "foreign.pem"]);

    let proxy = start(&server.url, &own_ca);
    until_ready_is(&proxy, 200);
    for ca in [&foreign_ca[..], &[]] {
        let untrusted = start(&server.url, ca);
        until_reason(&untrusted, "does not trust the issuer of its certificate");
        until_reason(&untrusted, "--authority-ca");
    }
    let by_name = start(&server.url.replace("127.0.0.1", "localhost"), &own_ca);
    until_reason(
        &by_name,
        "its certificate names other addresses; use one of them with --authority",
    );
    let plain = start(&server.url.replace("https:", "http:"), &[]);
    until_reason(&plain, "is the address https:// instead?");

    assert!(server.stop().success());
    certify(&home, &own, "127.0.0.1", true);
    let server = serve(&tls);
    let expired = start(&server.url, &own_ca);
    until_reason(&expired, "its certificate has expired, or this machine's clock is wrong");
    assert!(server.stop().success());

    let server = serve(&[]);
    let no_tls = start(&server.url.replace("http:", "https:"), &own_ca);
    until_reason(&no_tls, "is the address http:// instead?");
    let url = server.url.clone();
    assert!(server.stop().success());
    until_reason(
        &start(&url, &[]),
        "is `tegata serve` running there? Name another address with --authority",
    );
}
