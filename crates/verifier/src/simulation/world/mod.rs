//! The world around the followers: hosts with clocks of their own, a network, an operator,
//! and faults.

mod acts;

use super::{
    Answer, Planted, ScheduleFigures, SentRequest, SimulatedResponse, TestedFollower,
    authority::{Authority, Held, Moment, Reply, ReturnAddress, START, nanos},
    check::{Given, check},
    random::Random,
};
use crate::{
    clocks::{Clocks, Steady},
    standing::Use,
};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
    time::Duration,
};
use tegata_token::{
    feed::{ChangesQuery, FeedQuery, InstanceId, OnStale, ResponseHead},
    id::ProviderId,
};

const SECOND: Moment = 1_000_000_000;
/// When the faults end, and when the simulation does.
const HEALED: Moment = 40 * SECOND;
const END: Moment = 60 * SECOND;
const QUESTION: Duration = Duration::from_secs(1);

/// A verification that has not been answered.
#[derive(Debug, Clone, Copy)]
struct Verification {
    host: usize,
    process: u64,
    token: usize,
    /// By the host's clock, and by the simulation's.
    began: Steady,
    began_at: Moment,
    /// When the view is consulted, if the process stood still since.
    consulted: Option<Clocks>,
}

enum Event {
    Tick { host: usize, process: u64, turn: u64 },
    Arrive { to: ReturnAddress, request: SentRequest, repeated: bool },
    Deliver { to: ReturnAddress, response: SimulatedResponse },
    Verify { host: usize },
    Conclude(Verification),
    Start { host: usize },
    Operator,
    Fault,
    Judge,
    Held,
}

/// A machine with one process that verifies.
struct Host<S> {
    subject: S,
    provider: Option<ProviderId>,
    wanted: Use,
    rate: f64,
    offset: Moment,
    wall: Moment,
    paused: Moment,
    frozen_until: Moment,
    cut_until: Moment,
    slow: f64,
    process: u64,
    running: bool,
    stopping: bool,
    turn: u64,
    refused: BTreeSet<usize>,
}

impl<S> Host<S> {
    fn clocks(&self, now: Moment) -> Clocks {
        let steady = self.offset + ((now - self.paused) as f64 * self.rate) as Moment;
        Clocks { steady: Steady(steady), wall: START * SECOND + steady - self.offset + self.wall }
    }
}

pub(super) struct World<S> {
    random: Random,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, u64)>>,
    queued: Vec<Option<Event>>,
    authority: Authority,
    hosts: Vec<Host<S>>,
    down_until: Moment,
    figures: ScheduleFigures,
    trace: VecDeque<String>,
}

impl<S: TestedFollower> World<S> {
    pub fn new(
        seed: u64,
        planted: Planted,
        mut subject: impl FnMut() -> Result<S, String>,
    ) -> Result<Self, String> {
        let mut random = Random(seed);
        let mut hosts = Vec::new();
        for _ in 0..random.one_of(&[1, 2, 3]) {
            let staleness = Duration::from_secs_f64(random.one_of(&[0.5, 1.0, 2.0, 5.0]));
            let on_stale = random.one_of(&[OnStale::Deny, OnStale::Deny, OnStale::Allow]);
            hosts.push(Host {
                subject: subject()?,
                provider: random.one_of(&[None, None, ProviderId::from_number(1)]),
                wanted: Use { staleness, on_stale },
                rate: random.one_of(&[1.0, 0.99, 1.01]),
                offset: nanos(random.between(1.0, 1_000.0)),
                wall: nanos(random.between(0.0, 0.1)),
                paused: 0,
                frozen_until: 0,
                cut_until: 0,
                slow: 1.0,
                process: 0,
                running: false,
                stopping: false,
                turn: 0,
                refused: BTreeSet::new(),
            });
        }
        let mut it = Self {
            random,
            now: 0,
            events: BinaryHeap::new(),
            queued: Vec::new(),
            authority: Authority::new(planted),
            hosts,
            down_until: 0,
            figures: ScheduleFigures::default(),
            trace: VecDeque::new(),
        };
        for host in 0..it.hosts.len() {
            let start = it.random.between(0.0, 2.0);
            it.after(start, Event::Start { host });
            it.after(start, Event::Verify { host });
        }
        for event in [Event::Operator, Event::Fault, Event::Judge] {
            it.after(QUESTION, event);
        }
        Ok(it)
    }

    pub fn run(mut self) -> Result<ScheduleFigures, String> {
        while let Some(Reverse((at, number))) = self.events.pop() {
            if at > END {
                break;
            }
            self.now = at;
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let Some(event) = self.queued.get_mut(index).and_then(Option::take) else { continue };
            if let Err(problem) = self.handle(event) {
                let trace: Vec<String> = self.trace.into_iter().collect();
                let seconds = at as f64 / SECOND as f64;
                return Err(format!("{problem} ({seconds:.3} s)\n{}", trace.join("\n")));
            }
        }
        self.check_the_end()?;
        Ok(self.figures)
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.events.push(Reverse((self.now + nanos(time), self.queued.len() as u64)));
        self.queued.push(Some(event));
    }

