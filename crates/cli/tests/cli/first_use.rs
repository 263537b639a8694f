//! What a user who has not seen the program before reads: dry runs, empty lists, wrong ids,
//! hints.

use crate::{
    program::{Desk, Home, finish, finish_with},
    verify_proxy::{start, until_ready_is, verifier},
};

/// A channel with a group, its key and a token, and its provider.
fn shop(desk: &Desk) -> (String, String, String) {
    let provider = desk.json(&["provider", "create", "Company"])["provider_id"].clone();
    let provider = provider.as_str().unwrap().to_owned();
    let made = desk.json(&["channel", "create", "--provider", &provider, "Night shop"]);
    let channel = made["channel_id"].as_str().unwrap().to_owned();
    desk.run(&["group", "set", "--channel", &channel, "blue", "--contact", "Ann"]).expect(0);
    let made = desk.json(&["key", "generate", "--channel", &channel, "--group", "blue"]);
    (provider, channel, made["kid"].as_str().unwrap().to_owned())
}

#[test]
fn a_dry_run_names_the_object_and_lists_the_keys_and_groups_that_go() {
    let desk = Desk::new();
    let (provider, channel, kid) = shop(&desk);
    let dry = |words: &[&str]| desk.run(&[words, &["--dry-run"]].concat()).expect(0);
    let deleted = dry(&["channel", "delete", &channel]);
    for part in ["Night shop", "Company", "blue", "Ann", &kid, "would_delete_keys    1"] {
        assert!(deleted.contains(part), "{part}: {deleted}");
    }
    for (words, with_key) in [
        (&["channel", "suspend", &channel][..], false),
        (&["channel", "rotate-secret", &channel], false),
        (&["group", "delete", "--channel", &channel, "blue"], true),
        (&["key", "delete", "--channel", &channel, &kid], true),
        (&["token", "revoke", "--channel", &channel, "--all"], false),
        (&["token", "reissue", "--channel", &channel], false),
    ] {
        let shown = dry(words);
        assert!(shown.contains("Night shop") && shown.contains("Company"), "{words:?}: {shown}");
        assert_eq!(shown.contains("would_delete_keys"), with_key, "{words:?}: {shown}");
        assert_eq!(shown.contains(&kid), with_key, "{words:?}: {shown}");
    }
    assert!(dry(&["token", "revoke", "--provider", &provider]).contains("Company"));
    desk.run(&["channel", "delete", &channel]).expect(0);
    assert!(dry(&["provider", "delete", &provider]).contains("Company"));
}

#[test]
fn the_limits_of_a_verifier_have_units() {
    let desk = Desk::new();
    let made = ["verifier", "create", "gateway", "--max-staleness", "1500ms"];
    let made = desk.run(&made).expect(0);
    assert!(made.contains("max_staleness   1500ms"), "{made}");
    let id = desk.json(&["verifier", "list"])["verifiers"][0]["verifier_id"].clone();
    let id = id.as_str().unwrap();
    desk.run(&["verifier", "set", id, "--max-staleness", "5m"]).expect(0);
    for words in [&["verifier", "list"][..], &["verifier", "show", id]] {
        let shown = desk.run(words).expect(0);
        assert!(shown.contains("300s") && !shown.contains("300000"), "{words:?}: {shown}");
    }
    assert_eq!(desk.json(&["verifier", "show", id])["max_staleness"], 300_000);
}

#[test]
fn a_name_in_place_of_an_id_is_refused_with_the_command_that_finds_the_id() {
    let desk = Desk::new();
    for (words, next) in [
        (&["verifier", "show", "my gateway"][..], "tegata verifier list"),
        (&["channel", "show", "shop"], "tegata channel list --search shop"),
        (&["channel", "show", "my shop"], "tegata channel list --search 'my shop'"),
        (&["token", "list", "--channel", "shop"], "tegata channel list --search shop"),
        (&["provider", "show", "Company"], "tegata provider list --search Company"),
        (&["key", "delete", "--channel", "1234567890", "blue"], "tegata key list --search blue"),
        (
            &["key", "delete", "--channel", "1234567890", "--", "-qz"],
            "tegata key list --search=-qz",
        ),
        (&["token", "show", "--channel", "1234567890", "x"], "tegata token list --channel"),
        (&["signing-key", "revoke", "x"], "tegata signing-key list"),
        (&["receipt", "show", "x"], "the position is in the output of the act"),
    ] {
        desk.run(words).expect_error(2, next);
    }
    for (words, next) in [
        (&["verifier", "show", "1234567890"][..], "tegata verifier list"),
        (&["channel", "show", "1234567890"], "tegata channel list"),
        (&["provider", "show", "1234567890"], "tegata provider list"),
        (&["receipt", "show", "1-999"], "the position is in the output of the act"),
    ] {
        desk.run(words).expect_error(1, next);
    }
    let (_, channel, _) = shop(&desk);
    let words = ["token", "show", "--channel", &channel, "AAAAAAAAAAAAAAAAAAAAAA"];
    desk.run(&words).expect_error(1, "tegata token list --channel");
}

