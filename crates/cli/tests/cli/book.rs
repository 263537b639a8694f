//! The book: its commands are run unchanged, and its links are checked.
//!
//! A fenced block marked `sh` is run; other blocks are only shown.

use crate::program::{ADMIN_TOKEN, Desk, Home, Server, finish};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn book() -> PathBuf {
    root().join("docs/book/src")
}

/// The blocks of a page, below the root, that are in this language, from the first
/// heading on that begins so.
pub fn fenced(page: &str, heading: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(heading));
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(indent) = line.strip_suffix(&format!("```{language}")) {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            let block = block.map(|line| line.strip_prefix(indent).unwrap_or(line));
            found.push(block.map(|line| line.to_owned() + "\n").collect());
        }
    }
    assert!(!found.is_empty(), "{page} has nothing in {language} behind {heading:?}");
    found
}

/// The `sh` blocks of a page of the book, as one script.
pub fn script(page: &str) -> String {
    fenced(&format!("docs/book/src/{page}"), "#", "sh").concat()
}

/// Runs a script with `desk` as the server.
fn run(desk: &Desk, setting: &[(&str, &str)], script: &str) {
    run_as(&desk.command(&[]), setting, script);
}

/// Runs it in the folder and with the settings of `tegata`.
pub fn run_as(tegata: &Command, setting: &[(&str, &str)], script: &str) -> String {
    let mut shell = Command::new("sh");
    // The first command of a pipe counts, too, if the shell supports that.
    shell.args(["-euxc", script]).current_dir(tegata.get_current_dir().unwrap());
    for (name, value) in tegata.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_tegata")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    shell.env("PATH", format!("{}:{path}", programs.display())).envs(setting.iter().copied());
    finish(&mut shell).expect(0)
}

#[test]
fn the_first_five_minutes_work_as_they_are_written() {
    run(&Desk::new(), &[], &script("start.md"));
}

#[test]
fn a_leak_is_answered_as_it_is_written() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let contact = ["group", "set", "--channel", &channel, "blue", "--contact", "ops@example.com"];
    desk.run(&contact).expect(0);
    let key = |group: &str| {
        let file = format!("{group}.jwk.json");
        let words = ["key", "generate", "--channel", &channel, "--group", group, "--file", &file];
        desk.json(&words)["kid"].as_str().unwrap().to_owned()
    };
    let issue = |group: &str| {
        let file = format!("{group}.jwk.json");
        let words = ["token", "issue", "--kind", "v2.1", "--channel", &channel, "--key", &file];
        desk.json(&words)["access_token"].as_str().unwrap().to_owned()
    };
    let (kid, _) = (key("blue"), key("red"));
    let (leaked, red) = (issue("blue"), issue("red"));
    desk.home.file("leaked.txt", &format!("GET /api/orders access_token={leaked}\n"));
    let setting = [("CHANNEL", &*channel), ("KID", &*kid)];
    let blocks = fenced("docs/book/src/leak.md", "#", "sh");
    let (whole_channel, steps) = blocks.split_last().unwrap();
    let printed: Vec<String> =
        steps.iter().map(|block| run_as(&desk.command(&[]), &setting, block)).collect();
    for (step, said) in [
        (0, "blue"),
        (0, "ops@example.com"),
        (0, "shop ("),
        (1, "revoked "),
        (2, "  state         revoked"),
        (2, "in a public repository"),
        (3, "access_token"),
        (4, "access_token"),
    ] {
        assert!(printed[step].contains(said), "block {step} lacks {said:?}: {}", printed[step]);
    }
    assert!(!printed.concat().contains(&leaked), "the token is printed");
    desk.run(&["token", "verify", &leaked]).expect_error(1, "in a public repository");
    desk.run(&["token", "verify", &red]).expect(0);
    let issued = printed[4].lines().find_map(|line| line.strip_prefix("access_token")).unwrap();
    desk.run(&["token", "verify", issued.trim()]).expect_error(1, "revoked");
    // The last block is for the whole channel.
    run(&desk, &setting, whole_channel);
    desk.run(&["token", "verify", &red]).expect_error(1, "");
}

