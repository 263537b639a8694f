//! The caps under races: well over a hundred concurrent requests on one channel, to the
//! real program. All but the last byte of each request is sent beforehand; the last bytes
//! then complete all requests together.

#[path = "../process/line.rs"]
mod line;
#[path = "../process/mod.rs"]
mod process;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use line::{Channel, FULL, Reader, With, is_good, token_in, verify};
use process::Server;
use process::http::{Connection, HttpResponse, Request};
use process::key::Key;
use serde_json::{Value, json};
use tegata_token::kind::Kind;
use tempfile::TempDir;

/// The number of concurrent requests.
const CROWD: usize = 128;
/// The cap of a channel on LINE's page on channel access tokens, for v2.1 and for
/// short-lived tokens each.
const CAP: usize = 30;
/// The cap of a group.
const GROUP_CAP: usize = 2;
/// The number of runs of each race, each on a channel of its own.
const ROUNDS: usize = 5;

#[tokio::test]
async fn of_a_crowd_for_v2_1_exactly_thirty_win_and_all_of_those_verify() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let assertions: Vec<_> =
            (0..CROWD).map(|number| channel.assertion(&field.key, number)).collect();
        let requests = assertions.iter().map(|it| Channel::issue_v21(it, With::default()));
        let race = field.race("v2.1", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CAP, CROWD - CAP));
        assert_eq!(field.good(&race.tokens).await, race.tokens);
        let active = active(&channel.rows(&field.server).await);
        assert_eq!(active, race.ids(&field), "what is listed is what was handed out");
        let listed = channel.key_ids(&field.server, &field.key).await;
        assert_eq!(BTreeSet::from_iter(listed), active);
    }
}

#[tokio::test]
async fn of_a_crowd_for_short_lived_exactly_the_newest_thirty_live() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let requests = (0..CROWD).map(|_| channel.issue_short_lived(With::default()));
        let race = field.race("short-lived", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD, 0));
        let newest = &field.by_serial(&race.tokens)[CROWD - CAP..];
        field.assert_exactly_these_live(&channel, &race.tokens, newest).await;
    }
}

#[tokio::test]
async fn of_a_crowd_for_stateless_tokens_all_win_and_none_is_listed() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let requests = (0..CROWD).map(|_| channel.issue_stateless(With::default()));
        let race = field.race("stateless", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD, 0));
        assert_eq!(field.good(&race.tokens).await, race.tokens);
        assert!(channel.rows(&field.server).await.is_empty());
    }
}

#[tokio::test]
async fn of_a_crowd_of_reissues_only_the_last_long_lived_token_lives() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let requests = (0..CROWD).map(|_| channel.reissue_long_lived(0));
        let race = field.race("long-lived", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD, 0));
        let last = &field.by_serial(&race.tokens)[CROWD - 1..];
        field.assert_exactly_these_live(&channel, &race.tokens, last).await;
    }
}

#[tokio::test]
async fn of_a_crowd_of_reissues_with_a_delay_the_last_lives_and_its_direct_predecessor() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let requests = (0..CROWD).map(|_| channel.reissue_long_lived(3600));
        let race = field.race("long-lived with a delay", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD, 0));
        let last = &field.by_serial(&race.tokens)[CROWD - 2..];
        field.assert_exactly_these_live(&channel, &race.tokens, last).await;
    }
}

#[tokio::test]
async fn groups_that_race_for_v2_1_keep_their_newest_two_and_the_channel_its_thirty() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let names = group_names(20);
        let assertions: Vec<_> = (0..8).map(|n| channel.assertion(&field.key, n)).collect();
        let requests = assertions.iter().flat_map(|assertion| {
            let with = |group| With { group: Some(group), ..With::default() };
            names.iter().map(move |group| Channel::issue_v21(assertion, with(group)))
        });
        let race = field.race("v2.1 in groups", requests.collect()).await;
        assert!(race.refused > 0, "20 groups of two do not fit into thirty");
        let mut live = Vec::new();
        for tokens in field.by_group(&race.tokens).values() {
            // Only the group's own later issues evict its tokens.
            live.extend_from_slice(&tokens[tokens.len().saturating_sub(GROUP_CAP)..]);
        }
        assert_eq!(live.len(), CAP);
        field.assert_exactly_these_live(&channel, &race.tokens, &live).await;
    }
}