#[test]
fn a_second_object_of_the_same_name_is_noted() {
    let desk = Desk::new();
    let (provider, ..) = shop(&desk);
    desk.run(&["verifier", "create", "gateway"]).expect(0);
    for words in [
        &["verifier", "create", "gateway"][..],
        &["provider", "create", "Company"],
        &["channel", "create", "--provider", &provider, "Night shop"],
    ] {
        let done = desk.run(words);
        assert!(done.err.contains("note: another"), "{words:?}: {done:?}");
        done.expect(0);
    }
    assert_eq!(desk.run(&["verifier", "create", "other"]).err, "");
}

#[test]
fn a_list_without_rows_says_so_on_stderr() {
    let desk = Desk::new();
    let (_, channel, _) = shop(&desk);
    for (words, what) in [
        (&["key", "list", "--search", "nope"][..], "no assertion keys found"),
        (&["provider", "list", "--search", "nope"], "no providers found"),
        (&["channel", "list", "--search", "nope"], "no channels found"),
        (&["verifier", "list"], "no verifiers found"),
        (&["warning", "list"], "no warnings found"),
        (&["token", "list", "--channel", &channel], "no tokens found"),
        (&["audit", "list", "--actor", "nope"], "no events found"),
    ] {
        let done = desk.run(words);
        assert!(done.err.contains(what), "{words:?}: {done:?}");
        assert!(desk.run(&[words, &["-o", "json"]].concat()).err.is_empty());
    }
    assert_eq!(desk.run(&["channel", "list"]).err, "");
}

