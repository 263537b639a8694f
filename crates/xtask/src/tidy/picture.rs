//! The picture of crates and modules in ARCHITECTURE.md, drawn from the sources.
//! `cargo xtask tidy` compares it with them, `cargo xtask tidy --write` redraws it.

use super::{modules, modules::Uses};
use anyhow::{Context, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- begin: drawn by `cargo xtask tidy --write` -->\n";
const END: &str = "<!-- end -->\n";
/// Minimum number of submodules for which a module has its own picture.
const WORTH_DRAWING: usize = 5;

/// Which node uses which, by name.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Reports a picture that differs from the sources.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let page = fs::read_to_string(root.join(PAGE))?;
    let wrong = format!("{PAGE}: the picture is out of date; run `cargo xtask tidy --write`");
    Ok((drawn_into(&page, &draw(root)?)? != page).then_some(wrong).into_iter().collect())
}

/// Writes the picture into the page.
pub fn write(root: &Path) -> anyhow::Result<()> {
    let place = root.join(PAGE);
    let page = fs::read_to_string(&place)?;
    Ok(fs::write(place, drawn_into(&page, &draw(root)?)?)?)
}

fn drawn_into(page: &str, picture: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE}: no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE}: no {END}"))?;
    Ok(format!("{before}{BEGIN}{picture}{END}{after}"))
}

fn draw(root: &Path) -> anyhow::Result<String> {
    let crates = crates(root)?;
    let edges = borrowed(&crates);
    let mut picture = diagram(&edges);
    for name in in_order(&edges) {
        // The bindings' few modules need no picture.
        let sources = root.join("crates").join(name).join("src");
        if !sources.exists() {
            continue;
        }
        let uses = modules::uses(&sources)?;
        for (parent, edges) in &uses {
            if parent.is_empty() && edges.len() > 1 || edges.len() >= WORTH_DRAWING {
                let title = [&[name.to_owned()], parent.as_slice()].concat().join("::");
                let body = diagram(&borrowed(edges));
                write!(picture, "\n<details><summary>{title}</summary>\n\n{body}\n</details>\n")?;
            }
        }
    }
    Ok(picture)
}

fn borrowed(edges: &Uses) -> Edges<'_> {
    let uses = edges.iter();
    uses.map(|(name, all)| (name.as_str(), all.iter().map(String::as_str).collect())).collect()
}

/// The crates of the workspace, and which of them each uses according to its manifest.
fn crates(root: &Path) -> anyhow::Result<Uses> {
    let mut names = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for folder in super::crate_folders(root)? {
        let text = fs::read_to_string(folder.join("Cargo.toml"))?;
        let manifest: toml::Table = text.parse()?;
        let name = manifest.get("package").and_then(|it| it.get("name")?.as_str());
        let name = name.with_context(|| format!("{}: no name", folder.display()))?;
        let short = folder.file_name().context("a folder without a name")?;
        names.insert(name.to_owned(), short.to_string_lossy().into_owned());
        manifests.insert(name.to_owned(), manifest);
    }
    ensure!(!names.is_empty(), "no crates");
    let uses = |manifest: &toml::Table| {
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        let used = used.into_iter().flat_map(toml::Table::keys);
        used.filter_map(|it| names.get(it).cloned()).collect()
    };
    Ok(manifests.iter().map(|(name, it)| (names[name].clone(), uses(it))).collect())
}

/// The nodes, those that use most others first.
fn in_order<'a>(edges: &Edges<'a>) -> Vec<&'a str> {
    let depth = |name: &&str| std::cmp::Reverse(below(edges, name).len());
    let mut names: Vec<_> = edges.keys().copied().collect();
    names.sort_by_key(depth);
    names
}

/// All nodes that a node uses, directly or indirectly.
fn below<'a>(edges: &Edges<'a>, name: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = edges.get(name).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    found
}

/// Draws a Mermaid diagram. Arrows that follow from others are left out.
fn diagram(edges: &Edges<'_>) -> String {
    let mut text = "```mermaid\ngraph TD\n".to_owned();
    for (from, uses) in edges {
        let direct = uses.iter().filter(|to| {
            let others = uses.iter().filter(|it| it != to);
            !others.into_iter().any(|it| below(edges, it).contains(*to))
        });
        let mut lines = direct.map(|to| format!("  {from} --> {to}\n")).peekable();
        if lines.peek().is_none() {
            text += &format!("  {from}\n");
        }
        text.extend(lines);
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_follows_from_others_is_not_drawn() {
        let uses = |all: &[&'static str]| all.iter().copied().collect::<BTreeSet<_>>();
        let edges = Edges::from([("a", uses(&["b", "c"])), ("b", uses(&["c"])), ("c", uses(&[]))]);
        let arrows = "```mermaid\ngraph TD\n  a --> b\n  b --> c\n  c\n```\n";
        assert_eq!(diagram(&edges), arrows);
        assert_eq!(in_order(&edges), ["a", "b", "c"]);
    }

    #[test]
    fn the_picture_is_between_its_comments() {
        let page = format!("above\n{BEGIN}old\n{END}below\n");
        assert_eq!(drawn_into(&page, "new\n").unwrap(), format!("above\n{BEGIN}new\n{END}below\n"));
        assert!(drawn_into("no comments", "new").is_err());
    }
}
