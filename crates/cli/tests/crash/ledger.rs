//! Records the clients' requests and the responses, and decides what must hold, whatever
//! happens to the server.
//!
//! Every request has the moment before it was sent and, unless it was cut off, the moment
//! after its response was read. A request that completed before another began came before
//! it; two that overlap have no known order; one without a response may have taken effect
//! or not, until the next check settles it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;
use tegata_token::claims::Claims;
use tegata_token::id::Serial;
use tegata_token::kind::Kind;

use crate::line::{self, Channel, FULL, Reader, With};
use crate::process::Server;
use crate::process::http::{HttpResponse, Request};
use crate::process::key::Key;
use crate::random::Rng;

/// A position in the order of the clients' events.
type Moment = u64;

/// The groups of every mixed channel.
const GROUPS: [&str; 3] = ["blue", "green", "red"];

/// All requests and responses.
pub(crate) struct Ledger {
    pub(crate) key: Key,
    pub(crate) channels: Vec<Books>,
    /// The channels from here on are in use.
    pub(crate) in_use: usize,
    pub(crate) tokens: Vec<Token>,
    /// Of this round.
    pub(crate) revocations: Vec<Revocation>,
    /// Issues of this round without a response.
    pub(crate) unanswered: Vec<Unanswered>,
    /// Channels that the clients created.
    pub(crate) made: Vec<String>,
    pub(crate) figures: Figures,
    /// No client begins another request.
    pub(crate) over: bool,
    /// What is being done to the server.
    pub(crate) trouble: Trouble,
    /// The server has a journal: an issue without a response may have evicted tokens although
    /// it issued none.
    pub(crate) journal: bool,
    provider: String,
    reader: Reader,
    now: Moment,
}

/// What happens to a server, and so which responses are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing: every request gets a response.
    None,
    /// It is being stopped: a response may be missing.
    Revoked,
    /// Its disk fails: a response may be missing, or report that the outcome is unknown.
    DiskFails,
}

/// The number of requests of each sort.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: BTreeMap<&'static str, usize>,
    pub(crate) in_flight: BTreeMap<&'static str, usize>,
    pub(crate) refused: usize,
    pub(crate) checks: usize,
    /// Issues without a response that took effect, as seen after the next start.
    pub(crate) happened: usize,
}

/// What is known of one channel.
pub(crate) struct Books {
    pub(crate) channel: Channel,
    pub(crate) use_: Use,
    /// The newest long-lived token, as far as is known.
    pub(crate) current: Option<String>,
    /// Tokens that no client got, found in a list before.
    pub(crate) strangers: HashSet<String>,
    /// All tokens of it, by their ids.
    pub(crate) held: HashMap<String, usize>,
    assertion: String,
    /// Held tokens that no client has asked to revoke yet.
    revocable: Vec<usize>,
    reissuing: bool,
    serials: HashMap<Serial, usize>,
    highest: Serial,
}

/// What a channel is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Short-lived tokens only, always at the cap, and nothing ever revoked.
    FullOfShortLived,
    /// v2.1 tokens, always around the cap.
    FullOfV21,
    /// Everything.
    Mixed,
}

/// A token that a client got.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) claims: Claims,
    pub(crate) channel: usize,
    /// Issued since the last check.
    pub(crate) fresh: bool,
    /// Whether it was active at the last check.
    pub(crate) good: bool,
    pub(crate) idempotency: Option<String>,
    asked: Moment,
    answered: Moment,
}

/// An issue without a response.
pub(crate) struct Unanswered {
    pub(crate) channel: usize,
    pub(crate) kind: Kind,
    pub(crate) group: Option<&'static str>,
    pub(crate) idempotency: Option<String>,
    above: Serial,
}

/// A request that revokes tokens.
pub(crate) struct Revocation {
    pub(crate) channel: usize,
    pub(crate) scope: Scope,
    asked: Moment,
    answered: Option<Moment>,
}

/// Which of a channel's tokens.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    Token(usize),
    Group(&'static str),
    Kind(Kind),
    All,
    /// The long-lived ones except these two: the new one, and the predecessor in its delay.
    LongLivedBut {
        new: Option<String>,
        spared: Option<String>,
    },
}

/// What a check must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Revoked,
    /// Revoked only if this revocation, which had no response, took effect.
    AsRevocation(usize),
    Either,
}

/// A request that a client is about to send.
pub(crate) struct Act {
    channel: usize,
    asked: Moment,
    /// Serials up to this one were issued before.
    above: Serial,
    what: Action,
}

