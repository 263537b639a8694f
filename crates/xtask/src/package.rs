//! Packs the packages for Python and Node.js. The tests of the packages include this file.

use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the wheel of `bindings/python` with `maturin`, the program `tegata` inside, and returns
/// its path, which is in `to`.
///
/// `maturin` is a command without arguments; `options` follow those that every build has.
pub fn wheel(
    root: &Path,
    program: &Path,
    to: &Path,
    mut maturin: Command,
    options: &[&str],
) -> anyhow::Result<PathBuf> {
    let package = root.join("bindings/python");
    let inside = package.join("tegata/_program");
    fs::create_dir_all(&inside)?;
    fs::copy(program, inside.join("tegata")).with_context(|| program.display().to_string())?;
    let licence = package.join("LICENSE");
    fs::copy(root.join("LICENSE"), &licence)?;
    maturin.arg("build").args(options).arg("--out").arg(to).current_dir(&package);
    let built = run(&mut maturin);
    fs::remove_file(licence)?;
    fs::remove_dir_all(inside)?;
    built?;
    only(to, ".whl")
}

/// Packs `bindings/node` with the native `library` and the program `tegata` inside, and returns
/// the path of the archive, which is in `to`.
pub fn archive(root: &Path, program: &Path, library: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let staged = to.join("package");
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    fs::create_dir_all(staged.join("bin"))?;
    for entry in fs::read_dir(root.join("bindings/node"))? {
        let path = entry?.path();
        let is_shipped = ["js", "json", "md", "mjs", "ts"];
        let extension = path.extension().and_then(|it| it.to_str());
        if let (Some(name), true) =
            (path.file_name(), extension.is_some_and(|it| is_shipped.contains(&it)))
        {
            fs::copy(&path, staged.join(name))?;
        }
    }
    fs::copy(root.join("LICENSE"), staged.join("LICENSE"))?;
    fs::copy(library, staged.join("tegata.node")).with_context(|| library.display().to_string())?;
    fs::copy(program, staged.join("bin/tegata")).with_context(|| program.display().to_string())?;
    run(Command::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(to).arg(&staged))?;
    only(to, ".tgz")
}

/// The only file in a folder whose name ends so.
fn only(folder: &Path, suffix: &str) -> anyhow::Result<PathBuf> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let files: Vec<PathBuf> = files.collect::<anyhow::Result<_>>()?;
    let mut found = files.into_iter().filter(|it| it.to_string_lossy().ends_with(suffix));
    let first = found.next().with_context(|| format!("no {suffix} in {}", folder.display()))?;
    ensure!(found.next().is_none(), "more than one {suffix} in {}", folder.display());
    Ok(first)
}

/// Runs a command; its output is shown only if it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let printed = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&printed));
    Ok(())
}
