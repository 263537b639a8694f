//! `tegata serve`: what it prints, which files it leaves, what it refuses, and its exit
//! codes.

use crate::program::{ADMIN_TOKEN, Desk, Done, Home, Server, finish, mode};
use std::{
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn the_first_line_names_the_address_and_sigterm_stops_it_cleanly() {
    let home = Home::new();
    let mut server = home.serve(&[]);
    assert!(server.said()[0].starts_with("listening on http://127.0.0.1:"), "{:?}", server.said());
    assert!(!server.url.ends_with(":0"));
    let log = server.log();
    assert!(server.stop().success());
    let log = log.join().unwrap();
    assert!(log.lines().any(|line| line.ends_with(" stopping")), "{log}");
    assert!(!log.contains("refinery"), "{log}");
}

#[test]
fn a_first_start_leaves_private_files_and_prints_the_first_steps() {
    let home = Home::new();
    let mut server = home.serve(&[]);
    let line = server.line(|line| line.contains("TEGATA_ADMIN_TOKEN_FILE="));
    let file = line.split_once("TEGATA_ADMIN_TOKEN_FILE=").unwrap().1.to_owned();
    assert_eq!(mode(&home.path(&file)), 0o600);
    assert_eq!(mode(&home.path("tegata.db")), 0o600);
    // As the printed lines instruct.
    let export = line.trim();
    let program = env!("CARGO_BIN_EXE_tegata");
    let create = format!("{export}\n'{program}' provider create 'My company'");
    sh(&home, &create).expect(0);
    let token = std::fs::read_to_string(home.path(&file)).unwrap();
    assert!(server.stop().success());

    let mut again = home.serve(&[]);
    again.line(|line| line.contains("the administrator's token is in"));
    assert_eq!(std::fs::read_to_string(home.path(&file)).unwrap(), token);
    let list = format!("export TEGATA_URL={} TEGATA_ADMIN_TOKEN_FILE={file}", again.url);
    let list = sh(&home, &format!("{list}\n'{program}' provider list")).expect(0);
    assert!(list.contains("My company"), "{list}");
}

#[test]
fn the_first_steps_are_printed_until_an_administrator_was_authenticated() {
    let home = Home::new();
    let steps = |server: Server| {
        let out = server.printed();
        assert!(out.contains("the administrator's token is in"), "{out}");
        out.contains("first steps")
    };
    assert!(steps(home.serve(&[])));
    let server = home.serve(&[]);
    let list = |token: &str| {
        let mut command = home.tegata(&["provider", "list"]);
        finish(command.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN", token)).code
    };
    assert_ne!(list(ADMIN_TOKEN), 0);
    assert!(steps(server), "a wrong token authenticates none");

    let server = home.serve(&[]);
    let mut command = home.tegata(&["provider", "list"]);
    command.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
    finish(&mut command).expect(0);
    assert!(steps(server), "it had not happened when it started");
    assert!(!steps(home.serve(&[])));
    home.run(&["admin", "reset"]).expect(0);
    assert!(!steps(home.serve(&[])), "nor after a reset");
}

#[test]
fn a_link_for_the_first_administrator_is_printed_until_there_are_people() {
    let home = Home::new();
    let link = |server: Server| {
        let out = server.printed();
        assert!(out.contains("the console is at http://127.0.0.1:"), "{out}");
        out.split_once("/console/invitation#").map(|(_, it)| it.lines().next().unwrap().to_owned())
    };
    let first = link(home.serve(&[])).unwrap();
    assert!(first.starts_with("tgi_"), "{first}");
    let again = home.serve(&[]).printed();
    assert!(again.contains("was printed at an earlier start and is good until"), "{again}");
    assert!(!again.contains("/console/invitation#"), "the first one stays good: {again}");
    let made = home.run(&["admin", "invite", "mika", "-o", "json"]).expect(0);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let invitation = made["invitation"].as_str().unwrap();
    let link_of_mika = format!("http://127.0.0.1:8080/console/invitation#{invitation}");
    assert_eq!(made["link"], link_of_mika);
    assert_eq!(link(home.serve(&[])), None);
}

#[test]
fn links_of_invitations_lead_to_where_the_settings_say_that_the_console_is() {
    let settings = ["--public-url", "https://a.example", "--console-url", "https://b.example"];
    let first = "https://b.example/console/invitation#tgi_";
    let home = Home::new();
    let printed = home.serve(&settings).printed();
    assert!(printed.contains(first), "{printed}");
    let desk = Desk::with(&settings);
    let made = desk.json(&["person", "invite", "mika"]);
    assert!(made["link"].as_str().unwrap().starts_with(first), "{made}");
    let made = desk.json(&["person", "reset", made["person_id"].as_str().unwrap()]);
    assert!(made["link"].as_str().unwrap().starts_with(first), "{made}");
}

#[test]
fn a_crash_leaves_no_secret_in_a_core_file() {
    let home = Home::new();
    let serve = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
    // No limit on the size of a core file.
    let mut shell = Command::new("sh");
    let words = "ulimit -c unlimited && exec \"$@\"";
    shell.args(["-c", words, "sh"]).arg(serve.get_program()).args(serve.get_args());
    shell.current_dir(home.path("."));
    let status = Server::start(&mut shell).crash();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "{status}");
    assert!(!home.path("core").exists());
}

#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let home = Home::new();
    let _server = home.serve(&[]);
    let second = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    second.expect_error(1, "in use by another process");
}

