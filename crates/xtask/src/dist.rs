//! `cargo xtask dist`: writes the shipped program to `target/dist/shipped`, without debug
//! information, which goes to a separate file next to it, where debuggers look for it.

use crate::cargo::{cargo, target_folder};
use anyhow::{Context, ensure};
use std::{path::Path, process::Command};

/// Builds the program with what is shipped: see decisions 12 and 15.
pub fn build() -> anyhow::Result<()> {
    let words = ["build", "--locked", "--profile", "dist", "--package", "tegata"];
    let status = cargo(&words)?.args(["--features", "jemalloc"]).status()?;
    ensure!(status.success(), "the program does not build");
    Ok(())
}

/// Builds the program and moves its debug information to a separate file.
pub fn run() -> anyhow::Result<()> {
    build()?;
    let folder = target_folder()?.join("dist");
    split(&folder)?;
    examine(&folder.join("shipped"))?;
    for file in ["tegata", "tegata.debug"] {
        let path = folder.join("shipped").join(file);
        let size = std::fs::metadata(&path)?.len() / 1_048_576;
        println!("{} ({size} MiB)", path.display());
    }
    Ok(())
}

/// Moves the debug information of `tegata` in this folder to a file next to the shipped
/// program.
fn split(folder: &Path) -> anyhow::Result<()> {
    // Not Rust's `split-debuginfo`: it leaves the line table in the program, and
    // stripping that would remove what backtraces need.
    std::fs::create_dir_all(folder.join("shipped"))?;
    for words in [
        ["--only-keep-debug", "tegata", "tegata.debug"].as_slice(),
        &["--strip-debug", "--strip-unneeded", "tegata", "shipped/tegata"],
        &["--add-gnu-debuglink=tegata.debug", "shipped/tegata"],
    ] {
        let status = Command::new("objcopy").args(words).current_dir(folder).status();
        let status = status.context("objcopy is missing: it comes with the C compiler")?;
        ensure!(status.success(), "objcopy {} failed", words.join(" "));
    }
    std::fs::rename(folder.join("tegata.debug"), folder.join("shipped/tegata.debug"))?;
    Ok(())
}

/// The longest program that is shipped, in MiB.
const LONGEST: u64 = 60;

/// Fails if a shipped file is not what it should be: the program without debug information,
/// with the name of the file that holds it, and able to start.
fn examine(shipped: &Path) -> anyhow::Result<()> {
    let program = sections(&shipped.join("tegata"))?;
    ensure!(!program.contains(".debug_info"), "the shipped program holds debug information");
    ensure!(!program.contains(".symtab"), "the shipped program holds its symbol table");
    ensure!(program.contains(".gnu_debuglink"), "the shipped program names no debug file");
    let debug = sections(&shipped.join("tegata.debug"))?;
    ensure!(debug.contains(".debug_info"), "tegata.debug holds no debug information");
    let size = std::fs::metadata(shipped.join("tegata"))?.len() / 1_048_576;
    ensure!(size <= LONGEST, "the shipped program has {size} MiB, more than {LONGEST}");
    let version = Command::new(shipped.join("tegata")).arg("--version").status();
    ensure!(version.is_ok_and(|it| it.success()), "the shipped program does not run");
    Ok(())
}

/// The names of a file's sections.
fn sections(file: &Path) -> anyhow::Result<String> {
    let output = Command::new("readelf").args(["--sections", "--wide"]).arg(file).output();
    let output = output.context("readelf is missing: it comes with the C compiler")?;
    ensure!(output.status.success(), "{} is not a program", file.display());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipped_program_has_its_debug_information_in_a_file_of_its_own() {
        let folder = std::env::temp_dir().join(format!("tegata-dist-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("shipped")).unwrap();
        std::fs::write(folder.join("it.c"), "int main(void) { return 0; }").unwrap();
        let words = ["-g", "-o", "tegata", "it.c"];
        let compiled = Command::new("cc").args(words).current_dir(&folder).status().unwrap();
        assert!(compiled.success());
        std::fs::copy(folder.join("tegata"), folder.join("shipped/tegata")).unwrap();
        let error = examine(&folder.join("shipped")).unwrap_err().to_string();
        assert_eq!(error, "the shipped program holds debug information");
        split(&folder).unwrap();
        examine(&folder.join("shipped")).unwrap();
        // A program that does not start is not shipped.
        std::fs::write(folder.join("it.c"), "int main(void) { return 1; }").unwrap();
        assert!(Command::new("cc").args(words).current_dir(&folder).status().unwrap().success());
        split(&folder).unwrap();
        let error = examine(&folder.join("shipped")).unwrap_err().to_string();
        assert_eq!(error, "the shipped program does not run");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
