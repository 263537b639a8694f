//! Rule: every dependency has a reason, an accepted licence and an accepted source.
//!
//! `deny.toml` is the list. `cargo deny` reads the same file in CI, where it also
//! compares the versions with the known advisories.

use super::{crate_folders, place, rust_files};
use crate::cargo::{built, metadata};
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeSet;
use std::{fs, path::Path};
use toml::Table;

const REASONS: &str = "docs/decisions/0001-dependencies.md";

/// Reports every dependency that violates the rule.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let named = named(root)?;
    let mut wrong = reasons(&named, &fs::read_to_string(root.join(REASONS))?);
    wrong.extend(unused(root, &named)?);
    let rules = fs::read_to_string(root.join("deny.toml"))?;
    wrong.extend(denied(&rules.parse().context("deny.toml")?, &metadata(&[])?, &built()?)?);
    Ok(wrong)
}

/// The libraries in the manifests of the workspace and of the fuzzers.
fn named(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let workspace = manifest(&root.join("Cargo.toml"))?;
    let fuzz = manifest(&root.join("fuzz/Cargo.toml"))?;
    let tables = [workspace["workspace"].get("dependencies"), fuzz.get("dependencies")];
    let all = tables.into_iter().flatten().filter_map(toml::Value::as_table).flatten();
    Ok(all.filter(|(_, it)| it.get("path").is_none()).map(|(name, _)| name.clone()).collect())
}

fn manifest(file: &Path) -> anyhow::Result<Table> {
    fs::read_to_string(file)?.parse().with_context(|| file.display().to_string())
}

/// Compares the libraries with the lines of the decision on dependencies.
fn reasons(named: &BTreeSet<String>, decision: &str) -> Vec<String> {
    let rows = decision.lines().filter(|line| line.starts_with('|'));
    let column = rows.filter_map(|row| row.split('|').nth(2));
    let listed: BTreeSet<&str> =
        column.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let missing = named
        .iter()
        .filter(|name| !listed.contains(name.as_str()))
        .map(|name| format!("{REASONS}: `{name}` has no line with its reason"));
    let gone = listed
        .iter()
        .filter(|name| !named.contains(**name))
        .map(|name| format!("{REASONS}: `{name}` is no longer a dependency"));
    missing.chain(gone).collect()
}

/// Reports libraries of the workspace's manifest that no crate uses, and libraries in a crate's
/// manifest that no source of the crate names.
fn unused(root: &Path, named: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    // The fuzzers include sources of other crates.
    let mut used = in_manifest(&manifest(&root.join("fuzz/Cargo.toml"))?);
    let mut wrong = Vec::new();
    for folder in crate_folders(root)? {
        let here = in_manifest(&manifest(&folder.join("Cargo.toml"))?);
        let mut sources = String::new();
        for file in rust_files(&folder)? {
            sources.push_str(&fs::read_to_string(file)?);
        }
        let place = place(root, &folder.join("Cargo.toml"));
        let idle = unnamed(&here, &sources);
        wrong.extend(idle.map(|name| format!("{place}: no source of the crate names `{name}`")));
        used.extend(here);
    }
    let unused = named.difference(&used);
    wrong.extend(unused.map(|name| format!("Cargo.toml: no crate uses `{name}`")));
    Ok(wrong)
}

/// The libraries in a crate's manifest.
fn in_manifest(manifest: &Table) -> BTreeSet<String> {
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|it| manifest.get(*it)?.as_table());
    tables.flatten().map(|(name, _)| name.clone()).collect()
}

/// Those of these libraries that the sources do not name.
fn unnamed<'a>(libraries: &'a BTreeSet<String>, sources: &str) -> impl Iterator<Item = &'a String> {
    let words: BTreeSet<&str> =
        sources.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').collect();
    libraries.iter().filter(move |it| !words.contains(it.replace('-', "_").as_str()))
}

