//! npm's `oidc-provider` as an identity provider on loopback, in a process of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

pub const CLIENT_ID: &str = "tegata";
pub const CLIENT_SECRET: &str = "secret with a space, a colon: and a %";

/// The provider; dropping it ends the process.
pub struct NodeProvider {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its address.
    pub issuer: String,
}

impl NodeProvider {
    /// Starts it. It answers with 503 until [`Self::serves`].
    pub fn start() -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let node = workspace.join("target/test-parts/node/node_modules/.bin/node");
        let script = workspace.join("crates/server/tests/console/openid/provider.mjs");
        let mut process = Command::new(node)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It warns that it is not on https.
            .stderr(Stdio::null())
            .spawn()
            .expect("`cargo xtask setup` installs Node.js and the provider");
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut issuer = String::new();
        output.read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "the provider has not started");
        Self { process, input, output, issuer: issuer.trim().to_owned() }
    }

    /// Lets it serve the console at this address.
    pub fn serves(&mut self, console: &str) {
        writeln!(self.input, "{console}/console/sign-in/identity/return").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "serving");
    }
}

impl Drop for NodeProvider {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
