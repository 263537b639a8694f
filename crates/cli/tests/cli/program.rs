//! The real program in a folder of its own: servers that are killed with their test, and
//! commands.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

/// How long a start or an exit may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder to start the program in.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file in it.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with these arguments, and no settings from the environment.
    pub fn tegata(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("TEGATA_") || text.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.args(words).current_dir(self.0.path()).env("TMPDIR", self.0.path());
        command
    }

    /// Runs the program until it exits.
    pub fn run(&self, words: &[&str]) -> Done {
        finish(&mut self.tegata(words))
    }

    /// Starts a server and waits until it listens.
    pub fn serve(&self, words: &[&str]) -> Server {
        let words = [&["serve", "--listen", "127.0.0.1:0"], words].concat();
        Server::start(&mut self.tegata(&words))
    }
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The output of a command that must have this exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// Asserts the exit code and the error of a command that must have failed.
    #[track_caller]
    pub fn expect_error(self, code: i32, said: &str) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.err.contains(said), "it does not say {said:?}: {}", self.err);
    }
}

pub fn finish(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Done { code, out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command with `input` on its stdin.
pub fn finish_with(command: &mut Command, input: &str) -> Done {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Done { code, out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command whose output is read by no program any more, as after `head`.
pub fn finish_unread(command: &mut Command) -> Done {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Done { code: output.status.code().unwrap(), out: String::new(), err }
}

/// Runs a command whose messages no program reads: its stderr is closed.
pub fn finish_unheard(command: &mut Command) -> Done {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    Done { code: output.status.code().unwrap(), out, err: String::new() }
}

/// A running server; dropping it kills it.
pub struct Server {
    process: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    log: Option<JoinHandle<String>>,
    pub url: String,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // Its log is read, so that it never blocks on it.
        let mut log = process.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            let _ = log.read_to_string(&mut text);
            text
        });
        let out = BufReader::new(process.stdout.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server =
            Self { process, lines, said: Vec::new(), log: Some(log), url: String::new() };
        let line = server.line(|line| line.contains("listening on "));
        server.url = line.split_once("listening on ").unwrap().1.to_owned();
        server
    }

    /// The first line, printed already or later, for which `is` holds.
    pub fn line(&mut self, is: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.said.iter().find(|line| is(line)) {
            return line.clone();
        }
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the server still prints");
            self.said.push(line.clone());
            if is(&line) {
                return line;
            }
        }
    }

    /// Everything that it has printed when it has stopped.
    pub fn printed(mut self) -> String {
        self.signal("-TERM");
        self.said.extend(self.lines.iter());
        self.said.join("\n")
    }

    /// Everything it has printed so far.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// The status of the response to a GET.
    pub fn status(&self, path: &str) -> u16 {
        self.ask("GET", path, "").split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Moves a development server's clock forward; returns its time.
    pub fn advance(&self, seconds: u32) -> i64 {
        let body = format!("{{\"advance_seconds\":{seconds}}}");
        let response = self.ask("POST", "/dev/clock", &body);
        let body: Value = serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["now_unix"].as_i64().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// The whole log, once it has exited.
    pub fn log(&mut self) -> JoinHandle<String> {
        self.log.take().unwrap()
    }

    /// Makes it crash.
    pub fn crash(self) -> ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-ABRT", &id]).status().unwrap().success());
        self.end()
    }

    /// Stops it with SIGTERM, and waits until it has exited.
    pub fn stop(self) -> ExitStatus {
        self.signal("-TERM");
        self.end()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits until it has exited.
    pub fn end(mut self) -> ExitStatus {
        let pause = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            thread::sleep(pause);
        }
        panic!("the server does not exit");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A development server, and an administrator's commands for it.
pub struct Desk {
    pub home: Home,
    pub server: Server,
}

pub const ADMIN_TOKEN: &str = "an-administrator's-token, for tests only";

impl Desk {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A desk whose server gets more arguments.
    pub fn with(words: &[&str]) -> Self {
        let home = Home::new();
        let words = [&["serve", "--dev", "--listen", "127.0.0.1:0"], words].concat();
        let mut command = home.tegata(&words);
        let server = Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        Self { home, server }
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.home.tegata(words);
        command.env("TEGATA_URL", &self.server.url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
        command
    }

    pub fn run(&self, words: &[&str]) -> Done {
        finish(&mut self.command(words))
    }

    /// The JSON output of a command that must succeed.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["-o", "json"]].concat();
        serde_json::from_str(&self.run(&words).expect(0)).unwrap()
    }

    /// A new channel: its id and its secret.
    pub fn channel(&self) -> (String, String) {
        let provider = self.json(&["provider", "create", "Company"]);
        let provider = provider["provider_id"].as_str().unwrap();
        let made = self.json(&["channel", "create", "--provider", provider, "shop"]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("channel_id"), text("channel_secret"))
    }
}

/// A file's permission bits.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