enum Action {
    Issue { kind: Kind, group: Option<&'static str>, idempotency: Option<String> },
    Reissue { delay: u32, spared: Option<String> },
    Revoke(Scope),
    Create,
}

impl Ledger {
    pub(crate) async fn open(server: &Server) -> Self {
        Self {
            key: Key::generate(),
            channels: Vec::new(),
            in_use: 0,
            tokens: Vec::new(),
            revocations: Vec::new(),
            unanswered: Vec::new(),
            made: Vec::new(),
            figures: Figures::default(),
            over: false,
            trouble: Trouble::None,
            journal: false,
            provider: line::provider(server).await,
            reader: Reader::of(server).await,
            now: 0,
        }
    }

    /// Continues with new channels, so that their lists stay short, however long the test.
    pub(crate) async fn turn_the_page(&mut self, server: &Server, channels: usize) {
        self.in_use = self.channels.len();
        for number in 0..channels {
            let channel = self.new_channel(server).await;
            let assertion = channel.assertion(&self.key, 0);
            let use_ = match number {
                0 => Use::FullOfShortLived,
                1 => Use::FullOfV21,
                _ => Use::Mixed,
            };
            self.channels.push(Books {
                channel,
                use_,
                current: None,
                strangers: HashSet::new(),
                held: HashMap::new(),
                assertion,
                revocable: Vec::new(),
                reissuing: false,
                serials: HashMap::new(),
                highest: Serial(0),
            });
        }
    }

    /// A channel beside those in use.
    pub(crate) async fn new_channel(&self, server: &Server) -> Channel {
        Channel::create(server, &self.provider, &self.key).await
    }

    /// The next request of a client, if there is one.
    pub(crate) fn begin(&mut self, rng: &mut Rng) -> Option<(Act, Request)> {
        if self.over {
            return None;
        }
        let (full_of_short_lived, full_of_v21) = (self.in_use, self.in_use + 1);
        let mixed = self.channels.len() - self.in_use - 2;
        let channel = match rng.below(100) {
            0..20 => full_of_short_lived,
            20..40 => full_of_v21,
            _ => self.in_use + 2 + rng.below(mixed),
        };
        let asked = self.tick();
        let books = &mut self.channels[channel];
        let mut what = books.choose(rng);
        if let Action::Issue { kind, idempotency, .. } = &mut what
            && *kind != Kind::Stateless
            && rng.percent(25)
        {
            *idempotency = Some(format!("once-{asked}"));
        }
        let act = Act { channel, asked, above: books.highest, what };
        let request = self.request(&act);
        Some((act, request))
    }

    fn request(&self, act: &Act) -> Request {
        let books = &self.channels[act.channel];
        match &act.what {
            Action::Issue { kind, group, idempotency } => {
                books.issue(*kind, *group, idempotency.as_deref())
            }
            Action::Reissue { delay, .. } => books.channel.reissue_long_lived(*delay),
            Action::Revoke(Scope::Token(token)) => books.channel.revoke(&self.tokens[*token].text),
            Action::Revoke(Scope::Group(group)) => {
                books.channel.revocation(&json!({ "group": group }))
            }
            Action::Revoke(Scope::Kind(kind)) => books.channel.revocation(&json!({ "kind": kind })),
            Action::Revoke(_) => books.channel.revocation(&json!({ "all": true })),
            Action::Create => {
                let body = json!({ "name": "Made under load", "type": "mini-app" });
                let path = format!("/providers/{}/channels", self.provider);
                Request::admin("POST", &path, Some(&body))
            }
        }
    }

