//! Every command that the documents, the pages of the console and the messages name exists,
//! with its options.

use clap::Command;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What begins like a command and is none: the labels of hashes, and an example of a test.
const OTHERS: [&str; 4] =
    ["administrator's token", "audit checkpoint 1", "audit acceptance 1", "x --dry-run <b>"];

#[test]
fn every_command_that_is_named_exists_with_its_options() {
    let mut root = crate::command_line();
    root.build();
    let (mut count, mut unknown) = (0, Vec::new());
    for file in files() {
        for line in lines(&file) {
            count += 1;
            if let Some(word) = unknown_word(&root, &line) {
                unknown.push(format!("{}: {word} in: tegata {line}", file.display()));
            }
        }
    }
    assert!(count > 400, "only {count} commands were found");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn a_command_or_an_option_that_does_not_exist_is_noticed() {
    let mut root = crate::command_line();
    root.build();
    for (line, word) in [
        ("group turn --channel 1", Some("turn")),
        ("verifier create --name edge", Some("--name")),
        ("token revoke --channel 1 --group a --dry-run -- --name", None),
        ("group list|set", None),
        ("--version", None),
    ] {
        assert_eq!(unknown_word(&root, line).as_deref(), word, "{line}");
    }
}

/// The first word that names no command, or no option of its command.
fn unknown_word(root: &Command, line: &str) -> Option<String> {
    let mut command = root;
    let mut words = line.split_whitespace().peekable();
    while command.has_subcommands() {
        let word = words.peek()?;
        if word.starts_with('{') {
            // A command that is put in when the program runs.
            return None;
        }
        let name = name_at_start(word);
        if name.is_empty() || name.starts_with('-') {
            break;
        }
        let Some(sub) = command.find_subcommand(&name) else { return Some(name) };
        command = sub;
        words.next();
    }
    let known = |name: &str| {
        let is = |arg: &clap::Arg| {
            let others = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(name) || others.contains(&name)
        };
        matches!(name, "help" | "version") || command.get_arguments().any(is)
    };
    let options = words.map(|word| word.trim_start_matches(['[', '(']));
    let options = options.take_while(|word| *word != "--");
    let mut names = options.filter_map(|word| word.strip_prefix("--").map(name_at_start));
    names.find(|name| !name.is_empty() && !known(name)).map(|it| format!("--{it}"))
}

fn name_at_start(word: &str) -> String {
    let of_name = |it: &char| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == '-';
    word.chars().take_while(of_name).collect()
}

/// The commands in a file, each without its first word.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let pieces = match file.extension().is_some_and(|it| it == "md") {
        true => code_of_page(&text),
        false => joined(&text).replace("\\\"", "'").lines().map(str::to_owned).collect(),
    };
    pieces.iter().flat_map(|piece| commands_in(piece)).collect()
}

/// Joins each line that ends with a backslash with the next one.
fn joined(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + " " + part.trim_start())
}

/// The lines of a page's blocks of code, and the code within its prose.
fn code_of_page(text: &str) -> Vec<String> {
    let (mut code, mut prose, mut in_block) = (Vec::new(), String::new(), false);
    for line in joined(text).lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            code.push(line.to_owned());
        } else {
            prose.push_str(&format!("{line} "));
        }
    }
    code.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    code
}

/// What follows the program's name wherever a command begins.
fn commands_in(piece: &str) -> Vec<String> {
    let begins = |before: &str| {
        let word = before.split_whitespace().last();
        word.is_none_or(|it| it.contains('=') || it.ends_with(['$', '|', '&', '(', ';', '"', '`']))
    };
    let found = piece.match_indices("tegata ").filter(|(at, _)| begins(piece[..*at].trim_end()));
    let rest = found.map(|(at, name)| &piece[at + name.len()..]);
    let ends = ["\"", "`", " | ", " && ", "; ", " # "];
    let command = |rest: &str| {
        let end = ends.iter().filter_map(|it| rest.find(it)).min().unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    rest.map(command).filter(|it| !OTHERS.iter().any(|other| it.starts_with(other))).collect()
}

/// The documents, the source files and the templates.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|it| it.unwrap().path());
    let mut folders: Vec<_> =
        crates.flat_map(|it| [it.join("src"), it.join("templates")]).collect();
    folders.push(root.join("docs"));
    let mut files: Vec<_> =
        ["README.md", "SECURITY.md", "CHANGELOG.md"].map(|it| root.join(it)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md" || it == "rs" || it == "html") {
                // This file names commands that do not exist.
                files.extend(Some(path).filter(|it| !it.ends_with("cli/src/named.rs")));
            }
        }
    }
    files
}
