//! Clients work with Tegata unmodified, with the real program. LINE's SDKs for Python and
//! Node.js and the community's for Rust issue, verify, list and revoke every kind of token;
//! OAuth's clients for the same languages discover, issue, introspect and revoke.
//!
//! The programs for Python and Node.js are beside this file; `cargo xtask test` installs
//! their packages. Without them these tests fail: a skipped test proves nothing.

#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
mod oauth;
#[path = "../process/mod.rs"]
mod process;
mod rust;
mod server;
mod verifying;

use std::path::{Path, PathBuf};
use std::process::Command;

use server::{ADMIN_TOKEN, Server};

#[tokio::test]
async fn lines_sdk_for_python_uses_every_kind_from_issue_to_revocation() {
    walk("python/bin/python", "line_python.py").await;
}

#[tokio::test]
async fn lines_sdk_for_node_uses_every_kind_from_issue_to_revocation() {
    walk("node/node_modules/.bin/node", "line_node.mjs").await;
}

#[tokio::test]
async fn oauths_clients_for_python_issue_introspect_revoke_and_verify() {
    walk("oauth-python/bin/python", "oauth/python.py").await;
}

#[tokio::test]
async fn oauths_clients_for_node_issue_introspect_revoke_and_verify() {
    part("oauth-node/node_modules/openid-client/package.json");
    walk("node/node_modules/.bin/node", "oauth/node.mjs").await;
}

/// Runs one of the programs with its interpreter against a server of its own.
async fn walk(interpreter: &str, program: &str) {
    let interpreter = part(interpreter);
    let server = Server::start().await;
    let output = Command::new(&interpreter)
        .arg(package().join("tests/sdk").join(program))
        .env("TEGATA_URL", server.url())
        .env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)
        .output()
        .unwrap_or_else(|error| panic!("run {}: {error}", interpreter.display()));
    let steps = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{program} ended with {}\n{steps}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    let summary: serde_json::Value = steps
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{program} ended without its summary\n{steps}"));
    assert!(summary["checks"].as_u64() > Some(0), "{program} checked nothing: {summary}");
    println!("{summary}");
}

/// A file among what `cargo xtask test` installs beside the crates.
fn part(path: &str) -> PathBuf {
    let path = package().join("../../target/test-parts").join(path);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, which installs LINE's SDKs",
        path.display(),
    );
    path
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