    /// Records a request: whether it was sent completely, and its response, unless that was
    /// cut off.
    pub(crate) fn end(&mut self, act: Act, sent: bool, response: Option<&HttpResponse>) {
        let answered = self.tick();
        let unknown =
            |response: &&HttpResponse| response.status == 503 && self.trouble == Trouble::DiskFails;
        let name = act.what.name();
        let Some(response) = response.filter(|response| !unknown(response)) else {
            assert!(self.trouble != Trouble::None, "{name} was cut off, and nothing was done");
            if sent {
                *self.figures.in_flight.entry(name).or_default() += 1;
            }
            self.enter_unanswered(act);
            return;
        };
        let acknowledged = match &act.what {
            Action::Issue { .. } | Action::Revoke(Scope::Token(_)) => response.status == 200,
            _ => response.status == 201,
        };
        if !acknowledged {
            let full = response.status == 400 && response.json() == json!({ "message": FULL });
            // Short-lived ones are refused where other groups fill the cap.
            let full = full
                && matches!(act.what, Action::Issue { .. })
                && self.channels[act.channel].use_ != Use::FullOfShortLived;
            // A group that had no token yet is unknown.
            let of_group = matches!(act.what, Action::Revoke(Scope::Group(_)));
            let unknown =
                response.status == 404 && of_group && response.text().contains("no such group");
            assert!(
                full || unknown || response.status == 429,
                "{name}: {}: {}",
                response.status,
                response.text()
            );
            self.figures.refused += 1;
            return;
        }
        *self.figures.acknowledged.entry(name).or_default() += 1;
        let Act { channel, asked, above, what } = act;
        match what {
            Action::Issue { idempotency, .. } => {
                self.hold(channel, response, [asked, answered], above, idempotency);
            }
            Action::Reissue { spared, .. } => {
                let id = self.hold(channel, response, [asked, answered], above, None);
                let new = Some(id);
                self.channels[channel].current.clone_from(&new);
                self.channels[channel].reissuing = false;
                let scope = Scope::LongLivedBut { new, spared };
                self.revocations.push(Revocation {
                    channel,
                    scope,
                    asked,
                    answered: Some(answered),
                });
            }
            Action::Revoke(scope) => {
                self.revocations.push(Revocation {
                    channel,
                    scope,
                    asked,
                    answered: Some(answered),
                });
            }
            Action::Create => {
                let id = response.json()["channel_id"].as_str().expect("a channel id").to_owned();
                self.made.push(id);
            }
        }
    }

    fn enter_unanswered(&mut self, act: Act) {
        let Act { channel, asked, above, what } = act;
        match what {
            Action::Issue { kind, group, idempotency } => {
                self.unanswered.push(Unanswered { channel, kind, group, idempotency, above });
            }
            Action::Reissue { spared, .. } => {
                let (kind, group, idempotency) = (Kind::LongLived, None, None);
                self.unanswered.push(Unanswered { channel, kind, group, idempotency, above });
                let scope = Scope::LongLivedBut { new: None, spared };
                self.revocations.push(Revocation { channel, scope, asked, answered: None });
            }
            Action::Revoke(scope) => {
                self.revocations.push(Revocation { channel, scope, asked, answered: None });
            }
            Action::Create => {}
        }
    }

    /// Records an issued token; returns its id.
    fn hold(
        &mut self,
        channel: usize,
        response: &HttpResponse,
        [asked, answered]: [Moment; 2],
        above: Serial,
        idempotency: Option<String>,
    ) -> String {
        let text = line::token_in(response);
        let claims = self.reader.claims(&text);
        let id = claims.id.to_string();
        let books = &mut self.channels[channel];
        let number = self.tokens.len();
        if claims.kind.is_stored() {
            let serial = claims.serial;
            assert!(serial > above, "{id} has {serial:?}, but {above:?} was there before it");
            let other = books.serials.insert(serial, number);
            assert!(other.is_none(), "{id} has {serial:?}, and so has another");
            books.highest = books.highest.max(serial);
        }
        books.held.insert(id.clone(), number);
        if claims.kind != Kind::LongLived {
            books.revocable.push(number);
        }
        let token =
            Token { text, claims, channel, fresh: true, good: true, idempotency, asked, answered };
        self.tokens.push(token);
        id
    }

    /// Records the response to an issue that had none and was repeated with the same
    /// `Idempotency-Key`.
    pub(crate) fn hold_after_all(&mut self, act: Unanswered, response: &HttpResponse) {
        let moments = [self.tick(), self.tick()];
        self.hold(act.channel, response, moments, act.above, act.idempotency);
    }

    /// The expected result of a verification, from the requests since the last check.
    /// `settled`: requests without a response had no effect.
    pub(crate) fn verdict(&self, number: usize, evictable: bool, settled: bool) -> Verdict {
        let token = &self.tokens[number];
        if !token.fresh && !token.good {
            return Verdict::Revoked;
        }
        let mut verdict = if evictable { Verdict::Either } else { Verdict::Good };
        let revocations = self.revocations.iter().enumerate();
        for (at, revocation) in revocations.filter(|(_, it)| self.covers(it, number)) {
            let before = !token.fresh || token.answered < revocation.asked;
            let after = revocation.answered.is_some_and(|answered| answered < token.asked);
            verdict = match (revocation.answered, verdict) {
                _ if after => verdict,
                (Some(_), _) if before => return Verdict::Revoked,
                (None, _) if settled => verdict,
                (None, Verdict::Good) if before => Verdict::AsRevocation(at),
                _ => Verdict::Either,
            };
        }
        verdict
    }

