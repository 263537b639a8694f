//! The packages for Debian: `packaging/debian`, with the program and what is generated from it,
//! is given to Debian's own tools.

use super::{materials, notices, printed, source_date, succeeded};
use crate::setup::{self, workspace};
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes the package of `program`, and one with its debug symbols, to the folder `into`,
/// which has the licences and the bill of materials.
///
/// Without Debian's tools it writes none, and prints which to install.
pub fn pack(program: &Path, into: &Path, version: &str) -> anyhow::Result<()> {
    if !setup::has_debian_tools() {
        let tools = setup::DEBIAN_TOOLS.join(" ");
        println!("no package for Debian: it needs Debian with these packages: {tools}");
        return Ok(());
    }
    let work = into.join("debian");
    let stage = work.join(format!("tegata-{version}"));
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(stage.join("debian"))?;
    sources(&stage, version)?;
    contents(program, into, &stage)?;
    let mut build = Command::new("make");
    build.args(["--file=debian/rules", "binary"]).current_dir(&stage);
    // The files belong to root, whose user need not run this.
    build.env("DEB_RULES_REQUIRES_ROOT", "no");
    succeeded("debian/rules", build.output())?;
    for entry in fs::read_dir(&work)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "deb") {
            fs::rename(&path, into.join(path.file_name().context("a package without a name")?))?;
        }
    }
    Ok(fs::remove_dir_all(&work)?)
}

/// Fails if Debian's checker reports anything about the packages of the folder that
/// `packaging/debian/tegata.lintian-overrides` does not explain.
pub fn check(into: &Path) -> anyhow::Result<()> {
    if !setup::has_lintian() {
        println!("the packages for Debian are not checked: that needs lintian");
        return Ok(());
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--no-cfg", "--allow-root", "--display-info"]);
    lintian.arg("--fail-on=error,warning,info");
    // All at once, since it compares them.
    for entry in fs::read_dir(into)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "deb") {
            lintian.arg(path);
        }
    }
    succeeded("lintian", lintian.output()).map(drop)
}

/// Copies the package's sources, and writes its changelog.
fn sources(stage: &Path, version: &str) -> anyhow::Result<()> {
    let packaging = workspace()?.join("packaging");
    let debian = stage.join("debian");
    copy(&packaging.join("debian"), &debian)?;
    // The names that debhelper looks for.
    for (from, to) in [
        ("systemd/tegata.service", "tegata.service"),
        ("systemd/tegata-agent.service", "tegata.tegata-agent.service"),
        ("systemd/tegata-verify-proxy.service", "tegata.tegata-verify-proxy.service"),
        ("systemd/tegata.sysusers.conf", "tegata.sysusers"),
        ("systemd/tegata.tmpfiles.conf", "tegata.tmpfiles"),
    ] {
        fs::copy(packaging.join(from), debian.join(to)).with_context(|| from.to_owned())?;
    }
    let date = printed("date", &["-R", "--utc", "--date", &format!("@{}", source_date()?)], stage)?;
    let maintainer = fs::read_to_string(debian.join("control"))?;
    let maintainer = maintainer.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    let maintainer = maintainer.context("packaging/debian/control names no maintainer")?;
    let entry = format!(
        "tegata ({version}-1) unstable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n \
         -- {maintainer}  {date}"
    );
    Ok(fs::write(debian.join("changelog"), entry)?)
}

/// Collects what the package holds.
fn contents(program: &Path, into: &Path, stage: &Path) -> anyhow::Result<()> {
    let root = workspace()?;
    let own = stage.join("tegata");
    fs::copy(program, &own).with_context(|| program.display().to_string())?;
    let path = own.to_str().context("a path that is not UTF-8")?;
    printed(path, &["man", "man"], stage)?;
    for (shell, file) in [("bash", "tegata"), ("zsh", "_tegata"), ("fish", "tegata.fish")] {
        let folder = stage.join("completions").join(shell);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(file), printed(path, &["completions", shell], stage)?)?;
    }
    for (from, to) in [
        ("packaging/tegata.toml", "tegata.toml"),
        ("packaging/examples", "examples"),
        ("examples/bots", "examples/bots"),
        ("docs/prometheus/alerts.yml", "examples/alerts.yml"),
        ("docs/grafana/tegata.json", "examples/grafana.json"),
        ("docs/book/src", "book"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("SECURITY.md", "SECURITY.md"),
    ] {
        copy(&root.join(from), &stage.join(to)).with_context(|| from.to_owned())?;
    }
    for file in [materials::FILE, notices::FILE] {
        fs::copy(into.join(file), stage.join(file))?;
    }
    Ok(())
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    Ok(())
}
