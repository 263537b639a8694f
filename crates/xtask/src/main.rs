//! Tests, benchmarks and checks of the project: `cargo xtask <task>`.

mod setup;
mod test;
mod tidy;

const USAGE: &str = "usage: cargo xtask <task>

  setup           install what the tests need beside Rust
  test [--long]   that, then every check and every test; --long: many more rounds of the same
  tidy            the rules of the house that no compiler checks
";

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["setup"] => setup::sdks().map(drop),
        ["test"] => test::run(false),
        ["test", "--long"] => test::run(true),
        ["tidy"] => tidy::run(),
        _ => anyhow::bail!(USAGE),
    }
}
