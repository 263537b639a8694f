//! The agent's page in the book: its first steps are run as written, only faster and on other
//! ports, and its settings for LINE are parsed.

use crate::world::read;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};
use tegata_client::agent::config::Config;
use tegata_token::kind::Kind;

/// The page's blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src/agent.md");
    let text = read(&page).expect("the page");
    let begin = format!("\n```{language}\n");
    let blocks = text.split(&begin).skip(1);
    let blocks: Vec<_> = blocks.map(|it| it.split("\n```").next().unwrap_or("").into()).collect();
    assert!(!blocks.is_empty(), "nothing in {language}");
    blocks
}

/// A shell and its background processes; killed together.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn the_five_minutes_work_as_they_are_written() {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [server, agent] = ports.each_ref().map(|it| it.local_addr().expect("bound").to_string());
    drop(ports);
    let script = blocks("sh").join("\n");
    let script = script.replace("127.0.0.1:8080", &server).replace("127.0.0.1:9470", &agent);
    let script = script.replace("lifetime = 30", "lifetime = 6").replace("sleep 10", "sleep 2");
    let home = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_tegata")).parent().expect("in a folder");
    let path = std::env::var("PATH").expect("PATH");
    let said = home.path().join("said");
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEGATA_")) {
        shell.env_remove(name);
    }
    let shell = shell
        .args(["-euc", &script])
        .env("PATH", format!("{}:{path}", program.display()))
        .env("TEGATA_LISTEN", &server)
        .current_dir(home.path())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(File::create(&said).expect("made"))
        .spawn();
    let mut group = Group(shell.expect("a shell"));
    let done = group.0.wait().expect("it ends");
    let said = read(&said).expect("it");
    assert!(done.success(), "{said}\n{:?}", read(&home.path().join("agent.err")));
    assert!(said.contains("\"status\":\"green\""), "{said}");
    let mut tokens: Vec<_> =
        said.lines().filter(|it| it.starts_with("200 for the token")).collect();
    assert_eq!(tokens.len(), 5, "{said}");
    tokens.dedup();
    assert!(tokens.len() >= 3, "{said}");
}

#[test]
fn the_settings_for_line_are_taken_and_mean_lines_service() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("agent.toml");
    fs::write(&file, &blocks("toml")[0]).expect("written");
    let config = Config::read(&file).expect("settings");
    assert_eq!(config.authority, "https://api.line.me");
    assert_eq!(config.audience, "https://api.line.me/");
    let wanted = config.wanted(&config.tokens[0]);
    assert_eq!((wanted.kind, wanted.lifetime, wanted.group), (Kind::V21, 30 * 86_400, None));
    assert!(config.warnings().is_empty());
}