/// Applies the bans, licences and sources of `rules` to the `built` packages of
/// `metadata`.
fn denied(
    rules: &Table,
    metadata: &Value,
    built: &BTreeSet<String>,
) -> anyhow::Result<Vec<String>> {
    let licences = &rules["licenses"];
    let allowed = texts(licences.get("allow"));
    let sources = texts(rules["sources"].get("allow-registry"));
    let bans = rules["bans"].get("deny").and_then(toml::Value::as_array);
    let ban_of = |name: &str| {
        bans.into_iter()
            .flatten()
            .find(|it| it.get("crate").and_then(toml::Value::as_str) == Some(name))
    };
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let is_built = |package: &Value| {
        let part = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        built.contains(&format!("{} {}", part("name"), part("version")))
    };

    let mut wrong = Vec::new();
    // Optional dependencies of unused features are listed, but never built.
    for package in packages.iter().filter(|it| is_built(it)) {
        let name = package["name"].as_str().context("a package without a name")?;
        let version = package["version"].as_str().unwrap_or_default();
        if let Some(ban) = ban_of(name) {
            let wrappers = texts(ban.get("wrappers"));
            let other = |it: &&Value| !wrappers.contains(it["name"].as_str().unwrap_or_default());
            let mut users = packages.iter().filter(|it| is_built(it) && depends_on(it, name));
            if wrappers.is_empty() || users.any(|it| other(&it)) {
                wrong.push(format!("{name} {version} is banned by deny.toml"));
            }
        }
        let licence = package["license"].as_str().unwrap_or_default();
        if !accepts(licence, &allowed) && !excepted(licences, name, licence) {
            wrong.push(format!("{name} {version}: deny.toml does not allow `{licence}`"));
        }
        // The crates of the workspace have no source.
        if let Some(source) = package["source"].as_str() {
            let url = source.split_once('+').map_or(source, |(_, url)| url);
            if !sources.contains(url) {
                wrong.push(format!(
                    "{name} {version} comes from {url}, which deny.toml does not allow"
                ));
            }
        }
    }
    Ok(wrong)
}

/// Whether a package needs the library of this name on every platform. What the tests of a
/// package from elsewhere need is not compiled.
fn depends_on(package: &Value, name: &str) -> bool {
    let all = package["dependencies"].as_array();
    let is_own = package["source"].is_null();
    let is_it = |it: &Value| {
        let is_compiled = is_own || it["kind"] != "dev";
        it["name"] == name && is_compiled && it["target"].is_null() && it["optional"] != true
    };
    all.is_some_and(|all| all.iter().any(is_it))
}

/// Whether `deny.toml` allows this licence for this library alone.
fn excepted(licences: &toml::Value, name: &str, licence: &str) -> bool {
    let exceptions = licences.get("exceptions").and_then(toml::Value::as_array);
    exceptions.into_iter().flatten().any(|it| {
        let is_it = it.get("crate").and_then(toml::Value::as_str) == Some(name);
        is_it && accepts(licence, &texts(it.get("allow")))
    })
}

fn texts(array: Option<&toml::Value>) -> BTreeSet<&str> {
    array
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_str())
        .collect()
}

