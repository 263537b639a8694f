//! The sources of the server's administrator token. A reset either puts a new one in
//! force, or changes nothing and reports why.

use crate::program::{ADMIN_TOKEN, Done, Home, Server, finish};
use std::{fs, os::unix::fs::PermissionsExt};

const OTHER: &str = "the-token-of-another-authority, for tests";

fn serve(home: &Home, words: &[&str], variables: &[(&str, &str)]) -> Server {
    let words = [&["serve", "--listen", "127.0.0.1:0"], words].concat();
    Server::start(home.tegata(&words).envs(variables.iter().copied()))
}

/// Whether the server accepts this token.
fn accepts(home: &Home, server: &Server, token: &str) -> bool {
    let mut list = home.tegata(&["provider", "list"]);
    let done = finish(list.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN", token));
    done.code == 0
}

fn token(home: &Home, file: &str) -> String {
    fs::read_to_string(home.path(file)).unwrap().trim().to_owned()
}

fn reset(home: &Home, words: &[&str]) -> Done {
    home.run(&[&["admin", "reset"], words].concat())
}

#[test]
fn a_server_does_not_read_the_variable_of_the_command_line() {
    let home = Home::new();
    let file = home.file("other.token", OTHER);
    let variable = ("TEGATA_ADMIN_TOKEN_FILE", file.to_str().unwrap());
    let server = serve(&home, &[], &[variable]);
    assert!(!accepts(&home, &server, OTHER));
    let old = token(&home, "admin.token");
    assert!(accepts(&home, &server, &old));
    finish(home.tegata(&["admin", "reset"]).env(variable.0, variable.1)).expect(0);
    assert!(!accepts(&home, &server, &old));
    assert!(accepts(&home, &server, &token(&home, "admin.token")));
    assert_eq!(token(&home, "other.token"), OTHER);
}

#[test]
fn a_reset_of_a_token_from_the_environment_changes_nothing_and_reports_it() {
    let home = Home::new();
    let server = serve(&home, &[], &[("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)]);
    reset(&home, &[]).expect_error(1, "from the variable TEGATA_ADMIN_TOKEN");
    assert!(accepts(&home, &server, ADMIN_TOKEN));
    assert!(!home.path("admin.token").exists());
    assert!(server.stop().success());
    reset(&home, &[]).expect_error(1, "nothing was changed");
}

#[test]
fn a_named_file_is_reset_and_reloaded_and_another_one_is_not_touched() {
    let home = Home::new();
    home.file("named.token", OTHER);
    let server = serve(&home, &["--admin-token-file", "named.token"], &[]);
    assert!(accepts(&home, &server, OTHER));
    reset(&home, &[]).expect_error(1, "--admin-token-file");
    assert!(accepts(&home, &server, OTHER) && !home.path("admin.token").exists());
    reset(&home, &["--admin-token-file", "named.token"]).expect(0);
    assert!(!accepts(&home, &server, OTHER));
    assert!(accepts(&home, &server, &token(&home, "named.token")));
    assert!(server.stop().success());

    home.file("tegata.toml", "admin_token_file = \"named.token\"");
    let server = serve(&home, &[], &[]);
    let old = token(&home, "named.token");
    reset(&home, &[]).expect(0);
    assert!(!accepts(&home, &server, &old));
    assert!(accepts(&home, &server, &token(&home, "named.token")));
}

#[test]
fn a_reset_is_in_the_audit_before_every_later_act() {
    let home = Home::new();
    let server = serve(&home, &[], &[]);
    for number in 0..5 {
        reset(&home, &[]).expect(0);
        let acts = acts_after_one(&home, &server, &format!("Company {number}"));
        assert_eq!(acts, ["provider.create", "admin.reset"]);
    }
    // Also if the first request with a new token is what makes the server notice it.
    for number in 0..5 {
        let new = home.file("new.token", &format!("{}{number}", token(&home, "admin.token")));
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, home.path("admin.token")).unwrap();
        let acts = acts_after_one(&home, &server, &format!("Trust {number}"));
        assert_eq!(acts, ["provider.create", "admin.reset"]);
    }
}

/// Creates a provider, and returns the last two acts of the audit.
fn acts_after_one(home: &Home, server: &Server, name: &str) -> [String; 2] {
    let tegata = |words: &[&str]| {
        let mut command = home.tegata(words);
        command.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
        finish(&mut command).expect(0)
    };
    tegata(&["provider", "create", name]);
    let audit = tegata(&["audit", "list", "-o", "json", "--limit", "2"]);
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    [0, 1].map(|it| audit["events"][it]["act"].as_str().unwrap().to_owned())
}

#[test]
fn a_reset_that_no_server_confirms_fails() {
    let home = Home::new();
    let server = serve(&home, &[], &[]);
    fs::remove_file(home.path("tegata.db.server")).unwrap();
    let old = token(&home, "admin.token");
    reset(&home, &[]).expect_error(1, "left no record");
    assert_eq!(token(&home, "admin.token"), old);
    assert!(accepts(&home, &server, &old));
    assert!(server.stop().success());
    reset(&home, &[]).expect(0);
    let server = serve(&home, &[], &[]);
    assert!(!accepts(&home, &server, &old));
}

#[test]
fn the_master_key_of_another_authority_is_not_rotated() {
    let (own, other) = (Home::new(), Home::new());
    let _own = serve(&own, &[], &[]);
    let theirs = serve(&other, &[], &[]);
    let key = fs::read(other.path("master.key")).unwrap();
    let mut rotate = own.tegata(&["master-key", "rotate"]);
    let file = other.path("admin.token");
    rotate.env("TEGATA_URL", &theirs.url).env("TEGATA_ADMIN_TOKEN_FILE", file);
    finish(&mut rotate).expect_error(1, "nothing was changed");
    assert_eq!(fs::read(other.path("master.key")).unwrap(), key);
}

#[test]
fn a_reset_prints_a_link_for_a_new_administrator_with_a_server_and_without() {
    let home = Home::new();
    let server = serve(&home, &[], &[]);
    let link = |login: &str| {
        let words = ["admin", "reset", "--invite", login, "-o", "json"];
        let mut command = home.tegata(&words);
        let done = finish(command.env("TEGATA_URL", &server.url)).expect(0);
        let result: serde_json::Value = serde_json::from_str(&done).unwrap();
        assert_eq!(result["login"], login);
        result["link"].as_str().unwrap().to_owned()
    };
    assert!(link("mika").starts_with(&format!("{}/console/invitation#", server.url)));
    for name in ["No Login", "1234567890"] {
        let rule =
            "1 to 64 of a-z 0-9 . _ @ + -, beginning with a letter or a digit, and not ten digits";
        reset(&home, &["--invite", name]).expect_error(2, rule);
        home.run(&["admin", "invite", name]).expect_error(2, rule);
        home.run(&["person", "invite", name]).expect_error(2, rule);
    }
    reset(&home, &["--reason", "   "]).expect_error(2, "give 1 to 500 characters");
    let url = server.url.clone();
    assert!(server.stop().success());
    let mut command = home.tegata(&["admin", "reset", "--invite", "aoi"]);
    let done = finish(command.env("TEGATA_URL", &url)).expect(0);
    assert!(done.contains("/console/invitation#"), "{done}");
}
