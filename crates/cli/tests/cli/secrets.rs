//! Secrets and keys as people and tools hand them over: with a byte order mark, with the
//! line breaks of Windows, quoted, escaped, or with characters that no secret has.

use crate::program::{ADMIN_TOKEN, Desk, Done, Home, Server, finish, finish_with};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// Ways in which a secret arrives that do not change it.
fn harmless(secret: &str) -> [String; 4] {
    [
        format!("{secret}\r\n"),
        format!("\u{feff}{secret}\n"),
        format!(" {secret}\t\n\n"),
        format!("\u{feff}\r\n{secret}\r"),
    ]
}

/// A secret with a character that none has, and what names it.
fn harmful(secret: &str) -> [(String, &'static str); 4] {
    [
        (format!("{secret}\u{a0}x"), "U+00A0"),
        (format!("\u{201c}{secret}\u{201d}"), "U+201C"),
        (format!("{secret}\u{1b}[0m"), "U+001B"),
        (format!("{secret}\n{secret}"), "more than one line"),
    ]
}

#[test]
fn every_secret_of_the_command_line_is_read_alike() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let list = |prepare: &dyn Fn(&mut Command)| {
        let mut command = desk.command(&["provider", "list"]);
        prepare(command.env_remove("TEGATA_ADMIN_TOKEN"));
        finish(&mut command)
    };
    let issue = |prepare: &dyn Fn(&mut Command)| {
        let mut command = desk.command(&["token", "issue", "--channel", &channel]);
        prepare(&mut command);
        finish(&mut command)
    };
    let file = desk.home.path("secret");
    let ways = |token: &str, secret: &str| -> Vec<Done> {
        let write = |text: &str| fs::write(&file, text).unwrap();
        let mut done = vec![
            list(&|it| {
                it.env("TEGATA_ADMIN_TOKEN", token);
            }),
            issue(&|it| {
                it.env("TEGATA_CHANNEL_SECRET", secret);
            }),
        ];
        write(token);
        done.push(list(&|it| {
            it.env("TEGATA_ADMIN_TOKEN_FILE", &file);
        }));
        done.push(list(&|it| {
            it.arg("--admin-token-file").arg(&file);
        }));
        write(secret);
        done.push(issue(&|it| {
            it.arg("--secret-file").arg(&file);
        }));
        done
    };
    for (token, secret) in harmless(ADMIN_TOKEN).iter().zip(&harmless(&secret)) {
        for done in ways(token, secret) {
            done.expect(0);
        }
    }
    for ((token, named), (secret, _)) in harmful(ADMIN_TOKEN).iter().zip(&harmful(&secret)) {
        for done in ways(token, secret) {
            assert!(!done.err.contains(&secret[3..20]), "{}", done.err);
            done.expect_error(2, named);
        }
    }
}

#[test]
fn every_secret_of_the_server_is_read_alike() {
    let home = Home::new();
    home.serve(&[]).stop();
    let key = fs::read_to_string(home.path("master.key")).unwrap();
    let token = home.file("token", "");
    let webhook = home.file("webhook", "");
    let webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let serve = |variables: bool, token_is: &str, webhook_is: &str, key_is: &str| {
        let mut command = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--webhook-url", "http://127.0.0.1:9/"]);
        fs::write(home.path("master.key"), key_is).unwrap();
        if variables {
            command.env("TEGATA_ADMIN_TOKEN", token_is).env("TEGATA_WEBHOOK_SECRET", webhook_is);
        } else {
            fs::write(&token, token_is).unwrap();
            fs::write(&webhook, webhook_is).unwrap();
            command.arg("--admin-token-file").arg(&token);
            command.arg("--webhook-secret-file").arg(&webhook);
        }
        command
    };
    let spellings =
        harmless(ADMIN_TOKEN).into_iter().zip(harmless(webhook_secret)).zip(harmless(key.trim()));
    for ((token, webhook), key) in spellings {
        for variables in [true, false] {
            let server = Server::start(&mut serve(variables, &token, &webhook, &key));
            let mut list = home.tegata(&["--url", &server.url, "provider", "list"]);
            finish(list.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)).expect(0);
        }
    }
    for (bad, named) in harmful(ADMIN_TOKEN) {
        for variables in [true, false] {
            finish(&mut serve(variables, &bad, webhook_secret, &key)).expect_error(2, named);
            finish(&mut serve(variables, ADMIN_TOKEN, &bad, &key)).expect_error(2, named);
        }
        finish(&mut serve(true, ADMIN_TOKEN, webhook_secret, &bad)).expect_error(2, named);
    }
    // The server's own file, written by an editor of another system.
    fs::write(home.path("master.key"), &key).unwrap();
    let own = fs::read_to_string(home.path("admin.token")).unwrap();
    fs::write(home.path("admin.token"), format!("\u{feff}{}\r\n", own.trim())).unwrap();
    let server = home.serve(&[]);
    let mut list = home.tegata(&["--url", &server.url, "provider", "list"]);
    finish(list.env("TEGATA_ADMIN_TOKEN_FILE", home.path("admin.token"))).expect(0);
}

