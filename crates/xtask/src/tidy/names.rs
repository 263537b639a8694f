//! Rule: no two public types of the workspace have the same name.

use super::{place, rust_files};
use std::{collections::BTreeMap, fs, path::Path};

/// Folders to which the rule does not apply: a protocol has its own terms, and no other
/// crate can use the types of a program.
const APART: [&str; 6] = [
    "crates/server/src/api/",
    "crates/cli/",
    "crates/bench/",
    "crates/xtask/",
    "crates/faulty-vfs/",
    "crates/postgres-fixture/",
];

/// Names that may be shared, each with the reason.
const ALIKE: &[(&str, &str)] = &[
    ("Error", "a module's own, by Rust's custom"),
    ("Result", "a module's own, by Rust's custom"),
];

/// Reports each name that several public types share.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates"))? {
        for file in rust_files(&entry?.path().join("src"))? {
            let place = place(root, &file);
            if APART.iter().any(|it| place.starts_with(it)) {
                continue;
            }
            for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
                if let Some(name) = public_type(line) {
                    let at = format!("{place}:{}", number + 1);
                    types.entry(name.to_owned()).or_default().push(at);
                }
            }
        }
    }
    let is_known = |name: &str| ALIKE.iter().any(|(known, _)| *known == name);
    let shared = types.into_iter().filter(|(name, at)| at.len() > 1 && !is_known(name));
    Ok(shared.map(|(name, at)| format!("`{name}` is the name of {}", at.join(" and "))).collect())
}

/// The name of the public type that a line defines.
fn public_type(line: &str) -> Option<&str> {
    let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
    let kind = words.next()?;
    if !["struct", "enum", "trait", "type", "union"].contains(&kind) {
        return None;
    }
    words.next()?.split(['<', '(', ';', ':', '{']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_public_type_is_read_from_its_definition() {
        assert_eq!(public_type("pub struct Token<'a> {"), Some("Token"));
        assert_eq!(public_type("    pub enum Kind {"), Some("Kind"));
        assert_eq!(public_type("pub trait Act: Send {"), Some("Act"));
        assert_eq!(public_type("pub(super) struct Inner;"), None);
        assert_eq!(public_type("struct Private;"), None);
        assert_eq!(public_type("pub fn of() {"), None);
    }
}
