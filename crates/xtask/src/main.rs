//! Tests, benchmarks and checks of the project: `cargo xtask <task>`.

mod again;
mod bench;
mod binary;
mod bindings;
mod book;
mod cargo;
mod dist;
mod features;
mod fuzz;
mod memory;
mod package;
mod processes;
mod progress;
mod reference;
mod screenshots;
mod setup;
mod suite;
mod test;
mod tidy;
mod timing;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>

  setup [--long]  install everything that the tests need besides Rust
  test [--long]   run setup, then all checks and tests; --long: with many more rounds
  bench [--help]  measure Tegata's speed as ratios to what the machine can do
  dist            build what is shipped: the program, Debian's packages, a bill of materials
  dist --program FILE --into FOLDER [--version V]   the same, of a program that was compiled before
  bindings        build the packages for Python and Node.js, as they are shipped
  features        compile each crate with each combination of its features
  fuzz [--help]   run coverage-guided fuzzing of every parser
  timing [N]      measure whether response times reveal secrets, with N measurements
  book            build the book as a website, with mdbook
  screenshots DIR take pictures of every page of the console
  reference       generate the book's reference pages from the code
  tidy            check the project's rules that the compiler does not check
  tidy --write    redraw the picture of the modules in ARCHITECTURE.md
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["setup"] => setup::everything(false),
        ["setup", "--long"] => setup::everything(true),
        ["test"] => test::run(false),
        ["test", "--long"] => test::run(true),
        ["bench", ref options @ ..] => bench::run(options),
        ["dist", ref options @ ..] => dist::run(options),
        ["bindings"] => bindings::run(),
        ["features"] => features::check(true),
        ["fuzz", ref options @ ..] => fuzz::run(options),
        ["timing", ref options @ ..] => timing::run(options),
        ["book"] => book::run(),
        ["screenshots", folder] => screenshots::run(folder),
        ["reference"] => reference::run(),
        ["tidy"] => tidy::run(),
        ["tidy", "--write"] => tidy::write(),
        _ => anyhow::bail!(USAGE),
    }
}
