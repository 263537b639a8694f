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

/// A free address for the server, and one for the agent.
fn addresses() -> [String; 2] {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    ports.each_ref().map(|it| it.local_addr().expect("bound").to_string())
}

/// Starts the page's blocks in a shell, with these addresses.
fn shell(home: &Path, [server, agent]: &[String; 2]) -> Group {
    let script = blocks("sh").join("\n");
    let script = script.replace("127.0.0.1:8080", server).replace("127.0.0.1:9470", agent);
    let script = script.replace("lifetime = 30", "lifetime = 6").replace("sleep 10", "sleep 2");
    let program = Path::new(env!("CARGO_BIN_EXE_tegata")).parent().expect("in a folder");
    let path = std::env::var("PATH").expect("PATH");
    let said = File::create(home.join("said")).expect("made");
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEGATA_")) {
        shell.env_remove(name);
    }
    let shell = shell
        .args(["-euc", &script])
        .env("PATH", format!("{}:{path}", program.display()))
        .env("TEGATA_LISTEN", server)
        .current_dir(home)
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(said.try_clone().expect("a copy"))
        .stdout(said)
        .spawn();
    Group(shell.expect("a shell"))
}

#[test]
fn a_first_step_that_fails_ends_with_the_reason_and_does_not_wait() {
    let addresses = addresses();
    let _taken = TcpListener::bind(&addresses[0]).expect("another program");
    let home = tempfile::tempdir().expect("a folder");
    let mut group = shell(home.path(), &addresses);
    let mut status = None;
    for _ in 0..600 {
        status = group.0.try_wait().expect("a child of ours");
        if status.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let said = read(&home.path().join("said")).expect("it");
    let status = status.unwrap_or_else(|| panic!("it waits: {said}"));
    assert!(!status.success(), "{said}");
    assert!(said.contains("cannot listen on") && said.contains("in use"), "{said}");
}

#[test]
fn the_five_minutes_work_as_they_are_written() {
    let home = tempfile::tempdir().expect("a folder");
    let said = home.path().join("said");
    let mut group = shell(home.path(), &addresses());
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

#[test]
fn every_example_of_settings_is_accepted_and_names_the_variables_that_the_page_names() {
    let home = tempfile::tempdir().expect("a folder");
    let blocks = blocks("toml");
    for block in &blocks {
        Config::parse(block, home.path()).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
    let sink = &Config::parse(&blocks[1], home.path()).expect("settings").sinks[0];
    let names: Vec<_> = sink.tokens.iter().map(|token| sink.name_of(token)).collect();
    assert_eq!(names, ["SHOP_BOT", "NEWS_TOKEN"]);
}
