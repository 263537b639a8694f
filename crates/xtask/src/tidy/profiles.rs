//! The profile of what is shipped inherits that of a short build, with the settings of single
//! crates: each must be set anew, or it would be shipped half optimised.

use std::{fs, path::Path};

/// Reports crates for which `release` has a setting and `dist` has none of its own.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    wrong_in(&fs::read_to_string(root.join("Cargo.toml"))?)
}

fn wrong_in(manifest: &str) -> anyhow::Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let level = |profile: &str, name: &str| {
        manifest
            .get("profile")?
            .get(profile)?
            .get("package")?
            .get(name)?
            .get("opt-level")?
            .as_integer()
    };
    let quick =
        manifest.get("profile").and_then(|it| it.get("release")?.get("package")?.as_table());
    let names = quick.into_iter().flatten().map(|(name, _)| name);
    let inherited = names.filter(|name| level("dist", name) != Some(3));
    let words = |name: &String| {
        format!("Cargo.toml: {name} needs `opt-level = 3` in [profile.dist.package]")
    };
    Ok(inherited.map(words).collect())
}

#[cfg(test)]
mod tests {
    use super::wrong_in;

    #[test]
    fn a_crate_that_would_be_shipped_half_optimised_is_reported() {
        let quick = "[profile.release.package]\na = { opt-level = 1 }\nb = { opt-level = 1 }\n";
        let shipped = "[profile.dist.package]\na = { opt-level = 3 }\n";
        let wrong = wrong_in(&format!("{quick}{shipped}")).unwrap();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("b needs"));
        let both = format!("{quick}{shipped}b = {{ opt-level = 3 }}\n");
        assert!(wrong_in(&both).unwrap().is_empty());
    }
}
