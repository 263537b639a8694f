//! Holds what a server says against the ledger: nothing acknowledged is lost,
//! nothing that was ended lives, the caps stand, no two stories are told, and
//! nothing is there that nobody asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use serde_json::{Value, json};
use tegata_policy::rules::GROUP_CAP;
use tegata_token::kind::Kind;

use crate::ledger::{Ledger, Scope, Unanswered, Use, Verdict};
use crate::line::{FULL, is_good, token_in, unix_now, verify};
use crate::process::Server;
use crate::process::http::{Answer, Connection, Request};
use crate::random::Rng;

/// LINE's cap, of v2.1 and of short-lived tokens each.
const CAP: usize = 30;
/// Of long-lived ones: the current, and one in its delay.
const LONG_LIVED: usize = 2;
/// So many tokens that nothing should have happened to are checked each time.
const SAMPLE: usize = 60;
/// A stateless token with less life left than this, in seconds, may expire while
/// it is being checked.
const TOO_LATE: i64 = 120;

/// What became of acts that were never answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They may have happened.
    Open,
    /// They did not.
    Undone,
}

/// Which tokens to check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that something happened to, those that live, and some of the others.
    Touched,
    /// All that were ever handed out.
    All,
}

/// Checks `server` against the ledger, and enters what it found. Panics with all
/// that does not hold.
pub(crate) async fn check(
    server: &Server,
    ledger: &mut Ledger,
    which: Which,
    unknown: Unknown,
    rng: &mut Rng,
) {
    let unseen = if ledger.journal { Unseen::of(&ledger.unanswered) } else { Unseen::default() };
    ask_again(server, ledger).await;
    let first = if which == Which::All { 0 } else { ledger.in_use };
    let mut lists = HashMap::new();
    let mut wrong = Vec::new();
    for number in first..ledger.channels.len() {
        let list = List::of(&ledger.channels[number].channel.rows(server).await);
        check_list(server, ledger, number, &list, unknown, &mut wrong).await;
        lists.insert(number, list);
    }
    let sure = Sure { lists, unseen, undone: unknown == Unknown::Undone };
    let found = check_tokens(server, ledger, &sure, which, rng, &mut wrong).await;
    check_made(server, ledger, &mut wrong).await;
    assert!(wrong.is_empty(), "{} things do not hold:\n{}", wrong.len(), wrong.join("\n"));
    ledger.figures.checks += found.len();
    ask_once_more(server, ledger, &found).await;
    ledger.settle(&found);
}

/// Issues that were never answered: how many of a channel and kind, and of a group.
#[derive(Default)]
struct Unseen(HashMap<(usize, Kind, Option<&'static str>), usize>);

impl Unseen {
    fn of(acts: &[Unanswered]) -> Self {
        let mut unseen = HashMap::new();
        for act in acts {
            *unseen.entry((act.channel, act.kind, act.group)).or_default() += 1;
        }
        Self(unseen)
    }

    /// Those of one group, and those of all.
    fn beside(&self, channel: usize, row: &Row) -> [usize; 2] {
        let of_kind =
            self.0.iter().filter(|((at, kind, _), _)| (*at, *kind) == (channel, row.kind));
        let of_group = of_kind.clone().filter(|((.., group), _)| *group == row.group.as_deref());
        [of_group.map(|(_, n)| n).sum(), of_kind.map(|(_, n)| n).sum()]
    }
}

/// What a check has to go by beside the ledger.
struct Sure {
    lists: HashMap<usize, List>,
    unseen: Unseen,
    /// What was never answered did not happen.
    undone: bool,
}

/// A channel's stored tokens as administrators see them, newest first.
struct List(Vec<Row>);

struct Row {
    id: String,
    kind: Kind,
    group: Option<String>,
    active: bool,
    cause: Option<String>,
}

impl List {
    fn of(rows: &[Value]) -> Self {
        let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
        let row = |row: &Value| Row {
            id: text(row, "token_id").expect("an id"),
            kind: text(row, "kind").and_then(|kind| kind.parse().ok()).expect("a kind"),
            group: text(row, "group"),
            active: row["state"] == "active",
            cause: text(row, "cause"),
        };
        Self(rows.iter().map(row).collect())
    }

    fn active(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |row| row.kind == kind && row.active)
    }

    /// Its place, if it is there.
    fn find(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|row| row.id == id)
    }

    /// Whether the law may have ended the row at this place for a newer one, which may
    /// be one of those that were not seen: so many of its group, and of all.
    fn is_evictable(&self, at: usize, [of_group, of_all]: [usize; 2]) -> bool {
        let row = &self.0[at];
        let newer = || self.0[..at].iter().filter(|it| it.kind == row.kind);
        let full = row.kind == Kind::ShortLived && newer().count() + of_all >= CAP;
        let peers = newer().filter(|it| it.group == row.group).count() + of_group;
        match (&row.group, row.kind) {
            (Some(_), _) => peers >= GROUP_CAP || (full && peers > 0),
            (None, _) => full,
        }
    }
}

