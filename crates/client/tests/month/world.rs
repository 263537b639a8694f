//! The simulation of the agent, its authority and its disk, from event to event.

use super::{authority::Authority, random::Seeded, trouble};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tegata_client::agent::{
    config::Config,
    core::{Core, Done, Order},
};
use tegata_token::time::UnixTime;
use tempfile::TempDir;

pub const DAY: i64 = 86_400;
pub const MONTH: i64 = 30 * DAY;
pub const LIFE: i64 = DAY;

/// Twenty groups, ten on each of two channels.
const TARGETS: usize = 20;
const CHANNELS: [&str; 2] = ["1000000001", "1000000002"];

/// The start, a realistic time.
const EPOCH: i64 = 1_800_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Tegata,
    Line,
}

/// The result of a month.
pub struct Sum {
    pub issues: usize,
    pub troubles: usize,
    pub restarts: usize,
    pub events: u64,
    /// The maximum of the groups' issues, relative to the ideal.
    pub ratio: f64,
}

pub struct World {
    seed: u64,
    now: i64,
    /// The skew of the agent's clock.
    skew: i64,
    jitter: Seeded,
    authority: Authority,
    troubles: Vec<trouble::Trouble>,
    core: Option<Core>,
    config: Config,
    /// Pending responses, by their time; the number keeps their order.
    coming: BinaryHeap<Reverse<(i64, usize)>>,
    responses: Vec<Option<Done>>,
    restarts: usize,
    files: Vec<PathBuf>,
    /// The time until which the tokens in all files are active, as long as neither the
    /// authority nor a file changes.
    good_until: i64,
    seen: u64,
    /// Whether there was file work since the folder was examined; without, no file changes.
    was_worked_on: bool,
    changed: (i64, i64),
    events: u64,
    home: TempDir,
}

impl World {
    pub fn new(seed: u64, plan: Plan) -> Self {
        // In memory, if there is such a file system: a million files are written.
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let home = home.unwrap();
        let mut jitter = Seeded(seed);
        let troubles = trouble::schedule(&mut jitter, plan);
        let authority = Authority::new(plan, Seeded(jitter.number()), troubles.clone());
        let config = Config::parse(&settings(plan), home.path()).unwrap();
        let files = config.sinks.iter().filter_map(|it| it.path.clone()).collect();
        Self {
            seed,
            now: 0,
            skew: jitter.between(-600, 600),
            jitter,
            authority,
            troubles,
            core: None,
            config,
            coming: BinaryHeap::new(),
            responses: Vec::new(),
            restarts: 0,
            files,
            good_until: 0,
            seen: 0,
            was_worked_on: true,
            changed: (0, 0),
            events: 0,
            home,
        }
    }

    /// The agent's time.
    fn clock(&self) -> UnixTime {
        UnixTime(EPOCH + self.now + self.skew)
    }

    pub fn play(mut self) -> Sum {
        self.start();
        // The ends of outages, and the times when the agent is killed.
        let mut moments: Vec<_> = self.troubles.iter().map(|it| (it.to, false)).collect();
        moments.extend((0..10).map(|_| (self.jitter.between(DAY, MONTH), true)));
        moments.sort_unstable();
        let mut moments = moments.into_iter().peekable();
        while self.now < MONTH {
            self.go_on();
            let own = self
                .core
                .as_mut()
                .map(|core| core.next_time(UnixTime(EPOCH + self.now + self.skew)));
            let own = own.map_or(MONTH, |it| (it.0 - EPOCH - self.skew).max(self.now + 1));
            let response = self.coming.peek().map_or(MONTH, |Reverse((at, _))| *at);
            let moment = moments.peek().map_or(MONTH, |(at, _)| *at);
            let next = own.min(response).min(moment).max(self.now);
            self.check(next);
            self.now = next;
            while self.coming.peek().is_some_and(|Reverse((at, _))| *at <= next) {
                let Reverse((_, number)) = self.coming.pop().unwrap();
                self.take_in(number);
            }
            while let Some((_, kills)) = moments.next_if(|(at, _)| *at <= next) {
                if kills {
                    self.kill();
                }
            }
        }
        self.sum()
    }

    fn start(&mut self) {
        let random = Box::new(Seeded(self.jitter.number()));
        self.core = Some(Core::new(&self.config, self.clock(), random));
        self.work_on_files();
    }

    /// Starts the due orders; immediate results are processed at once.
    fn go_on(&mut self) {
        loop {
            self.work_on_files();
            let clock = self.clock();
            let orders = self.core.as_mut().unwrap().due(clock);
            if orders.is_empty() {
                return;
            }
            for order in orders {
                let Order::TargetRequest { target, wanted, act, .. } = order else {
                    panic!("there is no watched token and no notification");
                };
                let (takes, outcome) = self.authority.respond(self.now, target, &wanted, &act);
                self.responses.push(Some(Done::TargetRequest(target, outcome)));
                let number = self.responses.len() - 1;
                if takes == 0 {
                    self.take_in(number);
                } else {
                    self.coming.push(Reverse((self.now + takes, number)));
                }
            }
        }
    }

