//! Compares a server's responses with the ledger: nothing acknowledged is lost, no revoked
//! token is active, the caps hold, the responses are consistent, and nothing exists that
//! no client requested.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use serde_json::{Value, json};
use tegata_policy::rules::GROUP_CAP;
use tegata_token::kind::Kind;

use crate::ledger::{Ledger, Scope, Unanswered, Use, Verdict};
use crate::line::{FULL, is_good, token_in, unix_now, verify};
use crate::process::Server;
use crate::process::http::{Connection, HttpResponse, Request};
use crate::random::Rng;

/// LINE's cap, of v2.1 and of short-lived tokens each.
const CAP: usize = 30;
/// The cap of long-lived tokens: the current one, and one in its delay.
const LONG_LIVED: usize = 2;
/// The number of presumably unchanged tokens that are verified each time.
const SAMPLE: usize = 60;
/// A stateless token with less life left than this, in seconds, may expire while
/// it is being checked.
const TOO_LATE: i64 = 120;

/// The effect of requests without a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They may have taken effect.
    Open,
    /// They had no effect.
    Undone,
}

/// Which tokens to verify.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The changed ones, the active ones, and some of the others.
    Touched,
    /// All that were ever issued.
    All,
}

/// Checks `server` against the ledger, and records the results. Panics with all
/// differences.
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

/// Issues without a response: how many of a channel and kind, and of a group.
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

/// The context of a check, beside the ledger.
struct Sure {
    lists: HashMap<usize, List>,
    unseen: Unseen,
    /// Requests without a response had no effect.
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

    /// Its index, if it exists.
    fn find(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|row| row.id == id)
    }

    /// Whether the caps may have evicted the row at this index for a newer one, possibly an
    /// unseen one: so many of its group, and of all. `may_have_been` says of a row whether it
    /// may have been active since the last check: older tokens of other groups fill the cap, too.
    fn is_evictable(
        &self,
        at: usize,
        [of_group, of_all]: [usize; 2],
        may_have_been: impl Fn(&Row) -> bool,
    ) -> bool {
        let row = &self.0[at];
        let of_kind = |rows: &'_ [Row]| rows.iter().filter(|it| it.kind == row.kind).count();
        let older = self.0[at + 1..].iter().filter(|it| it.kind == row.kind && may_have_been(it));
        let all = of_kind(&self.0[..at]) + older.count() + of_all;
        let full = row.kind == Kind::ShortLived && all >= CAP;
        let newer = self.0[..at].iter().filter(|it| it.kind == row.kind);
        let peers = newer.filter(|it| it.group == row.group).count() + of_group;
        let cap = row.group.as_ref().map_or(usize::MAX, |_| GROUP_CAP);
        peers >= cap || (full && peers > 0)
    }
}

/// Repeats the requests with an `Idempotency-Key` that had no response. The same key gets
/// the first token, if the first request took effect.
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
            // It took effect, and its token was revoked since.
            409 => ledger.unanswered.push(act),
            other => panic!("asked again with {key}: {other}: {}", first.text()),
        }
    }
}

/// Repeats the requests for some acknowledged tokens with their `Idempotency-Key`: the
/// response is the token if it is active, else a conflict.
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

/// Checks caps, key ids, and rows whose token no client got.
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
            // Possibly evicted for an issue that had no effect.
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
            None => wrong.push(format!("{id}: no client requested {}, {:?}", row.id, row.kind)),
        }
        strangers.push((row.id.clone(), row.active && row.kind == Kind::V21));
    }
    ledger.figures.happened += strangers.len();
    let books = &mut ledger.channels[number];
    let newest = list.0.iter().find(|row| row.kind == Kind::LongLived);
    books.current = newest.map(|row| row.id.clone());
    for (stranger, takes_a_place) in strangers {
        if takes_a_place {
            // No client holds it, but an administrator can revoke it by its id.
            let end = books.channel.revocation(&json!({ "token_id": stranger }));
            let ended = server.ask(&end).await;
            assert_eq!((ended.status, &ended.json()["revoked"]), (201, &json!(1)));
        }
        books.strangers.insert(stranger);
    }
}

/// Compares each token's verification with its verdict and its row. Returns the results.
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
    // In parts: there may be hundreds of thousands.
    for some in numbers.chunks(5_000) {
        let requests = some.iter().map(|&it| verify(&ledger.tokens[it].text)).collect();
        let responses = ask_all(server.address(), requests).await;
        found.extend(some.iter().copied().zip(responses.iter().map(is_good)));
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
            let held = &ledger.channels[token.channel].held;
            list.is_evictable(at, sure.unseen.beside(token.channel, &list.0[at]), |row| {
                held.get(&row.id).is_none_or(|it| ledger.tokens[*it].is_of_this_round())
            })
        });
        let verdict = ledger.verdict(number, evictable, sure.undone);
        let cause = || row.zip(list).and_then(|(at, list)| list.0[at].cause.as_deref());
        match verdict {
            Verdict::Good if !good => {
                wrong.push(format!("{}: acknowledged, and lost ({:?})", what(), cause()));
            }
            Verdict::Revoked if good => wrong.push(format!("{}: revoked, but active", what())),
            Verdict::AsRevocation(revocation) => {
                let what = format!("{} ({:?})", what(), cause());
                halves.entry(revocation).or_default()[usize::from(good)].push(what);
            }
            _ => {}
        }
    }
    for (revocation, [revoked, good]) in halves {
        if !revoked.is_empty() && !good.is_empty() {
            let scope = &ledger.revocations[revocation].scope;
            wrong
                .push(format!("half done: {scope:?} revoked {revoked:?} and left {good:?} active"));
        }
    }
    found
}

/// Chooses the tokens to verify.
fn choose(ledger: &Ledger, which: Which, rng: &mut Rng) -> Vec<usize> {
    if which == Which::All {
        return (0..ledger.tokens.len()).collect();
    }
    let singly: BTreeSet<usize> = ledger
        .revocations
        .iter()
        .filter_map(|revocation| match revocation.scope {
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

/// Checks that created channels exist.
async fn check_made(server: &Server, ledger: &mut Ledger, wrong: &mut Vec<String>) {
    for id in std::mem::take(&mut ledger.made) {
        let response = server.ask(&Request::admin("GET", &format!("/channels/{id}"), None)).await;
        if response.status != 200 {
            wrong.push(format!("channel {id}: acknowledged, and lost"));
        }
    }
}

/// The responses to all requests, over a few connections.
async fn ask_all(address: SocketAddr, requests: Vec<Request>) -> Vec<HttpResponse> {
    const CONNECTIONS: usize = 4;
    let mut lanes: Vec<Vec<_>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (number, request) in requests.into_iter().enumerate() {
        lanes[number % CONNECTIONS].push((number, request));
    }
    let lanes = lanes.into_iter().map(|lane| {
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await.expect("a connection");
            let mut responses = Vec::new();
            for (number, request) in lane {
                responses.push((number, connection.ask(&request).await.expect("a response")));
            }
            responses
        })
    });
    let mut responses = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        responses.extend(lane.await.expect("all were answered"));
    }
    responses.sort_by_key(|(number, _)| *number);
    responses.into_iter().map(|(_, response)| response).collect()
}