/// Asks again for what was never answered and had an `Idempotency-Key`. The same
/// key gets the token of the first time, if there was a first time.
async fn ask_again(server: &Server, ledger: &mut Ledger) {
    for act in std::mem::take(&mut ledger.unanswered) {
        let Some(key) = &act.idempotency else {
            ledger.unanswered.push(act);
            continue;
        };
        let request = ledger.channels[act.channel].issue(act.kind, act.group, Some(key));
        let (first, second) = (server.ask(&request).await, server.ask(&request).await);
        match first.status {
            200 => {
                assert_eq!(token_in(&first), token_in(&second), "one key, one token");
                ledger.hold_after_all(act, &first);
            }
            400 if first.json() == json!({ "message": FULL }) => {}
            // It happened, and something else ended it.
            409 => ledger.unanswered.push(act),
            other => panic!("asked again with {key}: {other}: {}", first.text()),
        }
    }
}

/// Asks again for some tokens that were acknowledged, with their
/// `Idempotency-Key`: the token itself if it lives, a conflict if it does not.
async fn ask_once_more(server: &Server, ledger: &Ledger, found: &[(usize, bool)]) {
    let fresh = found.iter().filter(|(it, _)| ledger.tokens[*it].fresh);
    let with_key = fresh.filter(|(it, _)| ledger.tokens[*it].idempotency.is_some());
    for &(number, good) in with_key.take(6) {
        let token = &ledger.tokens[number];
        let books = &ledger.channels[token.channel];
        let key = token.idempotency.as_deref();
        let again = server.ask(&books.issue(token.claims.kind, token.group(), key)).await;
        if good {
            assert_eq!(again.status, 200, "{}", again.text());
            assert_eq!(token_in(&again), token.text, "one key, one token");
        } else {
            assert_eq!(again.status, 409, "{}", again.text());
        }
    }
}

/// Caps, the key ids, and rows that nobody was handed the token of.
async fn check_list(
    server: &Server,
    ledger: &mut Ledger,
    number: usize,
    list: &List,
    unknown: Unknown,
    wrong: &mut Vec<String>,
) {
    let books = &ledger.channels[number];
    let id = &books.channel.id;
    for (kind, cap) in [(Kind::V21, CAP), (Kind::ShortLived, CAP), (Kind::LongLived, LONG_LIVED)] {
        let active = list.active(kind).count();
        if active > cap {
            wrong.push(format!("{id}: {active} live {kind:?}"));
        }
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for group in list.active(kind).filter_map(|row| row.group.as_deref()) {
            *groups.entry(group).or_default() += 1;
        }
        if let Some((group, live)) = groups.iter().find(|(_, live)| **live > GROUP_CAP) {
            wrong.push(format!("{id}: {live} live {kind:?} of group {group}"));
        }
    }
    if books.use_ == Use::FullOfShortLived
        && !list.0.iter().enumerate().all(|(at, row)| match row.active {
            true => at < CAP,
            // Evicted, perhaps, for an issue that did not happen.
            false => at >= CAP || ledger.journal,
        })
    {
        wrong.push(format!("{id}: not exactly the newest {CAP} short-lived are live"));
    }
    let kids = BTreeSet::from_iter(books.channel.key_ids(server, &ledger.key).await);
    let listed = BTreeSet::from_iter(list.active(Kind::V21).map(|row| row.id.clone()));
    if kids != listed {
        wrong.push(format!("{id}: the key ids are {kids:?}, the list has {listed:?}"));
    }

    let mut may_be: Vec<&Unanswered> = match unknown {
        Unknown::Open => ledger.unanswered.iter().filter(|it| it.channel == number).collect(),
        Unknown::Undone => Vec::new(),
    };
    let mut strangers = Vec::new();
    for row in &list.0 {
        if books.held.contains_key(&row.id) || books.strangers.contains(&row.id) {
            continue;
        }
        let asked =
            may_be.iter().position(|it| (it.kind, it.group) == (row.kind, row.group.as_deref()));
        match asked {
            Some(at) => drop(may_be.swap_remove(at)),
            None => wrong.push(format!("{id}: nobody asked for {}, {:?}", row.id, row.kind)),
        }
        strangers.push((row.id.clone(), row.active && row.kind == Kind::V21));
    }
    ledger.figures.happened += strangers.len();
    let books = &mut ledger.channels[number];
    let newest = list.0.iter().find(|row| row.kind == Kind::LongLived);
    books.current = newest.map(|row| row.id.clone());
    for (stranger, takes_a_place) in strangers {
        if takes_a_place {
            // Nobody holds it, but whoever looks at the list can end it.
            let end = books.channel.revocation(&json!({ "token_id": stranger }));
            let ended = server.ask(&end).await;
            assert_eq!((ended.status, &ended.json()["revoked"]), (201, &json!(1)));
        }
        books.strangers.insert(stranger);
    }
}