/// The headings of a page, as mdbook makes anchors of them.
fn places(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
    let anchor = |it: &str| it.to_lowercase().replace(' ', "-").replace(|it| !kept(it), "");
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn the_readme_makes_a_channel_and_answers_a_leak_as_it_is_written() {
    let desk = Desk::new();
    let newest = |things: &str, words: &[&str], id: &str| {
        let listed = desk.json(words);
        listed[things][0][id].as_str().unwrap().to_owned()
    };
    // The first block builds and starts the server, which `desk` has done.
    let made = fenced("README.md", "## Set up a server", "sh").swap_remove(1);
    let (at_hand, made) = made.split_once('\n').unwrap();
    assert_eq!(at_hand, "export TEGATA_ADMIN_TOKEN_FILE=admin.token");
    let (provider, made) = made.split_once('\n').unwrap();
    run(&desk, &[], provider);
    let provider = newest("providers", &["provider", "list"], "provider_id");
    let made = made.replace("1175247115", &provider);
    let (channel, made) = made.split_once('\n').unwrap();
    run(&desk, &[], channel);
    let list = ["channel", "list", "--provider", &provider];
    let channel = newest("channels", &list, "channel_id");
    run(&desk, &[], &made.replace("6095226490", &channel));

    let issue = ["token", "issue", "--kind", "v2.1", "--channel", &channel, "--key"];
    let leaked = desk.json(&[&issue[..], &["blue.jwk.json"]].concat());
    let leaked = leaked["access_token"].as_str().unwrap();
    let response = fenced("README.md", "## Respond to a leaked token", "sh").swap_remove(0);
    run(&desk, &[("LEAKED", leaked)], &response.replace("6095226490", &channel));
    desk.run(&["token", "verify", leaked]).expect_error(1, "invalid");
    let live = desk.json(&["token", "list", "--channel", &channel, "--state", "active"]);
    assert_eq!(live["tokens"].as_array().unwrap().len(), 1, "the new one, and it alone: {live}");
}

#[test]
fn a_store_is_brought_back_as_it_is_written() {
    let home = Home::new();
    let (own, other) = (home.path("own"), home.path("other"));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&other).unwrap();
    let here = |block: &String| {
        let block = block.replace("/var/lib/tegata", own.to_str().unwrap());
        block.replace("/mnt/other", other.to_str().unwrap())
    };
    let blocks = fenced("docs/book/src/runbooks/restore.md", "#", "sh");
    let blocks: Vec<_> = blocks.iter().map(here).collect();
    let [serve, backup, restore, look, replay, everything, master_key] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let serve: Vec<_> = serve.split_whitespace().skip(2).collect();
    let start = || {
        let mut command =
            home.tegata(&[&["serve", "--listen", "127.0.0.1:0"], &serve[..]].concat());
        let server = Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        let mut tegata = home.tegata(&[]);
        tegata.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
        (server, tegata)
    };
    let json = |tegata: &Command, line: &str| -> serde_json::Value {
        serde_json::from_str(&run_as(tegata, &[], &format!("tegata {line} -o json"))).unwrap()
    };
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();

    let (server, tegata) = start();
    let provider = text(&json(&tegata, "provider create Company"), "provider_id");
    let channel = json(&tegata, &format!("channel create --provider {provider} shop"));
    let (channel, secret) = (text(&channel, "channel_id"), text(&channel, "channel_secret"));
    let issue = format!("token issue --channel {channel} --kind short-lived --secret-file secret");
    home.file("secret", &secret);
    let [kept, leaked] = [0, 1].map(|_| text(&json(&tegata, &issue), "access_token"));
    let is_good = |tegata: &Command, token: &str| {
        let line = format!("tegata token verify {token} >&2 && echo good || echo bad");
        run_as(tegata, &[], &line) == "good\n"
    };
    // A recovery's cutoff is the last time in the backup, less 5 s.
    run_as(&tegata, &[], "sleep 7; tegata provider create again");
    run_as(&tegata, &[], backup);
    run_as(&tegata, &[], &format!("tegata token revoke {leaked}"));
    assert!(is_good(&tegata, &kept) && !is_good(&tegata, &leaked));
    server.stop();

    run_as(&tegata, &[], restore);
    let would = run_as(&tegata, &[], look);
    assert!(!would.is_empty(), "it says what would happen");
    run_as(&tegata, &[], replay);
    let (server, tegata) = start();
    assert!(is_good(&tegata, &kept) && !is_good(&tegata, &leaked));
    server.stop();

    fs::remove_file(own.join("master.key")).unwrap();
    run_as(&tegata, &[], master_key);
    run_as(&tegata, &[], replay);
    let (server, tegata) = start();
    assert!(is_good(&tegata, &kept) && !is_good(&tegata, &leaked));
    server.stop();

    run_as(&tegata, &[], everything);
    let (server, tegata) = start();
    assert!(!is_good(&tegata, &kept) && !is_good(&tegata, &leaked));
    server.stop();
}

