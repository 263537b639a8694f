//! The program under test: one line of JSON each way per request.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tegata_token::feed::InstanceId;
use tegata_verifier::{
    clocks::{Clocks, Steady},
    simulation::{Answer, SentRequest, SimulatedResponse, TestedFollower},
    standing::Use,
};

/// The longest that a program may take for one line.
const LONGEST: Duration = Duration::from_secs(30);

/// A program that was started.
pub struct Program {
    child: Child,
    input: ChildStdin,
    lines: Receiver<std::io::Result<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[derive(Deserialize)]
struct Request {
    id: String,
    path: String,
    query: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Reply {
    Ok,
    Cannot { reason: Option<String> },
    Answer { answer: String },
    Send { requests: Vec<Request>, wait_ms: u64 },
}

impl Program {
    /// Starts the program.
    pub fn start(program: &Path, arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines })
    }

    fn ask(&mut self, request: &Value) -> Result<Reply, String> {
        let kind = request["type"].as_str().unwrap_or_default().to_owned();
        let failed = |problem: String| format!("the program fails at `{kind}`: {problem}");
        let line = format!("{request}\n");
        let written = self.input.write_all(line.as_bytes()).and_then(|()| self.input.flush());
        written.map_err(|error| failed(error.to_string()))?;
        let line = self.lines.recv_timeout(LONGEST);
        let line = line.map_err(|_| failed("it has exited, or takes over 30 s".to_owned()))?;
        let line = line.map_err(|error| failed(error.to_string()))?;
        serde_json::from_str(&line).map_err(|error| failed(format!("{error} in the line {line}")))
    }

    fn ok(&mut self, request: &Value) -> Result<(), String> {
        match self.ask(request)? {
            Reply::Ok => Ok(()),
            _ => Err(format!("the program does not answer {} with `ok`", request["type"])),
        }
    }

    /// The answer to a question about a token.
    pub fn answer(&mut self, request: &Value) -> Result<Answer, String> {
        let Reply::Answer { answer } = self.ask(request)? else {
            return Err(format!("the program does not answer {} with `answer`", request["type"]));
        };
        let found = Answer::ALL.into_iter().find(|(_, name)| *name == answer);
        found.map(|it| it.0).ok_or_else(|| format!("the program answers `{answer}`"))
    }

    /// Lets it take a view; an error is its reason why it cannot.
    pub fn view(&mut self, snapshot: &Value, responses: &Value) -> Result<(), String> {
        let request = json!({ "type": "view", "snapshot": snapshot, "responses": responses });
        match self.ask(&request)? {
            Reply::Ok => Ok(()),
            Reply::Cannot { reason } => Err(reason.unwrap_or_else(|| "cannot".to_owned())),
            _ => Err("the program answers `view` with neither `ok` nor `cannot`".to_owned()),
        }
    }
}

/// A request with both clocks, in milliseconds.
fn with_clocks(mut request: Value, clocks: Clocks) -> Value {
    request["steady_ms"] = ms(clocks.steady.0).into();
    request["wall_ms"] = ms(clocks.wall).into();
    request
}

fn ms(nanos: i64) -> f64 {
    nanos as f64 / 1_000_000.0
}

impl TestedFollower for Program {
    fn start(&mut self, instance: InstanceId, wanted: Use, clocks: Clocks) -> Result<(), String> {
        let request = json!({
            "type": "start",
            "instance": instance.as_str(),
            "staleness_ms": wanted.staleness.as_millis() as u64,
            "on_stale": wanted.on_stale.name(),
        });
        self.ok(&with_clocks(request, clocks))
    }

    fn next(
        &mut self,
        clocks: Clocks,
        random: f64,
    ) -> Result<(Vec<SentRequest>, Duration), String> {
        let request = json!({ "type": "next", "random": random });
        let Reply::Send { requests, wait_ms } = self.ask(&with_clocks(request, clocks))? else {
            return Err("the program does not answer `next` with `send`".to_owned());
        };
        let request = |Request { id, path, query }| SentRequest {
            id,
            path,
            query: query.into_iter().collect(),
        };
        Ok((requests.into_iter().map(request).collect(), Duration::from_millis(wait_ms)))
    }

    fn receive(
        &mut self,
        id: &str,
        response: Option<&SimulatedResponse>,
        clocks: Clocks,
        random: f64,
    ) -> Result<(), String> {
        let seconds = response.and_then(|it| it.retry_after).map(|it| it.as_secs());
        let request = json!({
            "type": "response",
            "id": id,
            "status": response.map_or(0, |it| it.status),
            "retry_after": seconds,
            "body": response.map_or("", |it| it.body.as_str()),
            "random": random,
        });
        self.ok(&with_clocks(request, clocks))
    }

    fn verify(
        &mut self,
        token: &str,
        began: Steady,
        [_, clocks]: [Clocks; 2],
    ) -> Result<Answer, String> {
        let request = json!({ "type": "verify", "token": token, "began_ms": ms(began.0) });
        self.answer(&with_clocks(request, clocks))
    }

    fn stop(&mut self, clocks: Clocks) -> Result<(), String> {
        self.ok(&with_clocks(json!({ "type": "stop" }), clocks))
    }
}
