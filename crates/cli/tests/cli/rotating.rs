//! `tegata group rotate`: from one token of a group to the next.

use crate::program::Desk;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

/// How long a token is not used until it is idle, and a bit.
const UNUSED: u32 = 16 * 60;

/// The command for the key in `key.json`.
fn rotate(channel: &str) -> [&str; 7] {
    ["group", "rotate", "--channel", channel, "kitchen", "--key", "key.json"]
}

/// A running command, which is killed if the test fails.
struct Rotation {
    process: Child,
    out: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

impl Drop for Rotation {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Rotation {
    fn start(desk: &Desk, channel: &str) -> Self {
        Self::of(desk.command(&[&rotate(channel)[..], &["-o", "json"]].concat()))
    }

    fn of(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let notes = BufReader::new(process.stderr.take().unwrap());
        Self { process, out, notes }
    }

    /// Waits until it says this on stderr.
    fn says(&mut self, words: &str) {
        let mut said = String::new();
        while self.notes.read_line(&mut said).unwrap() > 0 {
            if said.lines().last().unwrap().contains(words) {
                return;
            }
        }
        panic!("it ended without {words:?}: {said}");
    }

    /// Waits until it has ended, and returns its exit code and the rest that it said.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.notes.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }

    /// What it prints next.
    fn prints(&mut self) -> Value {
        let mut all = serde_json::Deserializer::from_reader(&mut self.out).into_iter();
        all.next().unwrap().unwrap()
    }
}

#[test]
fn a_rotation_revokes_the_older_token_once_no_program_uses_it_and_goes_on_after_an_end() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let of_group = ["--channel", &*channel, "--group", "kitchen"];
    let issue = ["token", "issue", "--kind", "v2.1", "--key", "key.json"];
    let old = desk.json(&[&issue[..], &of_group].concat())["access_token"].clone();
    let verify = |token: &Value, code: i32| {
        desk.run(&["token", "verify", token.as_str().unwrap()]).expect(code);
    };
    verify(&old, 0);

    let mut rotation = Rotation::start(&desk, &channel);
    let new = rotation.prints()["access_token"].clone();
    rotation.says("waits until none uses");
    verify(&old, 0);
    verify(&new, 0);
    // Ended, and begun again: another token would push out the one that is in use.
    drop(rotation);
    let mut rotation = Rotation::start(&desk, &channel);
    rotation.says("so no new one is issued");
    rotation.says("waits until none uses");
    verify(&old, 0);

    desk.server.advance(UNUSED);
    verify(&new, 0);
    let result = rotation.prints();
    assert_eq!((&result["revoked"], result["tokens"].as_array().unwrap().len()), (&1.into(), 1));
    assert_eq!(result["tokens"][0]["receipt"]["state"], "complete", "{result}");
    assert!(rotation.process.wait().unwrap().success());
    verify(&old, 1);
    verify(&new, 0);
    let tokens = desk.json(&[&["token", "list"][..], &of_group].concat());
    let states: Vec<_> =
        tokens["tokens"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["active", "revoked"]);
}

#[test]
fn a_dry_run_of_a_rotation_names_what_would_happen_and_issues_nothing() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let issue = ["token", "issue", "--kind", "v2.1", "--key", "key.json", "--channel", &channel];
    let id = desk.json(&[&issue[..], &["--group", "kitchen"]].concat())["key_id"].clone();
    let dry = [&rotate(&channel)[..], &["--dry-run"]].concat();
    let plan = desk.json(&dry);
    assert_eq!((&plan["would_issue"], &plan["tokens"][0]["token_id"]), (&true.into(), &id));
    let table = desk.run(&dry).expect(0);
    assert!(table.contains(id.as_str().unwrap()) && table.contains("would_revoke  1"), "{table}");
    let tokens = desk.json(&["token", "list", "--channel", &channel]);
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1, "{tokens}");
}

#[test]
fn a_rotation_never_ends_a_token_in_use_to_make_room() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let issue = ["token", "issue", "--kind", "v2.1", "--key", "key.json", "--channel", &channel];
    let old = desk.json(&[&issue[..], &["--group", "kitchen"]].concat())["access_token"].clone();
    let set = ["group", "set", "--channel", &channel, "kitchen"];
    let cap = |cap| desk.run(&[&set[..], &["--cap", cap]].concat()).expect(0);
    cap("1");
    for more in ["--dry-run", "--yes"] {
        let refused = desk.run(&[&rotate(&channel)[..], &[more]].concat());
        refused.expect_error(1, "kitchen --cap 2` makes room");
    }
    // The group's own cap, or the one that it has from its channel.
    cap("channel");
    desk.run(&["channel", "set", &channel, "--group-cap", "1"]).expect(0);
    desk.run(&[&rotate(&channel)[..], &["--dry-run"]].concat()).expect_error(1, "makes room");
    desk.run(&["token", "verify", old.as_str().unwrap()]).expect(0);
    cap("2");
    let plan = desk.json(&[&rotate(&channel)[..], &["--dry-run"]].concat());
    assert_eq!(plan["would_issue"], true);
}

#[test]
fn a_rotation_that_may_not_look_any_more_ends_and_revokes_nothing() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let issue = ["token", "issue", "--kind", "v2.1", "--key", "key.json", "--channel", &channel];
    let old = desk.json(&[&issue[..], &["--group", "kitchen"]].concat())["access_token"].clone();
    desk.run(&["token", "verify", old.as_str().unwrap()]).expect(0);
    let mut rotation = Rotation::start(&desk, &channel);
    rotation.says("waits until none uses");
    desk.run(&["channel", "delete", &channel]).expect(0);
    let (code, said) = rotation.ends();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing is revoked"), "{said}");
}

/// Passes connections on to a server, but drops the first response to an issue.
fn forgetful(server: SocketAddr) -> SocketAddr {
    static ISSUES: AtomicU32 = AtomicU32::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(server).unwrap();
            let (mut upward, mut answers) = (server.try_clone().unwrap(), server);
            let (mut requests, mut downward) = (client.try_clone().unwrap(), client);
            thread::spawn(move || {
                let mut part = [0; 16 * 1024];
                while let Ok(length @ 1..) = requests.read(&mut part) {
                    let is_issue = part[..length].starts_with(b"POST /oauth2/v2.1/token");
                    if is_issue && ISSUES.fetch_add(1, Relaxed) == 0 {
                        requests.shutdown(Shutdown::Both).unwrap();
                    }
                    upward.write_all(&part[..length]).unwrap();
                }
            });
            // Fails where the client's side is closed.
            thread::spawn(move || std::io::copy(&mut answers, &mut downward));
        }
    });
    address
}

#[test]
fn a_rotation_whose_new_token_was_lost_on_its_way_gets_the_same_one_again() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let issue = ["token", "issue", "--kind", "v2.1", "--key", "key.json", "--channel", &channel];
    desk.json(&[&issue[..], &["--group", "kitchen"]].concat());
    let address = desk.server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut command = desk.command(&[&rotate(&channel)[..], &["-o", "json"]].concat());
    command.env("TEGATA_URL", format!("http://{}", forgetful(address)));
    let mut rotation = Rotation::of(command);
    let new = rotation.prints()["access_token"].clone();
    desk.run(&["token", "verify", new.as_str().unwrap()]).expect(0);
    let tokens = desk.json(&["token", "list", "--channel", &channel, "--state", "active"]);
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 2, "none was evicted: {tokens}");
}