/// Whether a licence expression can be met with the `allowed` licences alone. `A / B`
/// is how old packages write `A OR B`.
fn accepts(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = either(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    match words.next() {
        Some("(") => {
            let met = either(words, allowed);
            words.next() == Some(")") && met
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            allowed.contains(format!("{licence} WITH {exception}").as_str())
        }
        Some(licence) => allowed.contains(licence),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Table {
        r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "ISC"]
        exceptions = [{ crate = "excepted", allow = ["MPL-2.0"] }]
        [bans]
        deny = [
            { crate = "openssl-sys", reason = "one library for cryptography" },
            { crate = "wrapped", wrappers = ["wrapper"] },
        ]
        [sources]
        allow-registry = ["https://github.com/rust-lang/crates.io-index"]
        "#
        .parse()
        .unwrap()
    }

    fn broken(package: Value) -> Vec<String> {
        let mut other = package.clone();
        (other["name"], other["license"]) = ("other".into(), "never built".into());
        let built = ["a", "openssl-sys", "excepted"].map(|it| format!("{it} 1.0.0")).into();
        denied(&rules(), &json!({ "packages": [package, other] }), &built).unwrap()
    }

    #[test]
    fn a_ban_a_licence_and_a_source_are_reported() {
        let home = "registry+https://github.com/rust-lang/crates.io-index";
        let good = json!({ "name": "a", "version": "1.0.0", "license": "MIT", "source": home });
        assert!(broken(good.clone()).is_empty());
        let other = |key: &str, value: &str| {
            let mut package = good.clone();
            package[key] = value.into();
            broken(package)
        };
        assert_eq!(other("name", "openssl-sys"), ["openssl-sys 1.0.0 is banned by deny.toml"]);
        // A ban can except the libraries that are the only ones to need it.
        let wrapped = json!({ "name": "wrapped", "version": "1.0.0", "license": "MIT" });
        let needs_it = |name: &str, kind: Value, source: Value| {
            let needs = json!({ "name": "wrapped", "kind": kind });
            let mut user = json!({ "name": name, "version": "1.0.0", "license": "MIT" });
            (user["dependencies"], user["source"]) = (json!([needs]), source);
            let built = ["wrapped", name].map(|it| format!("{it} 1.0.0")).into();
            denied(&rules(), &json!({ "packages": [wrapped, user] }), &built).unwrap()
        };
        let banned = ["wrapped 1.0.0 is banned by deny.toml"];
        assert!(needs_it("wrapper", Value::Null, home.into()).is_empty());
        assert_eq!(needs_it("a", Value::Null, home.into()), banned);
        assert_eq!(needs_it("a", "dev".into(), Value::Null), banned, "our own tests");
        assert!(needs_it("a", "dev".into(), home.into()).is_empty(), "another project's tests");
        assert_eq!(other("license", "GPL-3.0"), ["a 1.0.0: deny.toml does not allow `GPL-3.0`"]);
        let excepted = json!({ "name": "excepted", "version": "1.0.0", "license": "MPL-2.0" });
        assert!(broken(excepted).is_empty());
        assert_eq!(other("license", "MPL-2.0"), ["a 1.0.0: deny.toml does not allow `MPL-2.0`"]);
        assert_eq!(other("license", ""), ["a 1.0.0: deny.toml does not allow ``"]);
        let source = other("source", "git+https://example.com/a");
        assert_eq!(
            source,
            ["a 1.0.0 comes from https://example.com/a, which deny.toml does not allow"]
        );
    }

    #[test]
    fn licence_expressions_are_met_as_they_are_written() {
        let allowed = ["MIT", "Apache-2.0", "ISC"].into();
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Zlib", "ISC AND (Zlib OR MIT) AND Apache-2.0"] {
            assert!(accepts(good, &allowed), "{good}");
        }
        let exception = "Apache-2.0 WITH LLVM-exception";
        for bad in [
            "",
            "MIT AND Zlib",
            "ISC AND (Zlib OR MIT",
            "MIT ISC",
            exception,
            "(MIT AND Zlib) OR BSD",
        ] {
            assert!(!accepts(bad, &allowed), "{bad}");
        }
        assert!(accepts(exception, &[exception].into()));
    }

    #[test]
    fn a_library_that_no_source_of_its_crate_names_is_reported() {
        let manifest = "[dependencies]\nserde-json = \"1\"\nsubtle = \"2\"\n\
                        [dev-dependencies]\ntempfile.workspace = true\n";
        let libraries = in_manifest(&manifest.parse().unwrap());
        let wrong: Vec<_> =
            unnamed(&libraries, "use serde_json::json; // not subtle_at_all").collect();
        assert_eq!(wrong, ["subtle", "tempfile"]);
    }

    #[test]
    fn a_library_without_a_reason_and_a_reason_without_a_library_are_reported() {
        let named = ["serde".to_owned(), "toml".to_owned()].into();
        let wrong =
            reasons(&named, "| for | library | because |\n| JSON | `serde`, `insta` | `x` |\n");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("`toml` has no line"), "{wrong:?}");
        assert!(wrong[1].contains("`insta` is no longer"), "{wrong:?}");
    }
}
