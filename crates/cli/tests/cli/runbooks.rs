//! The runbooks for stolen credentials, followed against a thief: after the last step,
//! nothing that the thief has or created is accepted.

use crate::{
    book::{run_as, script},
    program::{Done, Home, Server, finish},
};
use serde_json::Value;
use std::{fs, process::Command};

/// A thief with a copy of the administrator's token.
struct Thief<'a> {
    home: &'a Home,
    url: String,
    token: String,
}

impl Thief<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.home.tegata(words);
        command.env("TEGATA_URL", &self.url).env("TEGATA_ADMIN_TOKEN", &self.token);
        command
    }

    #[track_caller]
    fn gets(&self, words: &[&str], member: &str) -> String {
        let done = finish(&mut self.command(&[words, &["-o", "json"]].concat()));
        let response: Value = serde_json::from_str(&done.expect(0)).unwrap();
        response[member].as_str().unwrap().to_owned()
    }

    fn by_secret(&self, channel: &str, secret: &str, kind: &str) -> Done {
        let words = ["token", "issue", "--channel", channel, "--kind", kind, "-o", "json"];
        finish(self.command(&words).env("TEGATA_CHANNEL_SECRET", secret))
    }

    fn by_key(&self, channel: &str, file: &str) -> Done {
        let words = ["token", "issue", "--channel", channel, "--kind", "v2.1", "--key", file];
        finish(&mut self.command(&[&words[..], &["-o", "json"]].concat()))
    }
}

fn issued(done: Done) -> String {
    let response: Value = serde_json::from_str(&done.expect(0)).unwrap();
    response["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn after_the_runbook_for_a_stolen_administrators_token_nothing_of_the_thiefs_works() {
    let home = Home::new();
    let serve = ["serve", "--dev", "--listen", "127.0.0.1:0", "--store", "sqlite:tegata.db"];
    let server = Server::start(&mut home.tegata(&serve));
    let token = fs::read_to_string(home.path("admin.token")).unwrap().trim().to_owned();
    let thief = Thief { home: &home, url: server.url.clone(), token };
    // The operator's own, from before.
    let provider = thief.gets(&["provider", "create", "Company"], "provider_id");
    let create = ["channel", "create", "--provider", &provider, "shop"];
    let shop = thief.gets(&create, "channel_id");
    let quiet = thief.gets(&create, "channel_id");
    thief.gets(&["key", "generate", "--channel", &quiet, "--file", "quiet.json"], "kid");
    let since = server.advance(60).to_string();

    // The thief creates each kind of object.
    thief.gets(&["key", "generate", "--channel", &shop, "--file", "a.json"], "kid");
    let in_group = ["key", "generate", "--channel", &shop, "--group", "x", "--file", "b.json"];
    thief.gets(&in_group, "kid");
    let evil_provider = thief.gets(&["provider", "create", "Evil"], "provider_id");
    let create = ["channel", "create", "--provider", &evil_provider, "evil", "-o", "json"];
    let evil: Value = serde_json::from_str(&finish(&mut thief.command(&create)).expect(0)).unwrap();
    let text = |name: &str| evil[name].as_str().unwrap().to_owned();
    let (evil, evil_secret) = (text("channel_id"), text("channel_secret"));
    thief.gets(&["key", "generate", "--channel", &evil, "--file", "c.json"], "kid");
    let secret = thief.gets(&["channel", "rotate-secret", &shop], "channel_secret");
    let mut tokens = vec![
        thief.gets(&["token", "reissue", "--channel", &shop], "access_token"),
        issued(thief.by_key(&shop, "a.json")),
        issued(thief.by_key(&shop, "b.json")),
        issued(thief.by_key(&evil, "c.json")),
    ];
    for (channel, secret) in [(&shop, &secret), (&evil, &evil_secret)] {
        for kind in ["short-lived", "stateless"] {
            tokens.push(issued(thief.by_secret(channel, secret, kind)));
        }
    }

    // The operator follows the page.
    let mut tegata = home.tegata(&[]);
    tegata.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
    tegata.env("TEGATA_STORE", "sqlite:tegata.db");
    run_as(&tegata, &[("SINCE", &since)], &script("runbooks/admin-token-stolen.md"));

    finish(&mut thief.command(&["provider", "list"])).expect_error(1, "token was refused");
    for (channel, key) in [(&shop, "a.json"), (&shop, "b.json"), (&evil, "c.json")] {
        assert_eq!(thief.by_key(channel, key).code, 1, "{key}");
    }
    for (channel, secret) in [(&shop, &secret), (&evil, &evil_secret)] {
        for kind in ["short-lived", "stateless"] {
            assert_eq!(thief.by_secret(channel, secret, kind).code, 1, "{kind}");
        }
    }
    for token in &tokens {
        finish(&mut thief.command(&["token", "verify", token])).expect_error(1, "");
    }
    // Everything that the thief did not touch still works.
    issued(thief.by_key(&quiet, "quiet.json"));
}

#[test]
fn after_the_runbook_for_a_stolen_disk_no_secret_that_was_on_it_works() {
    let home = Home::new();
    let serve = ["serve", "--dev", "--listen", "127.0.0.1:0", "--store", "sqlite:tegata.db"];
    let server = Server::start(&mut home.tegata(&serve));
    let read = |name: &str| fs::read_to_string(home.path(name)).unwrap().trim().to_owned();
    let (token, master_key) = (read("admin.token"), home.path("stolen.key"));
    let thief = Thief { home: &home, url: server.url.clone(), token };
    let provider = thief.gets(&["provider", "create", "Company"], "provider_id");
    let create = ["channel", "create", "--provider", &provider, "shop", "-o", "json"];
    let shop: Value = serde_json::from_str(&finish(&mut thief.command(&create)).expect(0)).unwrap();
    let text = |name: &str| shop[name].as_str().unwrap().to_owned();
    let (shop, secret) = (text("channel_id"), text("channel_secret"));
    thief.gets(&["key", "generate", "--channel", &shop, "--file", "agent.json"], "kid");
    fs::copy(home.path("master.key"), &master_key).unwrap();
    let tokens = [
        issued(thief.by_secret(&shop, &secret, "stateless")),
        issued(thief.by_key(&shop, "agent.json")),
    ];

    let mut tegata = home.tegata(&[]);
    tegata.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
    tegata.env("TEGATA_STORE", "sqlite:tegata.db");
    run_as(&tegata, &[("CHANNELS", &shop)], &script("runbooks/disk-stolen.md"));

    finish(&mut thief.command(&["provider", "list"])).expect_error(1, "token was refused");
    assert_eq!(thief.by_secret(&shop, &secret, "stateless").code, 1);
    assert_eq!(thief.by_secret(&shop, &secret, "short-lived").code, 1);
    assert_eq!(thief.by_key(&shop, "agent.json").code, 1);
    for token in &tokens {
        finish(&mut thief.command(&["token", "verify", token])).expect_error(1, "");
    }
    // The old master key decrypts neither the present store nor an active signing key.
    let stolen = master_key.to_str().unwrap();
    let open = ["audit", "verify", "--store", "sqlite:tegata.db", "--master-key-file", stolen];
    home.run(&open).expect_error(1, "was not encrypted with this master key");
    assert!(server.stop().success());
    let start =
        [&serve[..], &["--master-key-file", stolen, "--rollback-guard-file", "tegata.db.guard"]]
            .concat();
    home.run(&start).expect_error(1, "is not the master key");
}