#[tokio::test]
async fn groups_that_race_for_short_lived_never_evict_each_others_tokens() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let names = group_names(40);
        let with = |group| With { group: Some(group), ..With::default() };
        let requests = (0..4).flat_map(|_| names.iter());
        let requests = requests.map(|group| channel.issue_short_lived(with(group)));
        let race = field.race("short-lived in groups", requests.collect()).await;
        assert!(race.refused > 0, "40 groups do not fit into thirty");
        let good = field.good(&race.tokens).await;
        assert_eq!(good.len(), CAP);
        for (group, tokens) in field.by_group(&race.tokens) {
            let live = tokens.iter().filter(|token| good.contains(token)).count();
            assert!((1..=GROUP_CAP).contains(&live), "{group} has {live} live tokens");
            let newest = &tokens[tokens.len() - live..];
            assert!(newest.iter().all(|token| good.contains(token)), "{group} lost a newer one");
        }
        field.assert_exactly_these_live(&channel, &race.tokens, &good).await;
    }
}

#[tokio::test]
async fn in_a_full_channel_new_groups_are_refused_and_the_others_evict_their_own_oldest() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let fill = (0..CAP).map(|_| channel.issue_short_lived(With::default()));
        let mut tokens = field.race("filling", fill.collect()).await.tokens;
        let names = group_names(CROWD / 2);
        let requests = names.iter().flat_map(|group| {
            let with = With { group: Some(group), ..With::default() };
            [channel.issue_short_lived(with), channel.issue_short_lived(With::default())]
        });
        let race = field.race("short-lived in a full channel", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD / 2, CROWD / 2));
        assert!(field.by_group(&race.tokens).is_empty(), "no group found a place");
        tokens.extend(race.tokens);
        let newest = &field.by_serial(&tokens)[tokens.len() - CAP..];
        field.assert_exactly_these_live(&channel, &tokens, newest).await;
    }
}

#[tokio::test]
async fn under_the_rules_of_2020_short_and_long_lived_race_for_thirty_places_in_all() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let rules = json!({ "rules": "legacy-2020" });
        let patch = Request::admin("PATCH", &format!("/channels/{}", channel.id), Some(&rules));
        assert_eq!(field.server.ask(&patch).await.status, 200);
        let requests = (0..CROWD / 2).flat_map(|_| {
            [channel.issue_short_lived(With::default()), channel.reissue_long_lived(0)]
        });
        let race = field.race("legacy-2020", requests.collect()).await;
        assert_eq!((race.tokens.len(), race.refused), (CROWD, 0));
        let newest = &field.by_serial(&race.tokens)[CROWD - CAP..];
        let long_lived = newest.iter().filter(|token| token.starts_with("tgl_")).count();
        assert!((1..CAP).contains(&long_lived), "both kinds came in: {long_lived} long-lived");
        field.assert_exactly_these_live(&channel, &race.tokens, newest).await;
    }
}

#[tokio::test]
async fn places_that_are_freed_in_the_race_are_taken_no_more_than_once() {
    const FREED: usize = 10;
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let assertion = channel.assertion(&field.key, 0);
        let fill = (0..CAP).map(|_| Channel::issue_v21(&assertion, With::default()));
        let filled = field.race("filling", fill.collect()).await.tokens;
        let mut requests: Vec<_> =
            (0..CROWD).map(|_| Channel::issue_v21(&assertion, With::default())).collect();
        for (number, token) in filled[..FREED].iter().enumerate() {
            requests.insert(number * CROWD / FREED, channel.revoke(token));
        }
        let race = field.race("v2.1 against revocations", requests).await;
        assert_eq!(race.ended, FREED);
        assert!(race.tokens.len() <= FREED, "{} took {FREED} places", race.tokens.len());
        let live = [&filled[FREED..], &race.tokens].concat();
        field.assert_exactly_these_live(&channel, &[filled, race.tokens].concat(), &live).await;
    }
}