#[test]
fn a_copied_token_is_recognized_and_one_that_is_cut_short_is_said_to_be() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    for kind in ["short-lived", "stateless"] {
        let mut issue = desk.command(&["token", "issue", "--channel", &channel, "--kind", kind]);
        issue.args(["-o", "json"]).env("TEGATA_CHANNEL_SECRET", &secret);
        let issued: serde_json::Value =
            serde_json::from_str(&finish(&mut issue).expect(0)).unwrap();
        let token = issued["access_token"].as_str().unwrap();
        for text in [
            format!("\"{token}\""),
            format!("'{token}' "),
            format!("Authorization: Bearer {token}"),
            format!("-H 'authorization: bearer {token}'\r\n"),
            format!("\u{feff}{token}\r\n"),
            format!("\"access_token\": \"{token}\","),
            format!("\u{201c}{token}\u{201d}"),
        ] {
            for verb in ["explain", "verify"] {
                desk.run(&["token", verb, "--", &text]).expect(0);
                finish_with(&mut desk.command(&["token", verb, "-"]), &text).expect(0);
            }
        }
        for length in [token.len() / 4, token.len() / 2, token.len() - 1] {
            for verb in ["explain", "verify", "revoke"] {
                desk.run(&["token", verb, &token[..length]]).expect_error(1, "cut short");
            }
        }
        let quoted = format!("Authorization: Bearer \"{token}\"");
        desk.run(&["token", "revoke", &quoted]).expect(0);
        desk.run(&["token", "verify", token]).expect_error(1, "");
    }
}

/// A certificate authority, a certificate of a server that it signed, and its key.
fn chain() -> [String; 3] {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &root).unwrap();
    [root.pem(), leaf.pem(), key.serialize_pem()]
}

#[test]
fn a_file_that_is_named_where_a_token_is_expected_is_not_sent_as_one() {
    let desk = Desk::new();
    desk.home.file("leaked.log", "some text");
    for words in [["token", "revoke", "leaked.log"], ["token", "verify", "leaked.log"]] {
        let done = finish(&mut desk.command(&words));
        done.expect_error(2, "leaked.log is a file: name `-` and pass the file on stdin");
    }
}

#[test]
fn the_tls_key_is_taken_in_every_form_and_what_it_is_instead_is_named() {
    let home = Home::new();
    let [root, leaf, key] = chain();
    let doctor = |certificate: &str, key: &str| {
        home.file("tls.crt", certificate);
        let file = home.file("tls.key", key);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        let files = ["--tls-cert", "tls.crt", "--tls-key", "tls.key"];
        home.run(&[&["doctor", "--listen", "127.0.0.1:0"], &files[..]].concat())
    };
    let whole = format!("{leaf}{root}");
    for key in [
        key.clone(),
        key.replace('\n', "\\n"),
        format!("\"{}\"", key.trim().replace('\n', "\\n")),
        key.replace('\n', "\n    "),
        format!("\u{feff}{}", key.replace('\n', "\r\n")),
    ] {
        doctor(&whole, &key).expect(0);
        doctor(&whole.replace('\n', "\n  "), &key).expect(0);
    }
    let renamed = |label: &str| key.replace("PRIVATE KEY", label);
    for (certificate, key, said) in [
        (&whole, renamed("ENCRYPTED PRIVATE KEY"), "openssl pkey -in"),
        (&whole, renamed("OPENSSH PRIVATE KEY"), "ssh-keygen -p"),
        (&whole, renamed("PUBLIC KEY"), "a PUBLIC KEY"),
        (&whole, leaf.clone(), "a CERTIFICATE"),
        (&key, key.clone(), "swapped"),
        (&format!("{root}{leaf}"), key.clone(), "the leaf must come first"),
        (&root, key.clone(), "cannot be used together"),
    ] {
        let done = doctor(certificate, &key);
        assert!(done.code == 1 && done.out.contains(said), "{said}: {}", done.out);
    }
}
