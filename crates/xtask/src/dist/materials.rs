//! The bill of materials: the crates that the shipped program is made of, as CycloneDX.
//!
//! Not by a tool: `cargo-cyclonedx` takes minutes to compile, writes into the folders of the
//! sources, and lists the crates of all features and targets; cargo names exactly those of
//! the shipped program.

use super::source_date;
use crate::cargo::{COMPILED, LINKED, metadata, needed_by};
use crate::setup::workspace;
use anyhow::Context;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The name of the file.
pub const FILE: &str = "tegata.cdx.json";

/// A crate.
pub struct Package {
    /// `serde 1.0.0`.
    pub name: String,
    /// Whether it is in the program, and not only in what cargo runs to build it.
    pub linked: bool,
    /// As cargo describes it.
    pub about: Value,
    /// The SHA-256 of its archive, unless it is one of ours.
    sum: Option<String>,
    /// The names of the crates that it needs directly.
    needs: BTreeSet<String>,
}

/// The crates that the program is made of, by name.
pub struct Linked(pub Vec<Package>);

impl Linked {
    /// Those of the program with this feature, for this machine.
    pub fn find(feature: &str) -> anyhow::Result<Self> {
        let compiled = needed_by("tegata", feature, COMPILED)?;
        let linked = needed_by("tegata", feature, LINKED)?;
        let metadata = metadata(&["--features", &format!("tegata/{feature}")])?;
        let sums = sums(&fs::read_to_string(workspace()?.join("Cargo.lock"))?)?;
        let all = metadata["packages"].as_array().context("cargo names no packages")?;
        let names: BTreeMap<&str, String> =
            all.iter().filter_map(|it| Some((it["id"].as_str()?, name(it)))).collect();
        let nodes = metadata["resolve"]["nodes"].as_array().context("cargo resolves nothing")?;
        let mut packages = Vec::new();
        for about in all.iter().filter(|it| compiled.contains(&name(it))) {
            let name = name(about);
            let node = nodes.iter().find(|it| it["id"] == about["id"]);
            let needs = node.and_then(|it| it["dependencies"].as_array()).into_iter().flatten();
            let needs = needs.filter_map(|it| names.get(it.as_str()?)).cloned();
            packages.push(Package {
                linked: linked.contains(&name),
                needs: needs.filter(|it| compiled.contains(it)).collect(),
                sum: sums.get(&name).cloned(),
                about: about.clone(),
                name,
            });
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(packages))
    }
}

/// `serde 1.0.0`.
fn name(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("name"), text("version"))
}

/// The sums of the archives, by the lock file.
fn sums(lock: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let sum = |it: &toml::Value| {
        let text = |key: &str| it.get(key)?.as_str().map(str::to_owned);
        Some((format!("{} {}", text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.into_iter().flatten().filter_map(sum).collect())
}

/// The package's address, as the package-url specification has it.
fn reference(name: &str) -> String {
    format!("pkg:cargo/{}", name.replace(' ', "@").replace('+', "%2B"))
}

/// The document.
pub fn text(linked: &Linked, version: &str) -> anyhow::Result<String> {
    let program = linked.0.iter().find(|it| it.about["name"] == "tegata");
    let program = program.context("the program is not among its crates")?;
    let when = super::printed(
        "date",
        &["--utc", "--date", &format!("@{}", source_date()?), "+%Y-%m-%dT%H:%M:%SZ"],
        &workspace()?,
    )?;
    let mut main = component(program);
    main["type"] = "application".into();
    main["version"] = version.into();
    let others = linked.0.iter().filter(|it| it.name != program.name);
    let needs = linked.0.iter().map(|it| {
        let on: Vec<_> = it.needs.iter().map(|it| reference(it)).collect();
        json!({ "ref": reference(&it.name), "dependsOn": on })
    });
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "timestamp": when.trim(), "component": main },
        "components": others.map(component).collect::<Vec<_>>(),
        "dependencies": needs.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn component(package: &Package) -> Value {
    let about = &package.about;
    let mut it = json!({
        "type": "library",
        "bom-ref": reference(&package.name),
        "name": about["name"],
        "version": about["version"],
        "scope": if package.linked { "required" } else { "excluded" },
        "purl": reference(&package.name),
    });
    if let Some(licence) = about["license"].as_str() {
        // Crates of before SPDX write `MIT/Apache-2.0`.
        let expression = licence.replace('/', " OR ");
        it["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(sum) = &package.sum {
        it["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(repository) = about["repository"].as_str() {
        it["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_lists_what_is_linked_and_what_builds_it() {
        let linked = Linked::find(super::super::FEATURE).unwrap();
        let document: Value = serde_json::from_str(&text(&linked, "1.2.3").unwrap()).unwrap();
        assert_eq!(document["metadata"]["component"]["version"], "1.2.3");
        let components = document["components"].as_array().unwrap();
        let scope = |name: &str| {
            let found = components.iter().find(|it| it["name"] == name);
            found.map_or("none", |it| it["scope"].as_str().unwrap())
        };
        assert_eq!(scope("rustls"), "required");
        assert_eq!(scope("tikv-jemallocator"), "required", "the shipped program's feature");
        assert_eq!(scope("cc"), "excluded", "compiles C, and is not in the program");
        assert_eq!(scope("serde_derive"), "excluded");
        assert_eq!(scope("proptest"), "none", "in tests alone");
        let rustls = components.iter().find(|it| it["name"] == "rustls").unwrap();
        assert_eq!(rustls["hashes"][0]["content"].as_str().unwrap().len(), 64);
        // Each crate that another one needs is listed.
        let program = &document["metadata"]["component"]["bom-ref"];
        let listed: Vec<_> = components.iter().map(|it| &it["bom-ref"]).collect();
        for needed in document["dependencies"].as_array().unwrap() {
            for on in needed["dependsOn"].as_array().unwrap() {
                assert!(listed.contains(&on) || on == program, "{on}");
            }
        }
    }
}