    /// File work takes no time.
    fn work_on_files(&mut self) {
        let clock = self.clock();
        let core = self.core.as_mut().unwrap();
        loop {
            let orders = core.due_files(clock);
            if orders.is_empty() {
                return;
            }
            self.was_worked_on = true;
            for order in orders {
                core.done(clock, order.carry_out());
            }
        }
    }

    fn take_in(&mut self, number: usize) {
        let clock = self.clock();
        let done = self.responses[number].take().unwrap();
        self.core.as_mut().unwrap().done(clock, done);
        self.work_on_files();
    }

    /// Kills the agent, as with `kill -9`: pending responses are lost. It restarts after some
    /// minutes.
    fn kill(&mut self) {
        self.coming.clear();
        self.core = None;
        self.restarts += 1;
        self.now += self.jitter.between(0, 300);
        self.start();
    }

    /// Checks the time from now until just before `next`. Files are read when one was replaced,
    /// when a token was issued or revoked, when one may have expired, and sometimes without a
    /// reason.
    fn check(&mut self, next: i64) {
        let seed = self.seed;
        let version = self.authority.version;
        if version != self.seen {
            for target in 0..TARGETS {
                let live = self.authority.live(self.now, target);
                assert!(live <= 2, "seed {seed}: group {target} has {live} tokens at {}", self.now);
            }
        }
        // Before the first tokens are issued there is nothing to check.
        if self.now < 60 {
            return;
        }
        let mut changed = self.changed;
        if std::mem::take(&mut self.was_worked_on) {
            // A replaced file changes its folder.
            let folder = fs::metadata(self.home.path()).unwrap();
            changed = (folder.mtime(), folder.mtime_nsec());
        }
        self.events += 1;
        let same =
            version == self.seen && changed == self.changed && !self.events.is_multiple_of(64);
        if same && next <= self.good_until {
            return;
        }
        (self.seen, self.changed) = (version, changed);
        self.good_until = i64::MAX;
        for file in &self.files {
            for number in tokens_in(file) {
                let token = &self.authority.tokens[number];
                assert!(
                    token.is_good(self.now) && token.until >= next,
                    "seed {seed}: at {} the token in {} ends at {} (ended early: {}); next event \
                     at {next}; last troubles {:?}",
                    self.now,
                    file.strip_prefix(self.home.path()).unwrap().display(),
                    token.until,
                    token.ended,
                    self.troubles.iter().rfind(|it| it.from <= self.now),
                );
                self.good_until = self.good_until.min(token.until);
            }
        }
    }

    fn sum(&self) -> Sum {
        let issues = self.authority.tokens.len();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ratio = {
            // One at the start, and one for each two thirds of a lifetime.
            let ideal = 1.0 + MONTH as f64 / (LIFE as f64 * 2.0 / 3.0);
            let of = |target| self.authority.tokens.iter().filter(|it| it.target == target).count();
            (0..TARGETS).map(of).max().unwrap() as f64 / ideal
        };
        assert!(ratio <= 1.2, "seed {}: {ratio:.3} times as many issues as needed", self.seed);
        Sum {
            issues,
            troubles: self.troubles.len(),
            restarts: self.restarts,
            events: self.events,
            ratio,
        }
    }
}

/// Ten tokens per channel, each in a file of its own; those of the first channel also in an
/// env file, those of the second in a JSON file.
fn settings(plan: Plan) -> String {
    let mut text = "state = 'state'\nverify_interval_seconds = 21600\n".to_owned();
    for channel in CHANNELS {
        // Never read: the network is simulated.
        write!(text, "[[channel]]\nid = '{channel}'\nkey_env = 'K'\nsecret_env = 'S'\n").unwrap();
    }
    let mut of = [Vec::new(), Vec::new()];
    for number in 0..TARGETS {
        let half = number / (TARGETS / 2);
        let channel = CHANNELS[half];
        write!(text, "[[token]]\nname = 't{number}'\nchannel = '{channel}'\nlifetime = {LIFE}\n")
            .unwrap();
        if plan == Plan::Tegata {
            writeln!(text, "group = 'g{number}'").unwrap();
        }
        write!(text, "[[sink]]\ntokens = ['t{number}']\npath = 'token{number}'\n").unwrap();
        of[half].push(format!("'t{number}'"));
    }
    for (tokens, form) in of.iter().zip(["env", "json"]) {
        let tokens = tokens.join(", ");
        write!(text, "[[sink]]\ntokens = [{tokens}]\npath = 'all.{form}'\nformat = '{form}'\n")
            .unwrap();
    }
    text
}

/// The numbers of the tokens in a file; an incomplete file fails here.
fn tokens_in(file: &Path) -> Vec<usize> {
    let text = fs::read_to_string(file).unwrap();
    let number = |text: &str| text.parse().unwrap();
    match file.extension().and_then(|it| it.to_str()) {
        None => vec![number(&text)],
        Some("env") => {
            let tokens: Vec<_> =
                text.lines().map(|line| number(line.split_once('=').unwrap().1)).collect();
            assert_eq!(tokens.len(), TARGETS / 2);
            tokens
        }
        _ => {
            let all: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&text).unwrap();
            assert_eq!(all.len(), TARGETS / 2);
            all.values().map(|it| number(it["access_token"].as_str().unwrap())).collect()
        }
    }
}