/// Holds each token's check against its verdict and its row. Answers what the
/// checks found.
async fn check_tokens(
    server: &Server,
    ledger: &Ledger,
    sure: &Sure,
    which: Which,
    rng: &mut Rng,
    wrong: &mut Vec<String>,
) -> Vec<(usize, bool)> {
    let now = i64::try_from(unix_now()).expect("before the end of time");
    let numbers: Vec<usize> = choose(ledger, which, rng)
        .into_iter()
        .filter(|&it| ledger.tokens[it].claims.expires_at.0 - now > TOO_LATE)
        .collect();
    let mut found = Vec::new();
    // Not all at once: there may be hundreds of thousands.
    for some in numbers.chunks(5_000) {
        let requests = some.iter().map(|&it| verify(&ledger.tokens[it].text)).collect();
        let answers = ask_all(server.address(), requests).await;
        found.extend(some.iter().copied().zip(answers.iter().map(is_good)));
    }

    let mut halves: BTreeMap<usize, [Vec<String>; 2]> = BTreeMap::new();
    for &(number, good) in &found {
        let token = &ledger.tokens[number];
        let list = sure.lists.get(&token.channel);
        let row = list.and_then(|list| list.find(&token.id()));
        let what = || {
            let channel = &ledger.channels[token.channel].channel.id;
            let new = if token.fresh { "new " } else { "" };
            format!("{channel}: {new}{:?} {} of {:?}", token.claims.kind, token.id(), token.group())
        };
        if token.claims.kind.is_stored()
            && let Some(list) = list
        {
            match row.map(|at| &list.0[at]) {
                None => wrong.push(format!("{}: acknowledged, and not listed", what())),
                Some(row) if row.active != good => {
                    wrong.push(format!("{}: good {good}, listed as {}", what(), row.active));
                }
                Some(_) => {}
            }
        }
        let evictable = list.zip(row).is_some_and(|(list, at)| {
            list.is_evictable(at, sure.unseen.beside(token.channel, &list.0[at]))
        });
        let verdict = ledger.verdict(number, evictable, sure.undone);
        let evicted = || row.zip(list).and_then(|(at, list)| list.0[at].cause.as_deref());
        match verdict {
            Verdict::Good if !good => {
                wrong.push(format!("{}: acknowledged, and lost ({:?})", what(), evicted()));
            }
            Verdict::Revoked if good => wrong.push(format!("{}: ended, and lives", what())),
            Verdict::AsRevocation(ending) => {
                halves.entry(ending).or_default()[usize::from(good)].push(what());
            }
            _ => {}
        }
    }
    for (ending, [ended, good]) in halves {
        if !ended.is_empty() && !good.is_empty() {
            let scope = &ledger.endings[ending].scope;
            wrong.push(format!("half done: {scope:?} ended {ended:?} and left {good:?}"));
        }
    }
    found
}

/// Which tokens to look at.
fn choose(ledger: &Ledger, which: Which, rng: &mut Rng) -> Vec<usize> {
    if which == Which::All {
        return (0..ledger.tokens.len()).collect();
    }
    let singly: BTreeSet<usize> = ledger
        .endings
        .iter()
        .filter_map(|ending| match ending.scope {
            Scope::Token(token) => Some(token),
            _ => None,
        })
        .collect();
    let in_use = |it: &usize| ledger.tokens[*it].channel >= ledger.in_use;
    let touched = |it: &usize| {
        ledger.tokens[*it].fresh || (ledger.tokens[*it].good && in_use(it)) || singly.contains(it)
    };
    let mut chosen: BTreeSet<usize> = (0..ledger.tokens.len()).filter(touched).collect();
    for _ in 0..SAMPLE.min(ledger.tokens.len()) {
        chosen.insert(rng.below(ledger.tokens.len()));
    }
    chosen.into_iter().collect()
}

/// Channels that were made are there.
async fn check_made(server: &Server, ledger: &mut Ledger, wrong: &mut Vec<String>) {
    for id in std::mem::take(&mut ledger.made) {
        let answer = server.ask(&Request::admin("GET", &format!("/channels/{id}"), None)).await;
        if answer.status != 200 {
            wrong.push(format!("channel {id}: acknowledged, and lost"));
        }
    }
}

/// The answers to all requests, over a few connections.
async fn ask_all(address: SocketAddr, requests: Vec<Request>) -> Vec<Answer> {
    const CONNECTIONS: usize = 4;
    let mut lanes: Vec<Vec<_>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (number, request) in requests.into_iter().enumerate() {
        lanes[number % CONNECTIONS].push((number, request));
    }
    let lanes = lanes.into_iter().map(|lane| {
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await.expect("a connection");
            let mut answers = Vec::new();
            for (number, request) in lane {
                answers.push((number, connection.ask(&request).await.expect("an answer")));
            }
            answers
        })
    });
    let mut answers = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        answers.extend(lane.await.expect("all were answered"));
    }
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
