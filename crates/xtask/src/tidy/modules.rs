//! Rule: no circles between the modules of a crate. Modules that use each other cannot be
//! read, tested or moved alone.
//!
//! The imports and paths of the sources are scanned. A name that a parent re-exports is
//! resolved to its definition. Uses between a module and its own parent are no circle,
//! and uses in tests are not counted.

mod paths;

use paths::{Path as Names, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

/// Known circles: the crate and all modules of one circle. A circle may lose members; a
/// line is deleted when its circle is gone, and no line is added.
const KNOWN: &[(&str, &[&str])] = &[];

/// One module per file, by its path in the crate.
type Modules = BTreeMap<Names, Source>;

/// Which sibling modules use which.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Reports circles that are not known, and known ones that are gone.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut met = BTreeSet::new();
    let mut crates: Vec<_> = fs::read_dir(root.join("crates"))?.collect::<Result<_, _>>()?;
    crates.sort_by_key(|it| it.file_name());
    for entry in crates {
        let name = entry.file_name().to_string_lossy().into_owned();
        for circle in circles(&read(&entry.path().join("src"))?) {
            let known = KNOWN.iter().position(|(of, modules)| {
                *of == name && circle.iter().all(|it| modules.contains(&it.as_str()))
            });
            match known {
                Some(line) => drop(met.insert(line)),
                None => wrong.push(format!(
                    "crates/{name}: these modules use each other in a circle: {}",
                    circle.join(", ")
                )),
            }
        }
    }
    for (line, (name, modules)) in KNOWN.iter().enumerate() {
        if !met.contains(&line) {
            let modules = modules.join(", ");
            wrong.push(format!("crates/{name}: the circle of {modules} is gone: delete its line"));
        }
    }
    Ok(wrong)
}

/// The modules of the crate whose sources are in `folder`.
fn read(folder: &Path) -> anyhow::Result<Modules> {
    let mut modules = Modules::new();
    for file in super::rust_files(folder)? {
        let inside = file.strip_prefix(folder)?.with_extension("");
        let mut path: Names =
            inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if path.last().is_some_and(|it| it == "mod" || it == "lib" || it == "main") {
            path.pop();
        }
        // Test modules in their own files and folders are not counted.
        if path.iter().all(|it| it != "tests") {
            modules.entry(path.clone()).or_default().read(&path, &fs::read_to_string(&file)?);
        }
    }
    Ok(modules)
}

/// Which modules in the sources of `folder` use which of their siblings, by parent.
pub fn uses(folder: &Path) -> anyhow::Result<BTreeMap<Names, Uses>> {
    Ok(siblings(&read(folder)?))
}

/// For each parent, which of its children use which.
fn siblings(modules: &Modules) -> BTreeMap<Names, Uses> {
    let mut uses: BTreeMap<Names, Uses> = BTreeMap::new();
    for path in modules.keys() {
        if let Some((own, parent)) = path.split_last() {
            uses.entry(parent.to_vec()).or_default().entry(own.clone()).or_default();
        }
    }
    for (from, source) in modules {
        for to in source.uses.iter().map(|used| resolve(modules, used)) {
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(child), Some(used)) = (from.get(common), to.get(common)) {
                let parent = uses.entry(from[..common].to_vec()).or_default();
                parent.entry(child.clone()).or_default().insert(used.clone());
            }
        }
    }
    uses
}

/// All circles between siblings, each as the sorted paths of its modules.
fn circles(modules: &Modules) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (parent, edges) in &siblings(modules) {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|child| (child.as_str(), reach(edges, child))).collect();
        let mut done = BTreeSet::new();
        for (child, reaches) in &reached {
            let circle: Vec<&str> = reaches
                .iter()
                .copied()
                .filter(|it| reached.get(it).is_some_and(|back| back.contains(child)))
                .collect();
            if circle.contains(child) && circle.len() > 1 && done.insert(circle.clone()) {
                let whole =
                    |it: &&str| [parent.as_slice(), &[(*it).to_owned()]].concat().join("::");
                found.push(circle.iter().map(whole).collect());
            }
        }
    }
    found
}

/// The modules that are reached from `start` by one or more uses.
fn reach<'a>(edges: &'a Uses, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![start];
    while let Some(at) = open.pop() {
        for next in edges.get(at).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    reached
}

/// The module that a used path leads to, through the re-exports on its way.
fn resolve(modules: &Modules, used: &Names) -> Names {
    let mut path = used.clone();
    // Chains of re-exports are short; the limit guards against a circle of them.
    for _ in 0..8 {
        let deepest = (0..=path.len()).rev().find(|n| modules.contains_key(&path[..*n]));
        let inside = deepest.unwrap_or(0);
        let renamed = path.get(inside).and_then(|name| {
            let source = modules.get(&path[..inside])?;
            let defines = |it: &&Names| modules.get(*it).is_some_and(|it| it.items.contains(name));
            let renamed = source.names.get(name).cloned();
            renamed.or_else(|| {
                Some([source.globs.iter().find(defines)?, &[name.clone()][..]].concat())
            })
        });
        match renamed {
            Some(target) if target != path => path = [target, path[inside + 1..].to_vec()].concat(),
            _ => return path[..inside].to_vec(),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut modules = Modules::new();
        for (path, text) in files {
            let path: Names =
                path.split("::").filter(|it| !it.is_empty()).map(Into::into).collect();
            modules.entry(path.clone()).or_default().read(&path, text);
        }
        circles(&modules)
    }

    #[test]
    fn two_siblings_that_use_each_other_are_a_circle() {
        let a = ("a", "use crate::b::B;");
        assert_eq!(found(&[("", ""), a, ("b", "fn f() { super::a::g() }")]), [["a", "b"]]);
        assert!(found(&[("", ""), a, ("b", "use std::fs;")]).is_empty());
    }

    #[test]
    fn a_circle_of_three_is_found_through_groups_and_deeper_modules() {
        let files = [
            ("", ""),
            ("a", "use crate::{b::{B, deep::C}, other};"),
            ("b", ""),
            ("b::deep", "use crate::c;"),
            ("c", "use super::a::{self, A as X};"),
            ("other", ""),
        ];
        assert_eq!(found(&files), [["a", "b", "c"]]);
    }

    #[test]
    fn a_re_export_hides_no_circle() {
        let root = ("", "mod a; mod b; pub use b::B;");
        assert_eq!(found(&[root, ("a", "use crate::B;"), ("b", "use crate::a;")]), [["a", "b"]]);
    }

    #[test]
    fn importing_everything_hides_no_circle() {
        let root = ("", "mod a; mod b; pub use b::*;");
        let b = ("b", "use crate::a;\npub struct B;");
        assert_eq!(found(&[root, ("a", "use crate::B;"), b]), [["a", "b"]]);
    }

    #[test]
    fn tests_in_a_file_of_their_own_hide_no_circle() {
        let a = ("a", "#[cfg(test)]\nmod tests;\n\nuse crate::b;");
        assert_eq!(found(&[("", ""), a, ("b", "use crate::a;")]), [["a", "b"]]);
    }

    #[test]
    fn parents_tests_comments_and_texts_make_no_circle() {
        let files = [
            ("", "mod a; mod b; use a::A;"),
            ("a", "use super::Root;\nuse crate::b::B;"),
            (
                "b",
                "// use crate::a\nconst X: &str = \"crate::a\";\n#[cfg(test)]\nmod tests { use crate::a::A; }",
            ),
        ];
        assert!(found(&files).is_empty());
    }
}