#[tokio::test]
async fn a_revocation_in_the_race_revokes_earlier_tokens_and_no_later_ones() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let mut requests: Vec<_> =
            (0..CROWD).map(|_| channel.issue_short_lived(With::default())).collect();
        requests.insert(CROWD - CAP / 2, channel.revocation(&json!({ "kind": "short-lived" })));
        let race = field.race("short-lived against a revocation", requests).await;
        assert_eq!((race.tokens.len(), race.ended), (CROWD, 1));
        let good = field.good(&race.tokens).await;
        assert!(good.len() <= CAP, "{} live", good.len());
        let newest = &field.by_serial(&race.tokens)[CROWD - good.len()..];
        field.assert_exactly_these_live(&channel, &race.tokens, newest).await;
    }
}

#[tokio::test]
async fn requests_with_one_idempotency_key_at_once_yield_one_token() {
    let field = Field::open().await;
    for _ in 0..field.rounds() {
        let channel = field.channel().await;
        let assertion = channel.assertion(&field.key, 0);
        let names: Vec<_> = (0..CAP).map(|number| format!("once-{number}")).collect();
        let with = |key| With { idempotency: Some(key), ..With::default() };
        for kind in [Kind::V21, Kind::ShortLived] {
            let requests = (0..4).flat_map(|_| names.iter());
            let requests = requests.map(|key| match kind {
                Kind::V21 => Channel::issue_v21(&assertion, with(key)),
                _ => channel.issue_short_lived(with(key)),
            });
            let race = field.race("one Idempotency-Key, four times", requests.collect()).await;
            // All of them are answered: their thirty tokens fit.
            assert_eq!((race.tokens.len(), race.refused), (4 * CAP, 0));
            for (number, token) in race.tokens.iter().enumerate() {
                assert_eq!(*token, race.tokens[number % CAP], "{}", names[number % CAP]);
            }
            assert_eq!(BTreeSet::from_iter(&race.tokens).len(), CAP);
            assert_eq!(field.good(&race.tokens[..CAP]).await, race.tokens[..CAP]);
        }
    }
}

/// A server, and what is needed to race on it.
struct Field {
    server: Server,
    provider: String,
    key: Key,
    reader: Reader,
    figures: RefCell<BTreeMap<&'static str, [usize; 6]>>,
    _home: TempDir,
}

impl Drop for Field {
    fn drop(&mut self) {
        for (name, figures) in self.figures.borrow().iter() {
            let [races, all, won, overtook, refused, ended] = figures;
            // Written past the capture, since the figures of a passing test count, too.
            let _ = writeln!(
                std::io::stderr(),
                "{name}: {all} requests in {races} races, {won} won ({overtook} overtook), \
                 {refused} refused, {ended} revocations",
            );
        }
    }
}

/// The result of a race.
struct Race {
    /// The issued tokens, in the order of the requests.
    tokens: Vec<String>,
    /// How many were refused because the channel was full.
    refused: usize,
    /// How many revocations succeeded.
    ended: usize,
}

