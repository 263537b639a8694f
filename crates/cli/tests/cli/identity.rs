//! The settings of the identity provider, and unlinking an account.

use crate::program::{Desk, Home, finish};

#[test]
fn settings_of_the_identity_provider_that_do_not_fit_together_are_named() {
    let home = Home::new();
    let issuer = ["--oidc-issuer", "https://id.example.com"];
    let both = [&issuer[..], &["--oidc-client-id", "tegata"]].concat();
    let secret = home.file("secret", "shared");
    let secret = ["--oidc-client-secret-file", secret.to_str().unwrap()];
    let here = ["--listen", "127.0.0.1:0"];
    for (words, named) in [
        (issuer.to_vec(), "oidc_issuer and oidc_client_id go together"),
        (vec!["--oidc-client-id", "tegata"], "oidc_issuer and oidc_client_id go together"),
        (secret.to_vec(), "a client secret is set without oidc_issuer"),
        ([&both[..], &["--admin-listen", "127.0.0.1:0"]].concat(), "set console_url too"),
        ([&both[..], &["--oidc-second-factor", "none"]].concat(), "identity-provider"),
        (vec!["--oidc-issuer", "id.example.com"], "https URL"),
    ] {
        home.run(&[&["serve"], &here[..], &words].concat()).expect_error(2, named);
    }
    let plain = ["--oidc-issuer", "http://id.example.com", "--oidc-client-id", "tegata"];
    home.run(&[&["serve"], &here[..], &plain].concat()).expect_error(1, "must be an https URL");
    let console = [&both[..], &["--console-url", "http://tegata.example.com"]].concat();
    home.run(&[&["serve"], &here[..], &console].concat()).expect_error(1, "--console-url");
    let mut serve = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
    finish(serve.env("TEGATA_OIDC_CLIENT_SECRET", "shared")).expect_error(2, "client secret");
}

#[test]
fn a_person_without_a_linked_account_cannot_be_unlinked() {
    let desk = Desk::new();
    let made = desk.json(&["person", "invite", "mika", "--operator", "--role", "auditor"]);
    let id = made["person_id"].as_str().unwrap();
    assert!(desk.json(&["person", "show", id])["identity"].is_null());
    let done = desk.run(&["person", "unlink", id, "--yes"]);
    done.expect_error(1, "no such linked account at an identity provider");
}
