//! People on the command line: from the first invitation to a personal token, without the
//! root administrator's token.

use crate::{
    program::{Desk, Done, Home, Server, finish, finish_with},
    terminal::typed,
};
use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
    time::{SystemTime, UNIX_EPOCH},
};
use tegata_policy::totp;
use tegata_token::time::UnixTime;

const PASSWORD: &str = "correct horse battery staple";

#[expect(clippy::disallowed_methods, reason = "the authority runs by the real clock")]
fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime(i64::try_from(since.as_secs()).unwrap())
}

/// A code of the authenticator with this secret, so many steps from now.
fn code(secret: &str, steps: i64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    format!("{:06}", totp::code(&secret, totp::step_at(now()) + steps))
}

/// Accepts an invitation as a program does; gives the secret of the second factor and what
/// was printed.
fn accept(home: &Home, url: &str, invitation: &str) -> (String, Value) {
    let mut command = home.tegata(&["person", "accept", "-o", "json"]);
    let pipes = command.env("TEGATA_URL", url).env_remove("TEGATA_ADMIN_TOKEN");
    let pipes = pipes.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = pipes.spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    writeln!(input, "{invitation}\n{PASSWORD}").unwrap();
    let said = BufReader::new(running.stderr.take().unwrap());
    let mut lines = said.lines().map(|line| line.unwrap().trim().to_owned());
    let is_secret = |it: &String| it.len() == 52 && BASE32_NOPAD.decode(it.as_bytes()).is_ok();
    let secret = lines.find(is_secret).expect("it shows the secret");
    // A mistyped code is asked for again.
    writeln!(input, "000000x\n{}", code(&secret, -1)).unwrap();
    drop(input);
    let mut printed = String::new();
    running.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(running.wait().unwrap().success(), "{rest:?}");
    (secret, serde_json::from_str(&printed).unwrap())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Signs in and creates a personal token with all rights, as a program does.
fn personal_token(home: &Home, url: &str, login: &str, secret: &str) -> Value {
    let words = ["admin-token", "create", "laptop", "--sign-in", login, "--rights", "full"];
    let mut create = home.tegata(&[&words[..], &["-o", "json"]].concat());
    let create = create.env("TEGATA_URL", url).env_remove("TEGATA_ADMIN_TOKEN");
    let typed = format!("{PASSWORD}\n{}\n", code(secret, 0));
    serde_json::from_str(&finish_with(create, &typed).expect(0)).unwrap()
}

/// Accepts an invitation, and returns commands of the person by a personal token.
fn accepted(desk: &Desk, home: &Home, invited: &Value) -> impl Fn(&[&str]) -> Done {
    let (secret, _) = accept(home, &desk.server.url, text(invited, "invitation"));
    let made = personal_token(home, &desk.server.url, text(invited, "login"), &secret);
    move |words| {
        let mut command = home.tegata(words);
        let token = text(&made, "admin_token");
        finish(command.env("TEGATA_URL", &desk.server.url).env("TEGATA_ADMIN_TOKEN", token))
    }
}

#[test]
fn the_admin_of_a_channel_alone_revokes_its_tokens_by_a_personal_token() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let words = ["person", "invite", "aoi", "--channel", &channel, "--role", "admin"];
    let invited = desk.json(&words);
    let home = Home::new();
    let by = accepted(&desk, &home, &invited);
    // The provider's name is not for the Admin of a channel.
    let revoke = ["token", "revoke", "--channel", &channel, "--all"];
    let dry = by(&[&revoke[..], &["--dry-run"]].concat()).expect(0);
    assert!(dry.contains(&channel), "{dry}");
    by(&[&revoke[..], &["--yes"]].concat()).expect(0);
    by(&["provider", "list"]).expect(0);
}

