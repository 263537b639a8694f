//! `cargo xtask fuzz`: coverage-guided fuzzing of every parser, with libFuzzer, on
//! the stable compiler.
//!
//! The compiler's own coverage pass guides the fuzzer. There is no sanitizer, since the
//! parsers are safe Rust. New inputs are written to `target/fuzz`; with `--keep` the
//! smallest set with the same coverage replaces `fuzz/corpus`, which the ordinary tests
//! replay.

use crate::cargo::{cargo, host, target_folder};
use crate::setup::workspace;
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Coverage by counters and comparisons, with the flags of `cargo fuzz`.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [--keep] [TARGET]

  --seconds N   duration per target [default: 60]
  --keep        minimise the inputs and keep them in fuzz/corpus
  TARGET        run only this target (a folder of fuzz/corpus)";

/// Builds the fuzzer and runs one target, or all.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let (mut seconds, mut keep, mut only) = (60, false, None);
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => {
                let number = words.next().and_then(|number| number.parse().ok());
                seconds = number.context("--seconds N: a whole number")?;
            }
            "--keep" => keep = true,
            target if !target.starts_with('-') && only.is_none() => only = Some(target),
            _ => bail!(USAGE),
        }
    }
    let fuzzer = Fuzzer::build()?;
    let targets = match only {
        Some(target) => vec![target.to_owned()],
        None => fuzzer.targets()?,
    };
    for target in &targets {
        println!("\n── {target}");
        fuzzer.run(target, seconds)?;
        if keep {
            fuzzer.keep(target)?;
        }
    }
    Ok(())
}

/// Checks that the fuzzers compile, without libFuzzer, which is a minute of C++. The
/// lint step's results for other crates are reused.
pub fn check() -> anyhow::Result<()> {
    let words =
        ["check", "--locked", "--no-default-features", "--manifest-path", "fuzz/Cargo.toml"];
    let status = cargo(&words)?.arg("--target-dir").arg(target_folder()?).status()?;
    ensure!(status.success(), "the fuzzers do not compile");
    Ok(())
}

struct Fuzzer {
    program: PathBuf,
    /// The corpus in the repository.
    kept: PathBuf,
    /// Inputs that runs on this machine found.
    found: PathBuf,
}

impl Fuzzer {
    fn build() -> anyhow::Result<Self> {
        let workspace = workspace()?;
        let target = workspace.join("target/fuzz");
        // With a target triple, build scripts and macros are built without the flags.
        let triple = host();
        let status = cargo(&["build", "--release", "--target", &triple, "--target-dir"])?
            .arg(&target)
            .current_dir(workspace.join("fuzz"))
            .env("RUSTFLAGS", FLAGS)
            .status()?;
        ensure!(status.success(), "the fuzzer does not build");
        Ok(Self {
            program: target.join(triple).join("release/tegata-fuzz"),
            kept: workspace.join("fuzz/corpus"),
            found: target.join("found"),
        })
    }

    fn targets(&self) -> anyhow::Result<Vec<String>> {
        let folders = fs::read_dir(&self.kept)?;
        let name = |folder: std::io::Result<fs::DirEntry>| -> anyhow::Result<String> {
            Ok(folder?.file_name().to_string_lossy().into_owned())
        };
        let mut names: Vec<_> = folders.map(name).collect::<anyhow::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn run(&self, target: &str, seconds: u32) -> anyhow::Result<()> {
        let found = self.found.join(target);
        fs::create_dir_all(&found)?;
        let finds = self.found.join(format!("{target}-"));
        let status = self
            .command(target)
            .arg(format!("-max_total_time={seconds}"))
            // Hangs and memory growth are reported as well.
            .args(["-timeout=5", "-rss_limit_mb=512", "-print_final_stats=1", "-verbosity=1"])
            .args(["-max_len=4096", "-use_value_profile=1"])
            .arg(format!("-dict={}", self.kept.with_file_name("words.dict").display()))
            .arg(format!("-artifact_prefix={}", finds.display()))
            .args([&found, &self.kept.join(target)])
            .status()?;
        ensure!(
            status.success(),
            "{target}: the fuzzer found an error; its input is {}…",
            finds.display()
        );
        Ok(())
    }

    /// Replaces the corpus by the smallest set of inputs with the same coverage.
    fn keep(&self, target: &str) -> anyhow::Result<()> {
        let merged = self.found.join(format!("{target}.kept"));
        if merged.exists() {
            fs::remove_dir_all(&merged)?;
        }
        fs::create_dir_all(&merged)?;
        let folders = [&merged, &self.found.join(target), &self.kept.join(target)];
        let status = self
            .command(target)
            .args(["-set_cover_merge=1", "-use_counters=0", "-verbosity=0"])
            .args(folders)
            .status()?;
        ensure!(status.success(), "{target}: the corpus could not be merged");
        replace(&self.kept.join(target), &merged)
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("TEGATA_FUZZ_TARGET", target);
        command
    }
}

/// Replaces the files of `folder` by those of `with`. Hand-written inputs, which have
/// a descriptive name instead of a hash, stay.
fn replace(folder: &Path, with: &Path) -> anyhow::Result<()> {
    let is_hash = |name: &str| name.len() == 40 && name.bytes().all(|it| it.is_ascii_hexdigit());
    for file in fs::read_dir(folder)? {
        let file = file?;
        if is_hash(&file.file_name().to_string_lossy()) {
            fs::remove_file(file.path())?;
        }
    }
    for file in fs::read_dir(with)? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    Ok(())
}
