//! Blocks of README and book that are pasted into a terminal as a whole.

use crate::book::root;
use std::{fs, path::PathBuf};

/// All pages with commands, but not the generated reference.
fn pages() -> Vec<PathBuf> {
    let book = root().join("docs/book/src");
    let mut pages = vec![root().join("README.md")];
    for folder in [book.clone(), book.join("runbooks")] {
        let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        pages.extend(entries.filter(|it| it.extension().is_some_and(|it| it == "md")));
    }
    pages
}

/// The blocks of shell commands of a page, each as its commands: lines that end in `\` go on.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|it| it.trim() != "```").collect();
        let is_console = language == "console";
        let commands = block.join("\n").replace("\\\n", " ");
        let typed = commands.lines().filter_map(|it| match is_console {
            true => it.trim_start().strip_prefix("$ "),
            false => Some(it.trim()),
        });
        let typed = typed.filter(|it| !it.is_empty() && !it.starts_with('#'));
        if ["sh", "bash", "console"].contains(&language) {
            found.push(typed.map(str::to_owned).collect());
        }
    }
    found
}

/// The commands that have `--yes`, by the reference.
fn commands_that_ask() -> Vec<String> {
    let reference = root().join("docs/book/src/reference/command-line.md");
    let text = fs::read_to_string(reference).unwrap();
    let sections = text.split("\n## ").skip(1).filter(|it| it.contains("\n      --yes\n"));
    sections.map(|it| it.lines().next().unwrap().to_owned()).collect()
}

/// Whether a command asks on a terminal: some do for some arguments only.
fn asks(command: &str, asking: &[String]) -> bool {
    let has = |words: &[&str]| words.iter().any(|it| command.contains(it));
    let Some(name) = asking.iter().find(|it| command.contains(it.as_str())) else { return false };
    let wide = match name.as_str() {
        "tegata token explain" => has(&["--revoke"]),
        "tegata token revoke" => has(&[
            "--group",
            "--kind",
            "--assertion-key",
            "--all",
            "--provider",
            "--everything",
            "--created-by",
        ]),
        "tegata channel rotate-secret" => has(&["--revoke-tokens"]) || !has(&["--keep-previous"]),
        "tegata person set-role" => has(&["--remove"]),
        _ => true,
    };
    wide && !has(&["--yes", "--dry-run"])
}

#[test]
fn no_question_takes_the_next_line_of_a_pasted_block_for_its_answer() {
    let asking = commands_that_ask();
    assert!(asking.len() >= 15, "the reference has another form: {asking:?}");
    let mut wrong = Vec::new();
    for page in pages() {
        for block in blocks(&fs::read_to_string(&page).unwrap()) {
            let before_last = block.iter().take(block.len().saturating_sub(1));
            let swallows = before_last.filter(|it| asks(it, &asking));
            wrong.extend(swallows.map(|it| format!("{}: {it}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "these ask while more lines follow; add --yes: {wrong:#?}");
}

#[test]
fn a_command_that_asks_is_recognized() {
    let asking = ["tegata channel delete", "tegata token revoke"].map(str::to_owned);
    for (command, expected) in [
        ("tegata channel delete 1", true),
        ("tegata channel delete 1 --yes", false),
        ("tegata token revoke --channel 1 --all", true),
        ("tegata token revoke - <leaked", false),
        ("tegata token list", false),
    ] {
        assert_eq!(asks(command, &asking), expected, "{command}");
    }
}