#[test]
fn an_act_prints_what_it_did_and_no_settings_without_a_value() {
    let desk = Desk::new();
    let made = desk.run(&["provider", "create", "Shops"]).expect(0);
    let members = |text: &str| -> Vec<String> {
        text.lines().map(|it| it.split_whitespace().next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(members(&made), ["provider_id", "name", "created_at"]);
    let listed = desk.run(&["provider", "list"]).expect(0);
    assert!(!listed.contains("REVOCATION"), "{listed}");
    let (_, channel, _) = shop(&desk);
    let suspend = desk.run(&["channel", "suspend", &channel, "--yes"]);
    let again = format!("valid again after `tegata channel resume {channel}`; revoke what leaked");
    assert!(suspend.err.contains(&again), "{suspend:?}");
    let done = suspend.expect(0);
    let first = ["channel_id", "name", "state"];
    let suspended = ["suspended_tokens", "position", "receipt", "stateless_too"];
    assert_eq!(members(&done), [&first[..], &suspended].concat(), "{done}");
    let resumed = members(&desk.run(&["channel", "resume", &channel]).expect(0));
    assert_eq!(resumed, [&first[..], &["position", "receipt"]].concat());
    assert!(
        desk.run(&["group", "list", "--channel", &channel]).expect(0).contains("ACTIVE TOKENS")
    );
    let since = ["--created-by", "administrator", "--since", "2000-01-01T00:00:00Z"];
    let done = desk.run(&[&["token", "revoke"], &since[..]].concat()).expect(0);
    assert!(done.contains("deleted_keys") && !done.contains("keys.1."), "{done}");
}

#[test]
fn a_search_of_nothing_and_a_search_at_the_wrong_server_are_errors_that_say_so() {
    let (desk, other) = (Desk::new(), Desk::new());
    finish_with(&mut desk.command(&["token", "explain", "-"]), " \n")
        .expect_error(2, "the input is empty");
    let (channel, _) = other.channel();
    let issued = other.json(&["token", "reissue", "--channel", &channel]);
    let token = issued["access_token"].as_str().unwrap();
    let url = desk.server.url.as_str();
    let next = format!("is {url}/ the right server? Name another with --url or TEGATA_URL");
    desk.run(&["token", "explain", token]).expect_error(1, &next);
}

#[test]
fn a_key_that_is_not_registered_is_an_error_that_names_the_command_to_look() {
    let desk = Desk::new();
    let (_, channel, kid) = shop(&desk);
    let file = format!("{channel}.private.jwk.json");
    desk.run(&["key", "delete", "--channel", &channel, &kid]).expect(0);
    let issue = ["token", "issue", "--kind", "v2.1", "--channel", &channel, "--key", &file];
    desk.run(&issue).expect_error(1, &format!("tegata key list --channel {channel}"));
}

#[test]
fn a_hint_can_be_pasted() {
    let desk = Desk::new();
    let (provider, ..) = shop(&desk);
    let hint = format!(
        "has 1 channel that is not deleted; delete it first (`tegata channel list --provider {provider}`"
    );
    desk.run(&["provider", "delete", &provider]).expect_error(1, &hint);
}

#[test]
fn several_tokens_where_one_is_expected_name_the_command_that_takes_them() {
    let desk = Desk::new();
    for words in [&["token", "verify", "-"][..], &["token", "revoke", "-"]] {
        let done = finish_with(&mut desk.command(words), "one\ntwo\n");
        done.expect_error(2, "tegata token explain");
    }
    let done = finish(&mut desk.command(&["token", "verify", "one\ntwo"]));
    done.expect_error(2, "tegata token explain");
}

#[test]
fn the_help_of_revoke_names_every_scope_that_needs_no_channel() {
    let desk = Desk::new();
    let help = desk.run(&["token", "revoke", "--help"]).expect(0);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("except with TOKEN, --created-by, --provider and --everything"),
        "{help}"
    );
}

#[test]
fn the_usage_of_a_command_has_its_arguments_in_their_order() {
    let home = Home::new();
    for (words, usage) in [
        (["verifier", "remove-instance"], "[OPTIONS] <ID> <INSTANCE|--all>"),
        (["person", "set-role"], "[OPTIONS] <PERSON> <ROLE|--remove>"),
    ] {
        let shown = home.run(&[&words[..], &["--help"]].concat()).expect(0);
        let usage = format!("Usage: tegata {} {usage}", words.join(" "));
        assert!(shown.contains(&usage), "{shown}");
    }
}

#[test]
fn a_receipt_is_found_again_in_the_audit() {
    let desk = Desk::new();
    let (_, channel, _) = shop(&desk);
    let done = desk.json(&["channel", "suspend", &channel]);
    let position = done["position"].as_str().unwrap();
    let listed = desk.run(&["audit", "list", "--act", "channel.suspend"]).expect(0);
    assert!(listed.contains("POSITION") && listed.contains(position), "{listed}");
    desk.run(&["receipt", "show", "x"]).expect_error(2, "in `tegata audit list`");
}

#[test]
fn a_pending_receipt_has_its_next_step() {
    let desk = Desk::new();
    let (_, channel, _) = shop(&desk);
    let proxy = start(&desk, &verifier(&desk, &[]), &[]);
    until_ready_is(&proxy, 200);
    // It says no `bye`, so that its lease goes on.
    assert!(!proxy.crash().success());
    let done = desk.run(&["channel", "suspend", &channel]);
    let position = done.out.lines().find_map(|it| it.strip_prefix("position")).unwrap().trim();
    let next = format!("`tegata receipt show {position} --wait 60` waits for it");
    assert!(done.err.contains(&next), "{done:?}");
}

#[test]
fn a_dry_run_refuses_the_reason_that_the_act_would_refuse() {
    let desk = Desk::new();
    let (_, channel, _) = shop(&desk);
    let revoke = ["token", "revoke", "--channel", &channel, "--all", "--dry-run", "--reason"];
    for wrong in [&*"x".repeat(501), "", " ", "a\u{202e}b", "a\nb"] {
        desk.run(&[&revoke[..], &[wrong]].concat()).expect_error(2, "give 1 to 500 characters");
    }
    desk.run(&[&revoke[..], &["手".repeat(500).as_str()]].concat()).expect(0);
    let wait = ["token", "revoke", "--channel", &channel, "--all", "--wait"];
    desk.run(&[&wait[..], &["61"]].concat()).expect_error(2, "give 0s to 1m");
    desk.run(&[&wait[..], &["30s"]].concat()).expect(0);
}

#[test]
fn a_file_that_cannot_be_created_is_named_with_the_reason() {
    let desk = Desk::new();
    let (_, channel, _) = shop(&desk);
    let generate = ["key", "generate", "--channel", &channel, "--file"];
    let nowhere = desk.run(&[&generate[..], &["none/x.jwk"]].concat());
    assert!(!nowhere.err.contains("overwritten"), "{nowhere:?}");
    nowhere.expect_error(1, "cannot create none/x.jwk; its folder is not there");
    desk.home.file("x.jwk", "");
    let there = desk.run(&[&generate[..], &["x.jwk"]].concat());
    there.expect_error(1, "an existing file is not overwritten");
    let home = Home::new();
    home.serve(&[]).stop();
    home.run(&["backup", "none/backup.db"])
        .expect_error(1, "cannot write the backup none/backup.db: its folder is not there");
}