#[test]
fn a_token_that_a_person_may_not_read_does_not_hinder_the_revocation_of_the_others() {
    let desk = Desk::new();
    let [own, other] = [desk.channel(), desk.channel()];
    let words = ["person", "invite", "aoi", "--channel", &own.0, "--role", "admin"];
    let invited = desk.json(&words);
    let id = text(&invited, "person_id");
    desk.run(&["person", "set-role", id, "--channel", &other.0, "tester"]).expect(0);
    let issue = |(channel, secret): &(String, String)| {
        let words = ["token", "issue", "--channel", channel, "--kind", "short-lived", "-o", "json"];
        let mut issue = desk.command(&words);
        let printed = finish(issue.env("TEGATA_CHANNEL_SECRET", secret)).expect(0);
        let issued: Value = serde_json::from_str(&printed).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let home = Home::new();
    let by = accepted(&desk, &home, &invited);
    let log = home.path("leaked.log");
    std::fs::write(&log, format!("{}\n{}\n", issue(&other), issue(&own))).unwrap();
    let log = log.to_str().unwrap();
    let explained = by(&["token", "explain", log, "-o", "json"]).expect(0);
    let explained: Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["forbidden"][0]["line"], 1, "{explained}");
    assert_eq!(explained["tokens"][0]["channel_id"], *own.0, "{explained}");
    let revoked = by(&["token", "explain", log, "--revoke", "--yes"]);
    revoked.expect_error(1, "1 token in channels whose tokens you may not read");
    let again = by(&["token", "explain", log, "-o", "json"]).expect(0);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["tokens"][0]["state"], "revoked", "{again}");
}

