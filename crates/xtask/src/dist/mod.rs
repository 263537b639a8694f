//! `cargo xtask dist`: writes all that is shipped to `target/dist/shipped`: the program,
//! without debug information, which goes to a separate file next to it, where debuggers look
//! for it; packages for Debian; the licences and a bill of materials of the libraries that
//! are linked; and the SHA-256 of each of these files.

mod debian;
mod materials;
mod notices;

use crate::cargo::{cargo, target_folder};
use crate::setup::workspace;
use anyhow::{Context, bail, ensure};
use materials::Linked;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The feature of the shipped program.
const FEATURE: &str = "jemalloc";

/// Builds the program with what is shipped: see decisions 12 and 15.
pub fn build() -> anyhow::Result<()> {
    let words = ["build", "--locked", "--profile", "dist", "--package", "tegata"];
    let status = cargo(&words)?.args(["--features", FEATURE]).status()?;
    ensure!(status.success(), "the program does not build");
    Ok(())
}

/// Builds the program, or takes the one that the options name, and packs it.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    match *options {
        [] => {
            build()?;
            let folder = target_folder()?.join("dist");
            let shipped = folder.join("shipped");
            if shipped.exists() {
                fs::remove_dir_all(&shipped)?;
            }
            split(&folder)?;
            examine(&shipped)?;
            pack(&folder.join("tegata"), &shipped, env!("CARGO_PKG_VERSION"))?;
            debian::check(&shipped)?;
            show(&shipped)
        }
        ["--program", program, "--into", into] => {
            pack(&absolute(program)?, &absolute(into)?, env!("CARGO_PKG_VERSION"))
        }
        ["--program", program, "--into", into, "--version", version] => {
            pack(&absolute(program)?, &absolute(into)?, version)
        }
        _ => bail!("usage: cargo xtask dist [--program FILE --into FOLDER [--version V]]"),
    }
}

fn absolute(path: &str) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.to_owned())
}

/// Writes all that describes and contains `program` to the folder `into`.
fn pack(program: &Path, into: &Path, version: &str) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    let linked = Linked::find(FEATURE)?;
    fs::write(into.join(materials::FILE), materials::text(&linked, version)?)?;
    fs::write(into.join(notices::FILE), notices::text(&linked)?)?;
    debian::pack(program, into, version)?;
    sums(into)
}

/// The seconds since 1970 at which the source was committed, or now where there is no
/// repository: two builds of one commit are equal.
fn source_date() -> anyhow::Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().context("SOURCE_DATE_EPOCH");
    }
    let git = ["log", "-1", "--format=%ct"];
    let shown = Command::new("git").args(git).current_dir(workspace()?).output();
    let commit = shown.ok().filter(|it| it.status.success());
    let text = match commit {
        Some(it) => String::from_utf8(it.stdout)?,
        None => printed("date", &["+%s"], &workspace()?)?,
    };
    text.trim().parse().context("the date of the source")
}

/// What a program prints.
fn printed(program: &str, words: &[&str], folder: &Path) -> anyhow::Result<String> {
    let done = Command::new(program).args(words).current_dir(folder).output();
    Ok(String::from_utf8(succeeded(program, done)?.stdout)?)
}

fn succeeded(program: &str, done: std::io::Result<Output>) -> anyhow::Result<Output> {
    let done = done.with_context(|| format!("{program} does not start"))?;
    let why = String::from_utf8_lossy(&[&done.stdout[..], &done.stderr[..]].concat()).into_owned();
    ensure!(done.status.success(), "{program} failed: {why}");
    Ok(done)
}

/// The file with the sums.
const SUMS: &str = "SHA256SUMS";

/// Writes the SHA-256 of each file of the folder, as `sha256sum --check` reads it.
fn sums(folder: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().filter(|it| it.path().is_file());
    let mut names: Vec<_> =
        files.filter_map(|it| it.file_name().into_string().ok()).filter(|it| it != SUMS).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Ok(fs::write(folder.join(SUMS), printed("sha256sum", &names, folder)?)?)
}

/// Prints what is in the folder.
fn show(folder: &Path) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        println!("{} ({} KiB)", entry.path().display(), entry.metadata()?.len() / 1024);
    }
    Ok(())
}

/// Moves the debug information of `tegata` in this folder to a file next to the shipped
/// program.
fn split(folder: &Path) -> anyhow::Result<()> {
    // Not Rust's `split-debuginfo`: it leaves the line table in the program, and
    // stripping that would remove what backtraces need.
    fs::create_dir_all(folder.join("shipped"))?;
    for words in [
        ["--only-keep-debug", "tegata", "tegata.debug"].as_slice(),
        &["--strip-debug", "--strip-unneeded", "tegata", "shipped/tegata"],
        &["--add-gnu-debuglink=tegata.debug", "shipped/tegata"],
    ] {
        let status = Command::new("objcopy").args(words).current_dir(folder).status();
        let status = status.context("objcopy is missing: it comes with the C compiler")?;
        ensure!(status.success(), "objcopy {} failed", words.join(" "));
    }
    fs::rename(folder.join("tegata.debug"), folder.join("shipped/tegata.debug"))?;
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
    let size = fs::metadata(shipped.join("tegata"))?.len() / 1_048_576;
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
        fs::create_dir_all(folder.join("shipped")).unwrap();
        fs::write(folder.join("it.c"), "int main(void) { return 0; }").unwrap();
        let words = ["-g", "-o", "tegata", "it.c"];
        let compiled = Command::new("cc").args(words).current_dir(&folder).status().unwrap();
        assert!(compiled.success());
        fs::copy(folder.join("tegata"), folder.join("shipped/tegata")).unwrap();
        let error = examine(&folder.join("shipped")).unwrap_err().to_string();
        assert_eq!(error, "the shipped program holds debug information");
        split(&folder).unwrap();
        examine(&folder.join("shipped")).unwrap();
        // A program that does not start is not shipped.
        fs::write(folder.join("it.c"), "int main(void) { return 1; }").unwrap();
        assert!(Command::new("cc").args(words).current_dir(&folder).status().unwrap().success());
        split(&folder).unwrap();
        let error = examine(&folder.join("shipped")).unwrap_err().to_string();
        assert_eq!(error, "the shipped program does not run");
        fs::remove_dir_all(folder).unwrap();
    }
}