    fn note(&mut self, what: String) {
        if self.trace.len() == 60 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:9.3} {what}", self.now as f64 / SECOND as f64));
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        let frozen = match &event {
            Event::Tick { host, .. }
            | Event::Verify { host }
            | Event::Start { host }
            | Event::Conclude(Verification { host, .. })
            | Event::Deliver { to: ReturnAddress { host, .. }, .. } => {
                self.hosts[*host].frozen_until
            }
            _ => 0,
        };
        if frozen > self.now {
            let wait = Duration::from_nanos((frozen - self.now + 1_000).unsigned_abs());
            self.after(wait, event);
            return Ok(());
        }
        match event {
            Event::Tick { host, process, turn } => self.tick(host, process, turn),
            Event::Arrive { to, request, repeated } => self.arrive(to, &request, repeated),
            Event::Deliver { to, response } => self.deliver(&to, &response),
            Event::Verify { host } => self.verify(host),
            Event::Conclude(it) => self.conclude(it),
            Event::Start { host } => self.start(host),
            Event::Operator => {
                self.operate();
                Ok(())
            }
            Event::Fault => self.fault(),
            Event::Judge => {
                let before = self.authority.tokens.iter().filter(|it| it.complete.is_some());
                let before = before.count();
                self.authority.judge(self.now);
                let now = self.authority.tokens.iter().filter(|it| it.complete.is_some()).count();
                self.figures.receipts += now - before;
                self.answer_held();
                self.after(Duration::from_millis(50), Event::Judge);
                Ok(())
            }
            Event::Held => {
                self.answer_held();
                Ok(())
            }
        }
    }

    // ---- processes

    fn start(&mut self, index: usize) -> Result<(), String> {
        let instance = InstanceId::from_random(self.random.bytes());
        let host = &mut self.hosts[index];
        host.process += 1;
        host.running = true;
        host.stopping = false;
        host.refused.clear();
        let clocks = host.clocks(self.now);
        host.subject.start(instance, host.wanted, clocks)?;
        self.note(format!("host {index} starts process {}", self.hosts[index].process));
        self.tick_now(index)
    }

    fn tick_now(&mut self, host: usize) -> Result<(), String> {
        let (process, turn) = (self.hosts[host].process, self.hosts[host].turn);
        self.tick(host, process, turn)
    }

    fn tick(&mut self, index: usize, process: u64, turn: u64) -> Result<(), String> {
        let random = self.random.unit();
        let host = &mut self.hosts[index];
        if !host.running || host.process != process || host.turn != turn {
            return Ok(());
        }
        host.turn += 1;
        let turn = host.turn;
        let (requests, wait) = host.subject.next(host.clocks(self.now), random)?;
        for request in requests {
            self.send(index, request)?;
        }
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(60));
        self.after(wait, Event::Tick { host: index, process, turn });
        Ok(())
    }

    fn send(&mut self, host: usize, request: SentRequest) -> Result<(), String> {
        let seq = request.query.iter().find(|(name, _)| name == "seq").map(|it| it.1.clone());
        let process = self.hosts[host].process;
        let to = ReturnAddress { host, process, id: request.id.clone(), seq };
        if self.is_cut(host) || self.strikes(0.01) {
            return Ok(());
        }
        if self.strikes(0.03) {
            let late = self.random.between(0.0, 3.0);
            let (to, request) = (to.clone(), request.clone());
            self.after(late, Event::Arrive { to, request, repeated: true });
        }
        let delay = self.delay(host);
        self.after(delay, Event::Arrive { to, request, repeated: false });
        Ok(())
    }

    /// Whether a fault of this probability strikes.
    fn strikes(&mut self, probability: f64) -> bool {
        self.now < HEALED && self.random.happens(probability)
    }

    /// How long the authority takes from its read to its response.
    fn busy(&mut self) -> Duration {
        let mean = self.random.one_of(&[0.1, 0.5, 2.0]);
        if self.strikes(0.05) { self.random.about(mean) } else { Duration::ZERO }
    }

    fn is_cut(&self, host: usize) -> bool {
        self.hosts[host].cut_until > self.now
    }

    fn delay(&mut self, host: usize) -> Duration {
        Duration::from_micros(500) + self.random.about(0.003).mul_f64(self.hosts[host].slow)
    }

    fn deliver(&mut self, to: &ReturnAddress, response: &SimulatedResponse) -> Result<(), String> {
        let random = self.random.unit();
        let cut = self.is_cut(to.host);
        let host = &mut self.hosts[to.host];
        if cut || host.process != to.process || !host.running {
            return Ok(());
        }
        let clocks = host.clocks(self.now);
        host.subject.receive(&to.id, Some(response), clocks, random)?;
        if host.stopping && response.status == 200 {
            host.running = false;
        }
        self.tick_now(to.host)
    }

    // ---- the authority

    fn arrive(
        &mut self,
        to: ReturnAddress,
        request: &SentRequest,
        repeated: bool,
    ) -> Result<(), String> {
        if self.down_until > self.now {
            if self.random.happens(0.5) {
                self.respond(to, 503, String::new(), Duration::ZERO);
            }
            return Ok(());
        }
        let provider = self.hosts[to.host].provider;
        let pairs = request.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let wrong = |error| format!("host {} asks wrongly: {error}", to.host);
        // The response leaves a while after the read that it is made from.
        let busy = self.busy();
        let head = self.head(&to, busy);
        if request.path == "/feed/snapshot" {
            let query = FeedQuery::parse(pairs).map_err(wrong)?;
            let reply = self.authority.snapshot(&query, provider);
            self.note(format!("snapshot for host {}", to.host));
            if let Reply::Now(status, text) = reply
                && !repeated
            {
                let body = Authority::snapshot_body(&head, &text);
                self.respond(to, status, body, busy);
            }
            return Ok(());
        }
        let query = ChangesQuery::parse(pairs).map_err(wrong)?;
        let (after, hold) = (query.after, query.hold.as_millis());
        self.note(format!("changes after {after} for host {}, hold {hold}", to.host));
        match self.authority.changes(&query, provider) {
            _ if repeated => {}
            Reply::Now(200, _) if query.bye => self.respond(to, 200, "{}".to_owned(), busy),
            Reply::Now(200, _) => {
                let (status, body) = self.authority.changes_body(&query, provider, head);
                self.respond(to, status, body, busy);
            }
            Reply::Now(status, body) => self.respond(to, status, body, busy),
            Reply::Hold(time) => {
                let until = self.now + nanos(time);
                self.authority.held.push(Held { query, provider, until, to });
                self.after(time, Event::Held);
            }
        }
        Ok(())
    }

    fn head(&self, to: &ReturnAddress, age: Duration) -> ResponseHead {
        let time_ms = self.authority.clock.time_ms(self.now);
        ResponseHead { seq: to.seq.clone(), age, time_ms }
    }

    fn answer_held(&mut self) {
        for Held { query, provider, to, .. } in self.authority.due(self.now) {
            let busy = self.busy();
            let head = self.head(&to, busy);
            let (status, body) = self.authority.changes_body(&query, provider, head);
            self.respond(to, status, body, busy);
        }
    }

    fn respond(&mut self, to: ReturnAddress, status: u16, body: String, busy: Duration) {
        if self.is_cut(to.host) || self.strikes(0.01) {
            return;
        }
        let delay = busy + self.delay(to.host);
        let response = SimulatedResponse { status, retry_after: None, body };
        self.after(delay, Event::Deliver { to, response });
    }

    // ---- verifications

    fn verify(&mut self, index: usize) -> Result<(), String> {
        let next = self.random.about(0.125);
        self.after(next, Event::Verify { host: index });
        let count = self.authority.tokens.len();
        if count == 0 || !self.hosts[index].running || self.hosts[index].stopping {
            return Ok(());
        }
        let recent = count.min(14);
        let token = count - 1 - self.random.below(recent);
        let stands_still = self.strikes(0.02);
        let still = if stands_still { self.random.about(1.0) } else { Duration::ZERO };
        let host = &mut self.hosts[index];
        let clocks = host.clocks(self.now);
        let verification = Verification {
            host: index,
            process: host.process,
            token,
            began: clocks.steady,
            began_at: self.now,
            consulted: Some(clocks).filter(|_| stands_still),
        };
        host.frozen_until = host.frozen_until.max(self.now + nanos(still));
        self.after(still, Event::Conclude(verification));
        Ok(())
    }

    fn conclude(&mut self, it: Verification) -> Result<(), String> {
        let Self { hosts, authority, figures, now, .. } = self;
        let (now, host) = (*now, &mut hosts[it.host]);
        if host.process != it.process || !host.running || host.stopping {
            return Ok(());
        }
        let clocks = host.clocks(now);
        let moments = [it.consulted.unwrap_or(clocks), clocks];
        let text = &authority.tokens[it.token].text;
        let mut answer = host.subject.verify(text, it.began, moments)?;
        if answer == Answer::Question && clocks.steady.since(it.began) >= QUESTION {
            answer = Answer::Stale;
        }
        if answer == Answer::Question {
            self.tick_now(it.host)?;
            let again = Verification { consulted: None, ..it };
            self.after(Duration::from_millis(20), Event::Conclude(again));
            return Ok(());
        }
        figures.verified += 1;
        match answer {
            Answer::Active => figures.active += 1,
            Answer::Invalid => figures.invalid += 1,
            _ => figures.unknown += 1,
        }
        let given = Given {
            host: it.host,
            provider: host.provider,
            wanted: host.wanted,
            token: it.token,
            began: it.began_at,
            now,
            answer,
            refused: &mut host.refused,
        };
        check(authority, given)
    }
}