#[test]
fn an_administrator_is_invited_without_a_server_and_works_by_a_personal_token() {
    let home = Home::new();
    let first = Server::start(&mut home.tegata(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(first.stop().success());
    let invited = home.run(&["admin", "invite", "mika@example.com", "-o", "json"]).expect(0);
    let invited: Value = serde_json::from_str(&invited).unwrap();
    let again = home.run(&["admin", "invite", "mika@example.com"]);
    again.expect_error(1, "a person with this sign-in name exists; choose another name");

    let server = Server::start(&mut home.tegata(&["serve", "--listen", "127.0.0.1:0"]));
    let (secret, accepted) = accept(&home, &server.url, text(&invited, "invitation"));
    assert_eq!(accepted["recovery_codes"].as_array().unwrap().len(), 10);
    let made = personal_token(&home, &server.url, "mika@example.com", &secret);

    // While the server runs.
    let beside = || {
        let mut command = home.tegata(&["admin", "invite", "ren", "--name", "Ren"]);
        command.env("TEGATA_URL", &server.url);
        command
    };
    let file = home.path("admin.token").canonicalize().unwrap();
    let next = format!("add --admin-token-file {}", file.display());
    finish(&mut beside()).expect_error(2, &next);
    let mut beside = beside();
    beside.env("TEGATA_ADMIN_TOKEN_FILE", home.path("admin.token"));
    assert!(finish(&mut beside).expect(0).contains("tgi_"));

    let by = |words: &[&str]| {
        let mut command = home.tegata(words);
        command
            .env("TEGATA_URL", &server.url)
            .env("TEGATA_ADMIN_TOKEN", text(&made, "admin_token"));
        finish(&mut command)
    };
    by(&["provider", "create", "Shops"]).expect(0);
    let actor = format!("person {}", text(&invited, "person_id"));
    let acts = by(&["audit", "list", "--actor", &actor]).expect(0);
    assert!(acts.contains("provider.create") && acts.contains("admin-token.create"), "{acts}");
    let all = by(&["audit", "list", "-o", "json"]).expect(0);
    let all: Value = serde_json::from_str(&all).unwrap();
    let events = all["events"].as_array().unwrap().len();
    let table = by(&["audit", "list"]).expect(0);
    let (head, rows) = table.split_once('\n').unwrap();
    let object = head.find("OBJECT").unwrap();
    let is_named = |row: &&str| row.get(object..).is_some_and(|it| !it.starts_with('-'));
    assert_eq!(rows.lines().filter(is_named).count(), events, "{table}");
    let signed_in = format!("person {} (mika@example.com)", text(&invited, "person_id"));
    assert!(acts.contains(&signed_in), "{acts}");
    let listed = by(&["admin-token", "list"]).expect(0);
    assert!(listed.contains("laptop") && !listed.contains("tgp_"), "{listed}");
    let own = text(&made, "admin_token_id");
    let dry = by(&["admin-token", "delete", own, "--dry-run"]).expect(0);
    assert!(dry.starts_with("would delete personal token"), "{dry}");
    // It signs in itself, so a dry run has deleted nothing.
    by(&["admin-token", "delete", own]).expect(0);
    by(&["provider", "list"]).expect_error(1, "refused");
}

#[test]
fn people_are_invited_given_roles_disabled_reset_and_deleted() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let invited =
        desk.json(&["person", "invite", "aoi", "--channel", &channel, "--role", "tester"]);
    let id = text(&invited, "person_id");
    let listed = desk.run(&["person", "list", "--channel", &channel]).expect(0);
    assert!(listed.contains("aoi") && listed.contains("tester"), "{listed}");
    let member = desk.json(&["person", "set-role", id, "--channel", &channel, "member"]);
    assert_eq!(member["role"], "member");
    let none = desk.json(&["person", "set-role", id, "--channel", &channel, "--remove"]);
    assert_eq!(none["role"], Value::Null);
    let auditor = desk.json(&["person", "set-role", id, "--operator", "auditor"]);
    assert_eq!(auditor["operator"], "auditor");
    desk.run(&["person", "set-role", id, "auditor"]).expect_error(2, "--operator");
    desk.run(&["person", "set-role", id, "--operator", "king"])
        .expect_error(2, "on-call or auditor");
    assert_eq!(desk.json(&["person", "disable", id])["state"], "disabled");
    assert_eq!(desk.json(&["person", "enable", id])["state"], "invited");
    assert_eq!(desk.json(&["person", "set", id, "--name", "Aoi"])["name"], "Aoi");
    assert!(text(&desk.json(&["person", "reset", id]), "invitation").starts_with("tgi_"));
    let all = desk.run(&["person", "list", "--search", "aoi"]).expect(0);
    assert!(all.contains("Aoi") && !all.contains("mika"), "{all}");
    let dry = desk.json(&["person", "delete", id, "--dry-run"]);
    assert_eq!(dry["would_delete"]["person_id"], id);
    desk.run(&["person", "delete", id]).expect(0);
    desk.run(&["person", "show", id]).expect_error(1, "no such person");
}

#[test]
fn a_role_that_cannot_be_read_is_given_up_and_taken_away_in_what_is_deleted() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let invited =
        desk.json(&["person", "invite", "aoi", "--channel", &channel, "--role", "tester"]);
    let id = text(&invited, "person_id");
    let remove = ["person", "set-role", id, "--channel", &channel, "--remove"];
    let dry_run = [&remove[..], &["--dry-run"]].concat();
    let home = Home::new();
    let (secret, _) = accept(&home, &desk.server.url, text(&invited, "invitation"));
    let made = personal_token(&home, &desk.server.url, "aoi", &secret);
    let by = |words: &[&str]| {
        let mut command = home.tegata(words);
        let token = text(&made, "admin_token");
        command.env("TEGATA_URL", &desk.server.url).env("TEGATA_ADMIN_TOKEN", token);
        command
    };
    // A tester may not read who has which role there.
    let question = format!("person {id}: role in channel {channel}");
    let asked = typed(&by(&remove), "no");
    for part in [&*question, "is taken away", "Type yes to go on: ", "nothing was changed"] {
        assert!(asked.out.contains(part), "it lacks {part}: {}", asked.out);
    }
    let would = finish(&mut by(&dry_run)).expect(0);
    assert!(would.contains(&question), "{would}");
    let done = typed(&by(&remove), "yes");
    assert_eq!(done.code, 0, "{}", done.out);

    desk.run(&["person", "set-role", id, "--channel", &channel, "member"]).expect(0);
    desk.run(&["channel", "delete", &channel]).expect(0);
    let would = desk.json(&dry_run);
    assert_eq!((&would["dry_run"], &would["would_remove"]), (&Value::Bool(true), &Value::Null));
    let done = typed(&desk.command(&remove), "yes");
    assert!(done.code == 0 && done.out.contains(&question), "{}", done.out);
}
