//! Commands on a terminal, which show what goes and ask before they take it away.

use crate::program::{Desk, Done, finish};
use serde_json::{Value, json};
use std::process::Command;

/// Runs a command on a pseudo-terminal, types `argv[1]` after the first question, and
/// prints what the terminal shows.
const TERMINAL: &str = r#"
import os, pty, sys

answer = sys.argv[1].encode() + b"\n"
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    shown += more
    if shown.endswith(b"Type yes to go on: "):
        os.write(terminal, answer)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"#;

/// The command on a terminal where `answer` is typed.
pub fn typed(command: &Command, answer: &str) -> Done {
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, answer]).arg(command.get_program()).args(command.get_args());
    python.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    finish(&mut python)
}

fn is_active(desk: &Desk, token: &str) -> bool {
    desk.run(&["token", "verify", token]).code == 0
}

#[test]
fn a_destructive_command_asks_on_a_terminal_and_does_nothing_without_a_yes() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let (kid, issued) = (desk.json(&["key", "generate", "--channel", &channel]), &channel);
    let kid = kid["kid"].as_str().unwrap().to_owned();
    let made = desk.json(&["token", "reissue", "--channel", issued]);
    let (token, id) = (made["access_token"].as_str().unwrap(), made["token_id"].as_str().unwrap());
    let signing_keys = desk.json(&["signing-key", "list"]);
    let signing_key = signing_keys["signing_keys"][0]["kid"].as_str().unwrap().to_owned();
    for words in [
        &["token", "revoke", "--channel", &channel, "--all"][..],
        &["token", "revoke", "--channel", &channel, "--kind", "long-lived"],
        &["token", "revoke", "--everything"],
        &["signing-key", "revoke", &signing_key],
        &["channel", "suspend", &channel],
        &["channel", "rotate-secret", &channel, "--revoke-tokens", "all"],
        &["channel", "delete", &channel],
    ] {
        let refused = typed(&desk.command(words), "no");
        assert_eq!(refused.code, 1, "{words:?}: {}", refused.out);
        for part in [id, "long-lived", "Type yes to go on: ", "nothing was changed"] {
            assert!(refused.out.contains(part), "{words:?} does not show {part}: {}", refused.out);
        }
        assert!(is_active(&desk, token), "{words:?}");
    }
    let words = ["key", "delete", "--channel", &channel, &kid];
    assert_eq!(typed(&desk.command(&words), "y").code, 1);
    assert_eq!(desk.json(&["key", "list", "--channel", &channel])["assertion_keys"][0]["kid"], kid);

    let suspended = typed(&desk.command(&["channel", "suspend", &channel]), "yes");
    assert_eq!(suspended.code, 0, "{}", suspended.out);
    assert_eq!(desk.json(&["channel", "show", &channel])["state"], "suspended");
    desk.run(&["channel", "resume", &channel]).expect(0);
    let one =
        typed(&desk.command(&["token", "revoke", "--channel", &channel, "--token-id", id]), "");
    assert_eq!(one.code, 0, "one token is named, and needs no question: {}", one.out);
    let deleted = typed(&desk.command(&["channel", "delete", &channel, "--yes"]), "");
    assert_eq!(deleted.code, 0, "{}", deleted.out);
    assert!(!deleted.out.contains("Type yes"), "{}", deleted.out);
}

#[test]
fn a_dry_run_lists_the_tokens_with_the_contact_of_their_groups() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let kitchen = ["--channel", &channel, "kitchen", "--contact", "chef@example"];
    desk.json(&[&["group", "set"], &kitchen[..]].concat());
    let issue = ["token", "issue", "--channel", &channel, "--kind", "short-lived"];
    for group in [&["--group", "kitchen"][..], &[]] {
        let mut command = desk.command(&[&issue[..], group].concat());
        finish(command.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    }
    let everything = desk.run(&["token", "revoke", "--everything", "--dry-run"]).expect(0);
    assert!(everything.starts_with("CHANNEL ID  TOKEN ID "), "{everything}");
    assert!(everything.contains(&format!("{channel}  ")), "{everything}");
    assert!(everything.contains("kitchen  chef@example"), "{everything}");
    for words in [&["channel", "delete", &channel][..], &["channel", "suspend", &channel]] {
        let table = desk.run(&[words, &["--dry-run"]].concat()).expect(0);
        let head = |line: &&str| line.starts_with("TOKEN ID ");
        let lines: Vec<&str> = table.lines().skip_while(|line| !head(line)).collect();
        let head = lines[0].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(head, "TOKEN ID KIND GROUP CONTACT LAST USED AT", "{table}");
        assert!(lines[1].ends_with("short-lived  -        -             -"), "{table}");
        assert!(lines[2].contains("kitchen  chef@example"), "{table}");
        assert!(lines[3].is_empty(), "{table}");
        let counted = lines[4..].iter().find(|line| line.starts_with("would_")).unwrap();
        assert!(counted.ends_with(" 2"), "{table}");
    }
}

