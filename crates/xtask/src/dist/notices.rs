//! The licences and notices of the libraries that are linked into the program: their licences
//! allow to ship it with these texts only.

use super::materials::{Linked, Package};
use anyhow::Context;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The name of the file.
pub const FILE: &str = "THIRD-PARTY-LICENSES";

/// How the names of files with licences begin.
const NAMES: [&str; 6] = ["copying", "copyright", "licence", "license", "notice", "unlicense"];

/// The texts, each once, with the libraries that have it.
pub fn text(linked: &Linked) -> anyhow::Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut all = String::from(
        "Tegata's program is linked with these libraries. Their licences follow the list.\n\n",
    );
    let theirs = linked.0.iter().filter(|it| it.linked && !it.about["source"].is_null());
    for package in theirs {
        let licence = package.about["license"].as_str().unwrap_or("see its file");
        all += &format!("  {} ({licence})\n", package.name);
        for text in files(package)? {
            texts.entry(text).or_default().push(package.name.clone());
        }
    }
    let mut texts: Vec<_> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, text) in texts {
        let line = "-".repeat(78);
        all += &format!("\n{line}\n{}:\n\n{}\n", names.join(", "), text.trim_end());
    }
    Ok(all)
}

/// The texts of a package's licences and notices.
fn files(package: &Package) -> anyhow::Result<Vec<String>> {
    let manifest = package.about["manifest_path"].as_str().context("a package without a place")?;
    let folder = Path::new(manifest).parent().context("a manifest without a folder")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && NAMES.iter().any(|it| name.starts_with(it)) {
            found.push(String::from_utf8_lossy(&fs::read(&path)?).into_owned());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_is_named_and_its_notice_is_there() {
        let linked = Linked::find(super::super::FEATURE).unwrap();
        let text = text(&linked).unwrap();
        for needed in ["  rustls 0.", "  tikv-jemallocator ", "Permission is hereby granted"] {
            assert!(text.contains(needed), "{needed}");
        }
        assert!(!text.contains("tegata-server"), "ours have the project's licence");
        assert!(!text.contains("  cc 1."), "not in the program");
    }
}