#[test]
fn dev_opens_only_a_store_of_its_own_kind() {
    let home = Home::new();
    assert!(home.serve(&["--store", "sqlite:real.db"]).stop().success());
    let dev = home.run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--store", "sqlite:real.db"]);
    dev.expect_error(1, "not made with --dev");
    assert!(home.serve(&["--dev", "--store", "sqlite:dev.db"]).stop().success());
    assert!(home.serve(&["--dev", "--store", "sqlite:dev.db"]).stop().success());
    let real = home.run(&["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:dev.db"]);
    real.expect_error(1, "made with --dev");
}

#[test]
fn dev_listens_on_loopback_only_and_leaves_nothing_behind() {
    let home = Home::new();
    home.run(&["serve", "--dev", "--listen", "0.0.0.0:0"]).expect_error(1, "loopback");
    let before = entries(&home.path(""));
    let server = home.serve(&["--dev"]);
    assert_ne!(entries(&home.path("")), before);
    assert!(server.stop().success());
    assert_eq!(entries(&home.path("")), before);
}

#[test]
fn every_line_that_dev_prints_works_when_pasted_into_a_bare_shell() {
    let home = Home::new();
    let mut server = home.serve(&["--dev"]);
    server.line(|line| line.contains(" token revoke --channel "));
    let said = server.said().to_vec();
    let key_file = said.iter().find(|line| line.starts_with("private assertion key")).unwrap();
    let key_file = key_file.rsplit(' ').next().unwrap();
    assert_eq!(mode(Path::new(key_file)), 0o600);
    let (mut pasted, mut exports) = (0, String::new());
    for (what, line) in said.iter().zip(&said[1..]) {
        let Some(what) = what.strip_prefix("# ") else { continue };
        let response = sh(&home, &format!("{exports}{line}"));
        if line.starts_with("export ") {
            exports = format!("{line}\n");
        }
        let expected = match what {
            "issue a stateless token" => r#""expires_in":900"#,
            "issue a short-lived token" => r#""expires_in":2592000"#,
            "verify the short-lived token that was issued at the start" => r#""expires_in":"#,
            "verify it as a gateway does: 200" => "200 OK",
            "list the channel's tokens" => r#""tokens":["#,
            "revoke it" => "",
            "verify it again: 401" => "401 Unauthorized",
            "issue a long-lived token" => r#""access_token":"tgl_"#,
            clock if clock.starts_with("move the clock forward by an hour") => r#""now_unix":"#,
            "issue a v2.1 token" => "access_token",
            "let the command line administer this server" => "",
            explain if explain.starts_with("look up the token") => "state         revoked",
            revoke if revoke.starts_with("revoke all tokens") => "complete, effective at ",
            other => panic!("an unknown line: {other}"),
        };
        assert!(response.out.contains(expected), "{what}: {response:?}");
        let refused = response.out.contains("error") || response.out.contains(" 401 ");
        assert_eq!(refused, what == "verify it again: 401", "{what}: {response:?}");
        response.expect(0);
        pasted += 1;
    }
    assert_eq!(pasted, 13);
}

#[test]
fn settings_come_from_flag_environment_and_file_in_this_order() {
    let home = Home::new();
    home.file("tegata.toml", "listen = \"127.0.0.1:0\"\nstore = \"sqlite:of-file.db\"\n");
    let start = |words: &[&str], variable: Option<&str>| {
        let mut command = home.tegata(words);
        if let Some(store) = variable {
            command.env("TEGATA_STORE", store);
        }
        assert!(Server::start(&mut command).stop().success());
    };
    start(&["serve"], None);
    assert!(home.path("of-file.db").exists() && !home.path("tegata.db").exists());
    start(&["serve"], Some("sqlite:of-variable.db"));
    assert!(home.path("of-variable.db").exists());
    start(&["serve", "--store", "sqlite:of-flag.db"], Some("sqlite:unused.db"));
    assert!(home.path("of-flag.db").exists() && !home.path("unused.db").exists());
}