impl Field {
    async fn open() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(process::serve(home.path(), &[])).await;
        let provider = line::provider(&server).await;
        let reader = Reader::of(&server).await;
        Self {
            server,
            provider,
            key: Key::generate(),
            reader,
            figures: RefCell::default(),
            _home: home,
        }
    }

    fn rounds(&self) -> usize {
        if std::env::var_os("TEGATA_LONG").is_some() { ROUNDS * 10 } else { ROUNDS }
    }

    async fn channel(&self) -> Channel {
        Channel::create(&self.server, &self.provider, &self.key).await
    }

    /// Sends all requests at once, and sorts the responses. Those that are
    /// neither a token, nor a revocation, nor LINE's error for a full channel,
    /// fail the test.
    async fn race(&self, name: &'static str, requests: Vec<Request>) -> Race {
        let mut race = Race { tokens: Vec::new(), refused: 0, ended: 0 };
        for response in together(&self.server, &requests).await {
            match response.status {
                400 if response.json() == json!({ "message": FULL }) => race.refused += 1,
                200 | 201 if response.text().contains("access_token") => {
                    race.tokens.push(token_in(&response));
                }
                200 | 201 => race.ended += 1,
                other => panic!("{name}: {other}: {}", response.text()),
            }
        }
        let serials: Vec<_> = race.tokens.iter().map(|it| self.reader.claims(it).serial).collect();
        let overtaken = serials.windows(2).filter(|two| two[0] > two[1]).count();
        let mut figures = self.figures.borrow_mut();
        let sum = figures.entry(name).or_default();
        let these = [1, requests.len(), race.tokens.len(), overtaken, race.refused, race.ended];
        sum.iter_mut().zip(these).for_each(|(sum, figure)| *sum += figure);
        race
    }

    /// The active ones.
    async fn good(&self, tokens: &[String]) -> Vec<String> {
        let mut good = Vec::new();
        let mut connection = Connection::open(self.server.address()).await.expect("a connection");
        for token in tokens {
            if is_good(&connection.ask(&verify(token)).await.expect("a response")) {
                good.push(token.clone());
            }
        }
        good
    }

    fn by_serial(&self, tokens: &[String]) -> Vec<String> {
        let serials = tokens.iter().map(|token| (self.reader.claims(token).serial, token));
        let ordered: BTreeMap<_, _> = serials.collect();
        assert_eq!(ordered.len(), tokens.len(), "every token has a serial of its own");
        ordered.into_values().cloned().collect()
    }

    /// The tokens that have a group, oldest first.
    fn by_group(&self, tokens: &[String]) -> BTreeMap<String, Vec<String>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for token in self.by_serial(tokens) {
            if let Some(group) = self.reader.claims(&token).group {
                groups.entry(group.as_str().to_owned()).or_default().push(token);
            }
        }
        groups
    }

    /// `live` are all of `tokens` that verify, and all that the channel's list
    /// shows as active.
    async fn assert_exactly_these_live(
        &self,
        channel: &Channel,
        tokens: &[String],
        live: &[String],
    ) {
        let good = BTreeSet::from_iter(self.good(tokens).await);
        assert_eq!(good, BTreeSet::from_iter(live.iter().cloned()));
        let ids: BTreeSet<_> =
            live.iter().map(|token| self.reader.claims(token).id.to_string()).collect();
        assert_eq!(active(&channel.rows(&self.server).await), ids);
    }
}

impl Race {
    fn ids(&self, field: &Field) -> BTreeSet<String> {
        self.tokens.iter().map(|token| field.reader.claims(token).id.to_string()).collect()
    }
}

/// The ids of the rows that are active.
fn active(rows: &[Value]) -> BTreeSet<String> {
    let active = rows.iter().filter(|row| row["state"] == "active");
    active.map(|row| row["token_id"].as_str().expect("an id").to_owned()).collect()
}

fn group_names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("team-{number}")).collect()
}

/// The responses to all requests: each is sent on a connection of its own without its last
/// byte, and then all last bytes are sent one right after the other.
async fn together(server: &Server, requests: &[Request]) -> Vec<HttpResponse> {
    let mut waiting = Vec::new();
    for request in requests {
        let mut connection = Connection::open(server.address()).await.expect("a connection");
        let (last, most) = request.bytes().split_last().expect("a request has bytes");
        connection.send(most).await.expect("sent");
        waiting.push((connection, *last));
    }
    for (connection, last) in &mut waiting {
        connection.send(&[*last]).await.expect("sent");
    }
    let mut responses = Vec::new();
    for (connection, _) in &mut waiting {
        responses.push(connection.response().await.expect("a response"));
    }
    responses
}
