//! Rule: no banned word in code, documentation or errors.

use super::place;
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The banned words, in the singular.
const BANNED: [&str; 16] = [
    "anybody", "chance", "dice", "door", "ending", "face", "floor", "keeper", "law", "nobody",
    "seal", "somebody", "storm", "told", "wakes", "whoever",
];

/// Text that contains a banned word and is allowed, since its name is not ours.
const ELSEWHERE: [&str; 4] = [".floor()", "User=nobody", "'nobody:nogroup'", "seal_in_place"];

/// The folders and top-level files that are read.
const READ: [&str; 15] = [
    ".github",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "README.md",
    "SECURITY.md",
    "bindings",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "fuzz",
    "packaging",
];

/// Extensions of the files that are read.
const KINDS: [&str; 14] = [
    "js", "json", "lua", "md", "mjs", "py", "pyi", "rs", "service", "sql", "toml", "ts", "yaml",
    "yml",
];

/// Reports every place of a banned word, in a sentence or in a name.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for name in READ {
        collect(&root.join(name), &mut files)?;
    }
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        // This file lists them.
        if file.ends_with("tidy/words.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for (number, line) in text.lines().enumerate() {
            for word in banned(line) {
                wrong.push(format!("{}:{}: `{word}`", place(root, &file), number + 1));
            }
        }
    }
    Ok(wrong)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        // Inputs of the fuzzers are not text.
        if !path.ends_with("fuzz/corpus") && !path.ends_with("target") {
            for entry in fs::read_dir(path)? {
                collect(&entry?.path(), files)?;
            }
        }
    } else if path.extension().is_some_and(|it| KINDS.iter().any(|kind| it == *kind)) {
        files.push(path.to_owned());
    }
    Ok(())
}

/// The banned words of a line, also as parts of names: `StormGuard`, `storm_guard`.
fn banned(line: &str) -> Vec<&'static str> {
    let mut line = line.to_owned();
    for text in ELSEWHERE {
        line = line.replace(text, " ");
    }
    let mut spaced = String::new();
    let mut small = false;
    for it in line.chars() {
        if it.is_uppercase() && small {
            spaced.push(' ');
        }
        small = it.is_lowercase();
        spaced.extend(it.to_lowercase());
    }
    let words = spaced.split(|it: char| !it.is_alphabetic());
    words.filter_map(|word| BANNED.into_iter().find(|it| is(word, it))).collect()
}

/// Whether `word` is the `banned` one, in the singular or the plural.
fn is(word: &str, banned: &str) -> bool {
    word == banned || word.strip_suffix('s') == Some(banned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_words_are_found_in_sentences_and_names() {
        assert_eq!(banned("// Whoever comes in the storm"), ["whoever", "storm"]);
        assert_eq!(
            banned("fn storm_guard(StormGuard, tegata::law::LAW)"),
            ["storm", "storm", "law", "law"]
        );
        assert_eq!(banned("both doors and endings"), ["door", "ending"]);
    }

    #[test]
    fn words_that_only_contain_one_are_fine() {
        let fine =
            "interface surface pending lawful flooring unsealed foretold x.floor() User=nobody";
        assert!(banned(fine).is_empty(), "{:?}", banned(fine));
    }
}
