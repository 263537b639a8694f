//! `tegata group rotate`: from one token of a group to the next.

use crate::program::Desk;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, ChildStdout, Stdio},
};

/// How long a token is not used until it is idle, and a bit.
const UNUSED: u32 = 16 * 60;

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
        let words = ["group", "rotate", "--channel", channel, "kitchen", "--key", "key.json"];
        let mut command = desk.command(&[&words[..], &["-o", "json"]].concat());
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
    assert_eq!(rotation.prints()["revoked"], 1);
    assert!(rotation.process.wait().unwrap().success());
    verify(&old, 1);
    verify(&new, 0);
    let tokens = desk.json(&[&["token", "list"][..], &of_group].concat());
    let states: Vec<_> =
        tokens["tokens"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["active", "revoked"]);
}