#[test]
fn every_act_prints_its_receipt_on_one_line_and_records_its_reason() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let kid = desk.json(&["key", "generate", "--channel", &channel, "--group", "kitchen"]);
    let kid = kid["kid"].as_str().unwrap().to_owned();
    desk.run(&["group", "set", "--channel", &channel, "kitchen", "--cap", "2"]).expect(0);
    let signing_keys = desk.json(&["signing-key", "list"]);
    let signing_key = signing_keys["signing_keys"][0]["kid"].as_str().unwrap().to_owned();
    for (act, words) in [
        ("token.issue", &["token", "reissue", "--channel", &channel][..]),
        ("token.revoke", &["token", "revoke", "--channel", &channel, "--all"]),
        ("channel.rotate-secret", &["channel", "rotate-secret", &channel, "--keep-previous", "60"]),
        ("channel.delete-previous-secret", &["channel", "delete-previous-secret", &channel]),
        ("channel.suspend", &["channel", "suspend", &channel]),
        ("key.delete", &["key", "delete", "--channel", &channel, &kid]),
        ("group.delete", &["group", "delete", "--channel", &channel, "kitchen"]),
        ("channel.delete", &["channel", "delete", &channel]),
        ("signing-key.revoke", &["signing-key", "revoke", &signing_key]),
        ("signing-key.revoke-all", &["token", "revoke", "--everything"]),
    ] {
        let reason = ["--reason", "left the company", "--wait", "1"];
        let done = desk.run(&[words, &reason].concat()).expect(0);
        let receipts: Vec<_> = done.lines().filter(|it| it.starts_with("receipt ")).collect();
        assert_eq!(receipts.len(), 1, "{done}");
        assert!(receipts[0].contains(" complete, effective at 20"), "{done}");
        assert!(done.lines().any(|it| it.starts_with("position ")), "{done}");
        let audit = desk.json(&["audit", "list", "--act", act, "--limit", "1"]);
        let event: &Value = &audit["events"][0];
        assert_eq!(event["reason"], json!("left the company"), "{event}");
    }
}

#[test]
fn what_takes_away_without_revoking_tokens_asks_on_a_terminal_too() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let verifier = desk.json(&["verifier", "create", "gateway"])["verifier_id"].clone();
    let verifier = verifier.as_str().unwrap();
    let first = desk.json(&["token", "reissue", "--channel", &channel]);
    let token = first["access_token"].as_str().unwrap();
    for (words, shown) in [
        (&["verifier", "remove-instance", verifier, "--all"][..], "gateway"),
        (&["token", "reissue", "--channel", &channel], "long-lived"),
        (&["channel", "rotate-secret", &channel], "shop"),
    ] {
        let refused = typed(&desk.command(words), "no");
        for part in [shown, "Type yes to go on: ", "nothing was changed"] {
            assert!(refused.out.contains(part), "{words:?} lacks {part}: {}", refused.out);
        }
        let agreed = [words, &["--yes"]].concat();
        assert!(is_active(&desk, token));
        if words[1] != "reissue" {
            let done = typed(&desk.command(&agreed), "no");
            assert!(!done.out.contains("Type yes"), "{agreed:?}: {}", done.out);
        }
    }
    let keeps = ["channel", "rotate-secret", &channel, "--keep-previous", "60"];
    assert!(!typed(&desk.command(&keeps), "no").out.contains("Type yes"), "nothing goes at once");
    let dry = desk.run(&["verifier", "remove-instance", verifier, "--all", "--dry-run"]).expect(0);
    assert!(dry.contains("gateway"), "{dry}");
}

#[test]
fn what_keeps_the_store_asks_before_it_replaces_a_token_or_revokes_everything() {
    let desk = Desk::with(&["--store", "sqlite:tegata.db"]);
    for words in [
        &["admin", "reset"][..],
        &["recover", "--revoke-everything"],
        &["master-key", "rotate"],
        &["recover", "--replay", "none.log"],
        &["restore", "none.db"],
    ] {
        let words = [words, &["--store", "sqlite:tegata.db"]].concat();
        let refused = typed(&desk.home.tegata(&words), "no");
        assert_eq!(refused.code, 1, "{words:?}: {}", refused.out);
        for part in ["Type yes to go on: ", "nothing was changed"] {
            assert!(refused.out.contains(part), "{words:?} lacks {part}: {}", refused.out);
        }
        let agreed = typed(&desk.home.tegata(&[&words[..], &["--yes"]].concat()), "no");
        assert!(!agreed.out.contains("Type yes"), "{words:?}: {}", agreed.out);
    }
}

#[test]
fn a_role_is_taken_away_after_a_question() {
    let desk = Desk::new();
    let made = desk.json(&["person", "invite", "ana", "--operator", "--role", "auditor"]);
    let person = made["person_id"].as_str().unwrap();
    let remove = ["person", "set-role", person, "--operator", "--remove"];
    let refused = typed(&desk.command(&remove), "no");
    for part in ["ana", "auditor", "Type yes to go on: ", "nothing was changed"] {
        assert!(refused.out.contains(part), "it lacks {part}: {}", refused.out);
    }
    let dry = desk.json(&[&remove[..], &["--dry-run"]].concat());
    assert_eq!(dry["would_remove"], "auditor", "{dry}");
    assert_eq!(desk.json(&["person", "show", person])["operator"], "auditor");
    desk.run(&remove).expect(0);
    assert_eq!(desk.json(&["person", "show", person])["operator"], Value::Null);
}
