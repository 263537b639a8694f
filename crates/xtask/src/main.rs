//! Tests, benchmarks and checks of the project: `cargo xtask <task>`.

mod setup;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("setup") => {
            let sdks = setup::sdks()?;
            println!("{}\n{}", sdks.python.display(), sdks.node.display());
            Ok(())
        }
        _ => anyhow::bail!("usage: cargo xtask setup"),
    }
}