#[test]
fn a_variable_that_is_empty_counts_as_unset() {
    let home = Home::new();
    home.file("tegata.toml", "listen = \"127.0.0.1:0\"\nstore = \"sqlite:of-file.db\"\n");
    let mut command = home.tegata(&["serve"]);
    for name in
        ["TEGATA_STORE", "TEGATA_LISTEN", "TEGATA_MAX_CONNECTIONS", "TEGATA_DEV", "TEGATA_URL"]
    {
        command.env(name, "");
    }
    assert!(Server::start(&mut command).stop().success());
    assert!(home.path("of-file.db").exists());
}

#[test]
fn a_setting_that_is_wrong_is_named() {
    let home = Home::new();
    let serve = |words: &[&str]| home.run(&[&["serve", "--listen", "127.0.0.1:0"], words].concat());
    home.file("typo.toml", "listn = \"127.0.0.1:8080\"\n");
    serve(&["--config", "typo.toml"]).expect_error(2, "`listn`");
    serve(&["--config", "none.toml"]).expect_error(2, "--config none.toml: No such file");
    let tls = ["--tls-cert", "none.pem", "--tls-key", "none.key"];
    serve(&tls).expect_error(2, "the certificate none.pem (tls_cert): No such file");
    let elsewhere = home.run(&["serve", "--listen", "192.0.2.1:0"]);
    elsewhere.expect_error(1, "this machine has no such address");
    serve(&["--store", "postgres://localhost/tegata"]).expect_error(2, "master_key_file");
    serve(&["--max-connections", "0"]).expect_error(2, "--max-connections");
    home.file("none.toml", "connections = 0\n");
    serve(&["--config", "none.toml"]).expect_error(2, "connections");
    std::fs::remove_file(home.path("none.toml")).unwrap();
    serve(&["--log", "a=b=c"]).expect_error(2, "--log");
    home.file("bad.toml", "\ndrain_delay = 61\n");
    serve(&["--config", "bad.toml"])
        .expect_error(2, "bad.toml: line 2 (drain_delay): give 0s to 1m");
    std::fs::remove_file(home.path("bad.toml")).unwrap();
    let mut variable = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
    let variable = finish(variable.env("TEGATA_TRUSTED_PROXY", "10.0.0.1,10.0.0"));
    variable.expect_error(2, "from the variable TEGATA_TRUSTED_PROXY");
    let mut short = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
    finish(short.env("TEGATA_ADMIN_TOKEN", "short")).expect_error(2, "32 characters");
    assert_eq!(entries(&home.path("")), ["typo.toml"]);
}

#[test]
fn the_reason_for_a_failed_start_is_printed_once() {
    let home = Home::new();
    let serve = |words: &[&str]| home.run(&[&["serve", "--listen", "127.0.0.1:0"], words].concat());
    let said = "cannot open the store no/such.db: its folder is not there; create it";
    serve(&["--store", "sqlite:no/such.db"]).expect_error(1, said);
    // A fresh file of everybody's, and not a master key.
    let key = home.file("open.key", "");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let refused = serve(&["--master-key-file", "open.key"]);
    assert_eq!(refused.err.matches("can be read by others").count(), 1, "{}", refused.err);
    refused.expect_error(2, "the master key: ");
}

#[test]
fn the_server_stops_when_its_store_cannot_write() {
    let home = Home::new();
    // No file may grow beyond 512 KiB: to the server, a disk that fails.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" serve --listen 127.0.0.1:0";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_tegata")]).current_dir(home.path(""));
    let server = Server::start(shell.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
    let ask = |server: &Server, words: &[&str]| {
        let mut command = home.tegata(words);
        command.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
        finish(&mut command)
    };
    let mut made = 0;
    let refused = loop {
        let done = ask(&server, &["provider", "create", "Company"]);
        if done.code != 0 || made == 500 {
            break done;
        }
        made += 1;
    };
    // The request is refused or cut off; in no case is it confirmed.
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(server.end().code(), Some(1));

    // On a disk that works it serves again, and has everything that it confirmed.
    let mut command = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
    let list = ask(&server, &["provider", "list", "--limit", "1000"]).expect(0);
    let kept = list.lines().count() - 1;
    assert!(kept == made || kept == made + 1, "{made} were confirmed, {kept} are there");
}

#[test]
fn the_log_can_be_read_by_programs() {
    let home = Home::new();
    let mut command = home.tegata(&["serve", "--dev", "--listen", "127.0.0.1:0"]);
    command.env("TEGATA_LOG_FORMAT", "json").env("TEGATA_LOG", "debug");
    let mut server = Server::start(&mut command);
    let log = server.log();
    assert!(server.stop().success());
    let log = log.join().unwrap();
    assert!(log.contains("--dev"), "it must say what it is: {log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

/// Runs a script in a shell with no variable but PATH.
fn sh(home: &Home, script: &str) -> Done {
    let programs = Path::new(env!("CARGO_BIN_EXE_tegata")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env_clear().env("PATH", path);
    finish(shell.current_dir(home.path("")).stdin(Stdio::null()))
}

/// The names in a folder, sorted.
fn entries(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}