    fn covers(&self, revocation: &Revocation, number: usize) -> bool {
        let token = &self.tokens[number];
        let is = |id: &Option<String>| id.as_ref().is_some_and(|id| *id == token.id());
        revocation.channel == token.channel
            && match &revocation.scope {
                Scope::Token(other) => *other == number,
                Scope::Group(group) => token.group() == Some(group),
                Scope::Kind(kind) => *kind == token.claims.kind,
                Scope::All => true,
                Scope::LongLivedBut { new, spared } => {
                    token.claims.kind == Kind::LongLived && !is(new) && !is(spared)
                }
            }
    }

    /// Records the results of a check, after their comparison with the verdicts.
    pub(crate) fn settle(&mut self, found: &[(usize, bool)]) {
        for &(number, good) in found {
            let token = &mut self.tokens[number];
            (token.fresh, token.good) = (false, good);
        }
        self.revocations.clear();
        self.unanswered.clear();
        for books in &mut self.channels[self.in_use..] {
            books.reissuing = false;
            let tokens = &self.tokens;
            let revocable = books.held.values().copied();
            let revocable = revocable
                .filter(|&it| tokens[it].good && tokens[it].claims.kind != Kind::LongLived);
            books.revocable = revocable.collect();
            // Not in the order of a hash map: the same seed makes the same choices.
            books.revocable.sort_unstable();
        }
    }

    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }
}

impl Books {
    pub(crate) fn issue(
        &self,
        kind: Kind,
        group: Option<&str>,
        idempotency: Option<&str>,
    ) -> Request {
        let with = With { group, idempotency };
        match kind {
            Kind::V21 => Channel::issue_v21(&self.assertion, with),
            Kind::Stateless => self.channel.issue_stateless(with),
            _ => self.channel.issue_short_lived(with),
        }
    }

    fn choose(&mut self, rng: &mut Rng) -> Action {
        let issue = |kind, group| Action::Issue { kind, group, idempotency: None };
        match self.use_ {
            Use::FullOfShortLived => issue(Kind::ShortLived, None),
            Use::FullOfV21 if rng.percent(55) => issue(Kind::V21, None),
            Use::FullOfV21 => self.revoke_one(rng).unwrap_or_else(|| issue(Kind::V21, None)),
            Use::Mixed => {
                let group = rng.percent(40).then(|| rng.of(&GROUPS));
                match rng.below(100) {
                    0..20 => issue(Kind::ShortLived, group),
                    20..42 => issue(Kind::V21, group),
                    42..56 => issue(Kind::Stateless, group),
                    56..80 => self.revoke_one(rng).unwrap_or_else(|| issue(Kind::Stateless, group)),
                    80..90 if !self.reissuing => {
                        self.reissuing = true;
                        let delay = rng.of(&[0, 0, 3600]);
                        let spared = self.current.clone().filter(|_| delay > 0);
                        Action::Reissue { delay, spared }
                    }
                    80..90 => issue(Kind::ShortLived, group),
                    90..94 => Action::Revoke(Scope::Group(rng.of(&GROUPS))),
                    94..97 => {
                        let kinds = [Kind::V21, Kind::ShortLived, Kind::Stateless, Kind::LongLived];
                        Action::Revoke(Scope::Kind(rng.of(&kinds)))
                    }
                    97 => Action::Revoke(Scope::All),
                    _ => Action::Create,
                }
            }
        }
    }

    fn revoke_one(&mut self, rng: &mut Rng) -> Option<Action> {
        if self.revocable.is_empty() {
            return None;
        }
        let at = rng.below(self.revocable.len());
        Some(Action::Revoke(Scope::Token(self.revocable.swap_remove(at))))
    }
}

impl Token {
    /// Whether it may have been active since the last check.
    pub(crate) fn is_of_this_round(&self) -> bool {
        self.fresh || self.good
    }

    pub(crate) fn id(&self) -> String {
        self.claims.id.to_string()
    }

    pub(crate) fn group(&self) -> Option<&str> {
        self.claims.group.as_ref().map(|group| group.as_str())
    }
}

impl Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Issue { kind, .. } => kind.name(),
            Self::Reissue { .. } => "long-lived",
            Self::Revoke(Scope::Token(_)) => "revocation of one",
            Self::Revoke(Scope::Group(_)) => "of a group",
            Self::Revoke(Scope::Kind(_)) => "of a kind",
            Self::Revoke(_) => "of all",
            Self::Create => "new channel",
        }
    }
}
