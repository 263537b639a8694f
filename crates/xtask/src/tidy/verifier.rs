//! Rule: a program that verifies tokens by the crate `verifier`, and does nothing else of
//! ours, compiles neither a database nor a web framework; the book states how many crates it
//! compiles.

use crate::cargo::{COMPILED, needed_by};
use anyhow::Context;
use std::{collections::BTreeSet, fs, path::Path};

/// The page with the number of crates.
const PAGE: &str = "docs/book/src/verifiers.md";
/// The words behind the number.
const WORDS: &str = " crates, of which";

/// Beginnings of the names of what such a program has no use for.
const UNWANTED: [&str; 16] = [
    "actix",
    "axum",
    "diesel",
    "libsqlite3",
    "poem",
    "postgres",
    "prost",
    "rocket",
    "rusqlite",
    "salvo",
    "sqlx",
    "tegata-policy",
    "tegata-server",
    "tegata-store",
    "tonic",
    "warp",
];

/// Reports crates that have no place in such a program, and a number that is not theirs.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let compiled = needed_by("tegata-verifier", "tower", COMPILED)?;
    let page = fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    Ok(judged(&compiled, &page))
}

fn judged(compiled: &BTreeSet<String>, page: &str) -> Vec<String> {
    let is_unwanted = |it: &&String| UNWANTED.iter().any(|name| it.starts_with(name));
    let unwanted = compiled.iter().filter(is_unwanted).map(|it| {
        format!("crates/verifier: an API that only verifies would compile {it}; see `cargo tree`")
    });
    let mut wrong: Vec<_> = unwanted.collect();
    let before = page.split_once(WORDS).and_then(|(before, _)| before.split_whitespace().last());
    let (stated, count) = (before.and_then(|it| it.parse().ok()), compiled.len());
    if stated != Some(count) {
        wrong.push(format!(
            "{PAGE} states {stated:?} crates for an API that only verifies, which compiles \
             {count}: if each new one is needed, write that number"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], page: &str) -> Vec<String> {
        judged(&names.iter().map(|it| (*it).to_owned()).collect(), page)
    }

    #[test]
    fn a_database_or_a_web_framework_and_a_wrong_number_are_reported() {
        let page = "It compiles 2 crates, of which three are Tegata's.";
        assert_eq!(of(&["reqwest 1.0.0", "tegata-token 0.1.0"], page), Vec::<String>::new());
        for unwanted in ["rusqlite 1.0.0", "axum-core 1.0.0", "tegata-store 0.1.0"] {
            let wrong = of(&["reqwest 1.0.0", unwanted], page);
            assert!(wrong.len() == 1 && wrong[0].contains(unwanted), "{wrong:?}");
        }
        for (names, page) in [(&["a 1"][..], page), (&["a 1", "b 1"], "no number")] {
            let wrong = of(names, page);
            assert!(wrong.len() == 1 && wrong[0].contains(PAGE), "{wrong:?}");
        }
    }
}