#[test]
fn the_settings_of_warnings_are_taken_as_they_are_written() {
    let desk = Home::new();
    let secret = desk.file("webhook.secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let settings = fenced("docs/book/src/warnings.md", "#", "toml").concat();
    let settings = settings.replace("/etc/tegata/webhook.secret", secret.to_str().unwrap());
    let settings = desk.file("tegata.toml", &settings);
    let server = desk.serve(&["--config", settings.to_str().unwrap()]);
    assert!(server.stop().success());
}

#[test]
fn readme_and_book_name_the_same_sdks_and_how_java_is_kept_from_logging_tokens() {
    let read = |page: &str| fs::read_to_string(root().join(page)).unwrap();
    for page in ["README.md", "docs/book/src/integrate.md"] {
        let text = read(page);
        for said in [
            "`line-bot-sdk`",
            "`@line/bot-sdk`",
            "`github.com/line/line-bot-sdk-go/v8`",
            "api, err := channel_access_token.NewChannelAccessTokenAPI(",
            "`com.linecorp.bot:line-channel-access-token-client`",
            ".usingDefaultLogger(false).build()",
            "Line::Bot::V2::ChannelAccessToken::ApiClient.new(base_url: ",
            "`linecorp/line-bot-sdk`",
            "ChannelAccessToken\\Configuration())->setHost(",
        ] {
            assert!(text.contains(said), "{page} lacks {said}");
        }
    }
}

#[test]
fn the_readmes_links_lead_somewhere() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    for link in text.split("](").skip(1).map(|it| it.split(')').next().unwrap()) {
        let (target, place) = link.split_once('#').unwrap_or((link, ""));
        if !target.contains("://") {
            let to = root().join(target);
            assert!(to.exists(), "{link} leads nowhere");
            assert!(place.is_empty() || places(&to).contains(place), "{link} names no heading");
        }
    }
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let book = book();
    let mut pages = BTreeSet::new();
    let mut folders = vec![book.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(pages.insert(path)),
            }
        }
    }
    let summary = book.join("SUMMARY.md");
    let mut listed = BTreeSet::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1).map(|it| it.split(')').next().unwrap()) {
            let (target, place) = link.split_once('#').unwrap_or((link, ""));
            if target.contains("://") {
                continue;
            }
            let to = match target {
                "" => Ok(page.clone()),
                target => page.parent().unwrap().join(target).canonicalize(),
            };
            let to = to.unwrap_or_else(|_| panic!("{}: {link} leads nowhere", page.display()));
            let there = place.is_empty() || places(&to).contains(place);
            assert!(there, "{}: {link} names no heading", page.display());
            if *page == summary {
                listed.insert(to);
            }
        }
    }
    pages.remove(&summary);
    let pages: Vec<_> = pages.difference(&listed).collect();
    assert!(pages.is_empty(), "not in SUMMARY.md: {pages:?}");
}
