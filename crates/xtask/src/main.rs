//! Tests, benchmarks and checks of the project: `cargo xtask <task>`.

mod bench;
mod book;
mod cargo;
mod dist;
mod fuzz;
mod progress;
mod reference;
mod setup;
mod suite;
mod test;
mod tidy;
mod timing;

const USAGE: &str = "usage: cargo xtask <task>

  setup           install what the tests need beside Rust
  test [--long]   that, then every check and every test; --long: many more rounds of the same
  bench [--help]  Tegata's speed beside what the machine allows, as ratios
  dist            the program as it is shipped, its debug information apart
  fuzz [--help]   made-up input for every parser, guided by what it reaches
  timing [N]      whether time tells what an answer does not, by N measurements
  book            the book as a website, with mdbook
  reference       write the book's pages that are made from the code
  tidy            the rules of the house that no compiler checks
  tidy --write    the picture of the modules in ARCHITECTURE.md, drawn anew
";

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["setup"] => setup::everything(),
        ["test"] => test::run(false),
        ["test", "--long"] => test::run(true),
        ["bench", ref options @ ..] => bench::run(options),
        ["dist"] => dist::run(),
        ["fuzz", ref options @ ..] => fuzz::run(options),
        ["timing", ref options @ ..] => timing::run(options),
        ["book"] => book::run(),
        ["reference"] => reference::run(),
        ["tidy"] => tidy::run(),
        ["tidy", "--write"] => tidy::write(),
        _ => anyhow::bail!(USAGE),
    }
}
