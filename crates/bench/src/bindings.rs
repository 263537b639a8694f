//! A warm verification by the packages for Python and Node.js, against five microseconds and
//! against the same question by introspection over loopback.
//!
//! The native modules are those of this program's profile, which `cargo xtask bench` builds. They
//! are loaded from a folder that is laid out like the installed packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::process::on_core;
use super::report::{Aim, Report};
use super::{LOAD_CORE, Plan, program_folder};

/// Maximum time of a verification, in nanoseconds.
const MOST: f64 = 5_000.0;
/// Number of tokens that are verified in turn.
const TOKENS: usize = 300;

/// A language: its interpreters, the first that starts is used; the file that measures; and the
/// folder of its package, with the native module and that module's place in the folder.
struct Language {
    name: &'static str,
    interpreters: &'static [&'static str],
    program: (&'static str, &'static str),
    package: &'static str,
    module: (&'static str, &'static str),
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "Python",
        interpreters: &["python3"],
        program: ("warm.py", include_str!("bindings/warm.py")),
        package: "bindings/python/tegata",
        module: ("lib_tegata.so", "tegata/_tegata.abi3.so"),
    },
    Language {
        name: "Node.js",
        interpreters: &["target/test-parts/node/node_modules/.bin/node", "node"],
        program: ("warm.js", include_str!("bindings/warm.js")),
        package: "bindings/node",
        module: ("libtegata_node.so", "tegata/tegata.node"),
    },
];

/// Measures both languages and compares with the aim.
pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let measured = tokens(&authority).and_then(|tokens| {
        std::fs::write(folder.join("tokens"), tokens.join("\n"))?;
        for language in &LANGUAGES {
            measure(plan, folder, &authority, language, report)?;
        }
        Ok(())
    });
    measured.map_err(|why| authority.explain(&why))
}

fn tokens(authority: &Authority) -> anyhow::Result<Vec<String>> {
    let signer = Signer::generate()?;
    let channels = authority.channels(TOKENS / 30, &signer)?;
    let asked = (0..TOKENS).map(|number| {
        let channel = &channels[number % channels.len()];
        Ok(Asked::ByAssertion(signer.assertion(channel, number)?))
    });
    authority.tokens(&asked.collect::<anyhow::Result<Vec<_>>>()?)
}

fn measure(
    plan: &Plan,
    folder: &Path,
    authority: &Authority,
    language: &Language,
    report: &mut Report,
) -> anyhow::Result<()> {
    let at = lay_out(folder, language)?;
    let rounds = if plan.long { "301" } else { "41" };
    let output = on_core(LOAD_CORE, &interpreter(language)?)
        .arg(at.join(language.program.0))
        .args([&format!("http://{}", authority.address), &authority.verifier()?])
        .arg(folder.join("tokens"))
        .arg(rounds)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", language.name);
    let said: Value = serde_json::from_slice(&output.stdout).context("no figures")?;
    let nanos = |name: &str| -> anyhow::Result<Vec<f64>> {
        let all = said[name].as_array().with_context(|| format!("no figures of {name}"))?;
        all.iter().map(|it| it.as_f64().context("no number")).collect()
    };
    let (warm, asked) = (nanos("warm")?, nanos("introspection")?);
    let name = format!("{}: warm verification / 5 µs", language.name);
    let share: Vec<f64> = warm.iter().map(|it| it / MOST).collect();
    report.ratio(&name, &share, Aim::AtMost(1.0), &[("ns", super::median(&warm))]);
    let name = format!("{}: introspection over loopback / warm", language.name);
    let times: Vec<f64> = asked.iter().zip(&warm).map(|(asked, warm)| asked / warm).collect();
    let beside = [("µs of introspection", super::median(&asked) / 1_000.0)];
    report.ratio(&name, &times, Aim::None, &beside);
    Ok(())
}

/// Lays the package out as if it were installed, next to the program that measures.
fn lay_out(folder: &Path, language: &Language) -> anyhow::Result<PathBuf> {
    let at = folder.join(language.package);
    let package = at.join("tegata");
    std::fs::create_dir_all(&package)?;
    for entry in std::fs::read_dir(root().join(language.package))? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, package.join(name))?;
        }
    }
    let (built, place) = language.module;
    let built = program_folder()?.join(built);
    std::fs::copy(&built, at.join(place)).with_context(|| built.display().to_string())?;
    std::fs::write(at.join(language.program.0), language.program.1)?;
    Ok(at)
}

fn interpreter(language: &Language) -> anyhow::Result<PathBuf> {
    let starts = |it: &PathBuf| Command::new(it).arg("--version").output().is_ok();
    let all = language.interpreters.iter().map(|it| match it.contains('/') {
        true => root().join(it),
        false => PathBuf::from(it),
    });
    all.into_iter().find(starts).with_context(|| format!("no interpreter for {}", language.name))
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
