//! Secret scanners, unmodified, with the rules of the book; and reports as the book has them.

use crate::{
    book::{fenced, run_as, script},
    program::{Desk, finish},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PAGE: &str = "docs/book/src/scanners.md";

/// The folder with the scanners that `cargo xtask test` installs from Python's registry.
fn programs() -> PathBuf {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
    parts.join("scanners/bin")
}

/// The block of the book in this language.
fn block(language: &str) -> String {
    fenced(PAGE, "#", language).remove(0)
}

/// A token of each kind, with a group and without.
fn tokens(desk: &Desk, channel: &str, secret: &str) -> Vec<String> {
    let longest = "a".repeat(64);
    let mut tokens = Vec::new();
    for (kind, group) in
        [("stateless", None), ("short-lived", None), ("short-lived", Some(&longest))]
    {
        let mut words = vec!["token", "issue", "--channel", channel, "--kind", kind, "-o", "json"];
        words.extend(group.iter().flat_map(|it| ["--group", it]));
        let printed = finish(desk.command(&words).env("TEGATA_CHANNEL_SECRET", secret)).expect(0);
        let issued: Value = serde_json::from_str(&printed).unwrap();
        tokens.push(issued["access_token"].as_str().unwrap().to_owned());
    }
    tokens
}

#[test]
fn scanners_find_tokens_of_every_form_by_the_rules_of_the_book_and_nothing_else() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let tokens = tokens(&desk, &channel, &secret);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let short = &tokens[1][..160];
    let leaked = format!(
        "a = 1\nTOKEN={}\nt: \"{}\"\nAuthorization: Bearer {}\npart={short}\n",
        tokens[0], tokens[1], tokens[2]
    );
    file("src/leaked.env", &leaked);
    file("tegata_detector.py", &block("python"));
    file("tegata.yml", &block("yaml"));
    let scan = |program: &str, words: &[&str]| {
        let mut command = Command::new(programs().join(program));
        command.args(words).current_dir(folder.path()).env("HOME", folder.path());
        let done = finish(&mut command);
        // Kingfisher exits with 200 if it has found something.
        assert!([0, 200].contains(&done.code), "{program}: {} {}", done.out, done.err);
        done.out
    };
    let words = ["scan", "--plugin", "tegata_detector.py", "--all-files", "src"];
    let found: Value = serde_json::from_str(&scan("detect-secrets", &words)).unwrap();
    let rows = found["results"]["src/leaked.env"].as_array().unwrap();
    let ours = rows.iter().filter(|it| it["type"] == "Tegata channel access token");
    let lines: BTreeSet<u64> = ours.map(|it| it["line_number"].as_u64().unwrap()).collect();
    assert_eq!(lines, BTreeSet::from([2, 3, 4]), "{rows:?}");

    let words = [
        "scan",
        "src",
        "--rules-path",
        "tegata.yml",
        "--load-builtins=false",
        "--no-validate",
        "--no-update-check",
        "--format",
        "json",
    ];
    let printed = scan("kingfisher", &words);
    let found: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    let rows = found["findings"].as_array().unwrap();
    let texts: BTreeSet<&str> =
        rows.iter().map(|it| it["finding"]["snippet"].as_str().unwrap()).collect();
    assert_eq!(texts, tokens.iter().map(String::as_str).collect());
}

#[test]
fn reports_are_made_as_the_book_has_them() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let tokens = tokens(&desk, &channel, &secret);
    let command = desk.command(&[]);
    let folder = command.get_current_dir().unwrap();
    fs::write(folder.join("leaked.txt"), format!("in a log: {}\n", tokens[0])).unwrap();
    let printed =
        run_as(&command, &[("CHANNEL", &channel), ("TOKEN", &tokens[1])], &script("scanners.md"));
    assert_eq!(printed.matches("the report was accepted").count(), 3, "{printed}");
    let events = desk.json(&["audit", "list", "--act", "leak.report"]);
    assert_eq!(events["events"].as_array().unwrap().len(), 2, "{events}");
    fs::write(folder.join("all.txt"), tokens.join("\n")).unwrap();
    let explained = desk.json(&["token", "explain", "all.txt"]);
    let rows = explained["tokens"].as_array().unwrap();
    let states: Vec<_> = rows.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["revoked", "revoked", "active"], "{explained}");
}
