//! The book: its lines are run as they stand, and its links lead somewhere.
//!
//! A fenced block marked `sh` is run; what is only shown is marked otherwise.

use crate::program::{Desk, finish};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src").canonicalize().unwrap()
}

/// The blocks of a page below `docs` that are in this language.
pub fn fenced(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(book().join("../..").join(page)).unwrap();
    let begin = format!("\n```{language}\n");
    let blocks = text.split(&begin).skip(1);
    let blocks: Vec<_> = blocks.map(|it| it.split("```").next().unwrap().to_owned()).collect();
    assert!(!blocks.is_empty(), "{page} has nothing in {language}");
    blocks
}

/// The `sh` blocks of a page of the book, as one script.
fn script(page: &str) -> String {
    fenced(&format!("book/src/{page}"), "sh").concat()
}

/// Runs it where the server of `desk` is the one that was set up before.
fn run(desk: &Desk, setting: &[(&str, &str)], script: &str) {
    let tegata = desk.command(&[]);
    let mut shell = Command::new("sh");
    // A pipe's first command counts too, where the shell knows how.
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
    finish(&mut shell).expect(0);
}

#[test]
fn the_first_five_minutes_work_as_they_are_written() {
    run(&Desk::new(), &[], &script("start.md"));
}

#[test]
fn a_leak_is_answered_as_it_is_written() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = ["token", "issue", "--channel", &channel, "--kind", "short-lived", "-o", "json"];
    let issued = finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: serde_json::Value = serde_json::from_str(&issued).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    run(&desk, &[("TOKEN", token), ("CHANNEL", &channel)], &script("leak.md"));
    desk.run(&["token", "verify", token]).expect_error(1, "invalid");
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
