//! `cargo xtask features`: compiles each crate with each combination of its features that a
//! manifest offers: none, each by itself, and all.

use crate::cargo::{cargo, metadata};
use anyhow::{Context, ensure};
use serde_json::Value;

/// The crate that other programs compile, with features that no program of ours may have.
const LIBRARY: &str = "tegata-verifier";

/// Checks all of them, or those of the library alone, which take seconds; warnings are errors.
pub fn check(all: bool) -> anyhow::Result<()> {
    let metadata = metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let packages = packages.iter().filter(|it| all || it["name"] == LIBRARY);
    for (package, features) in packages.flat_map(combinations) {
        println!("{package} with {}", if features.is_empty() { "no feature" } else { &features });
        let words = ["clippy", "--locked", "--package", &package, "--no-default-features"];
        let mut check = cargo(&words)?;
        // It would add the features that other crates of the workspace ask for.
        check.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION");
        check.args(["--quiet", "--features", &features, "--", "-D", "warnings"]);
        ensure!(check.status()?.success(), "{package} does not compile with: {features:?}");
    }
    Ok(())
}

/// A crate's name, with each combination of its features as `--features` takes it.
fn combinations(package: &Value) -> Vec<(String, String)> {
    let name = package["name"].as_str().unwrap_or_default();
    let features = package["features"].as_object().into_iter().flatten();
    let features: Vec<_> = features.map(|it| it.0.as_str()).filter(|it| *it != "default").collect();
    if features.is_empty() {
        return Vec::new();
    }
    let mut all = vec![String::new()];
    all.extend(features.iter().map(|it| (*it).to_owned()));
    if features.len() > 1 {
        all.push(features.join(","));
    }
    all.into_iter().map(|it| (name.to_owned(), it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_crate_is_compiled_with_no_feature_each_and_all() {
        let package = json!({ "name": "it", "features": { "a": [], "b": [], "default": ["a"] } });
        let found: Vec<_> = combinations(&package).into_iter().map(|it| it.1).collect();
        assert_eq!(found, ["", "a", "b", "a,b"]);
        assert!(combinations(&json!({ "name": "it", "features": {} })).is_empty());
    }
}
