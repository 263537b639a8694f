//! A tiny authority in memory, made of nothing but the crate's own functions: it
//! does what a store does under a channel's lock, one method for one act, and
//! keeps the log. It can be told to make one of the [`Fault`]s.

use super::{
    Fault,
    naive::{ChannelNo, TokenNo},
};
use std::sync::Arc;
use tegata_policy::{
    admit::{Admit, Live, admit, end_singly},
    channel::Channel,
    judge::Grant,
    refusal::Refusal,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, VerifyingKey},
    kind::Kind,
    time::{DAY, UnixTime},
    view::{
        ChannelChange, ChannelFacts, ChannelState, Entry, Floor, Scope, Single, SingleToken,
        ViewKey,
    },
};

/// For how long a token that has expired still takes its place: clocks of two
/// replicas may be this far apart, in seconds.
pub const GRACE: i64 = 4;
/// A recovery bounds the old keys this much before the last time written.
const RECOVERY_MARGIN: i64 = 5;

/// The store, as it stands after some commit.
#[derive(Clone)]
pub struct Authority {
    pub fault: Fault,
    pub epoch: usize,
    pub channels: Vec<ChannelRow>,
    pub keys: Vec<ViewKey>,
    /// The change log. `None` is an entry for replicas only: nothing that a
    /// verifier need know.
    pub log: Vec<Option<Entry>>,
    /// The highest time ever written.
    pub written: UnixTime,
}

/// A channel and what belongs to it.
#[derive(Clone)]
pub struct ChannelRow {
    pub channel: Arc<Channel>,
    /// The last place taken in its count.
    pub serial: Serial,
    pub facts: ChannelFacts,
    pub tokens: Vec<TokenRow>,
}

/// A stored token.
#[derive(Clone)]
pub struct TokenRow {
    pub no: TokenNo,
    pub live: Live,
    pub assertion_key: Option<AssertionKeyId>,
    issued_at: UnixTime,
    key: SigningKeyId,
    /// From when on it is ended early.
    end: Option<UnixTime>,
}

/// An issue that was committed.
pub struct Issued {
    pub claims: Claims,
    pub admit: Admit,
    /// What the log says of it.
    pub entry: Option<Entry>,
}

impl Authority {
    /// The time of an act whose replica's clock says `now`: it never goes back.
    pub fn time(&mut self, now: UnixTime) -> UnixTime {
        self.written = self.written.max(now);
        self.written
    }

    /// The channel's live stored tokens, as an act of that time finds them.
    pub fn places(&self, channel: ChannelNo, now: UnixTime) -> Vec<&TokenRow> {
        let good = |row: &TokenRow| {
            let key = self.keys.iter().find(|it| it.key.id() == row.key);
            key.is_some_and(|key| key.state.good_for(row.issued_at))
        };
        let has_place = |row: &&TokenRow| {
            let end = row.end.unwrap_or(row.live.expires_at).min(row.live.expires_at);
            end.plus(GRACE) > now && good(row)
        };
        self.channels[channel].tokens.iter().filter(has_place).collect()
    }

    pub fn live(&self, channel: ChannelNo, now: UnixTime) -> Vec<Live> {
        self.places(channel, now).into_iter().map(|row| row.live.clone()).collect()
    }

    /// Issues a stored token: judged again if the channel changed, admitted, its
    /// row and its entry written. `lives_then` is what lived when it was judged,
    /// which is of no concern here but to a fault.
    pub fn issue(
        &mut self,
        channel: ChannelNo,
        mut grant: Grant,
        (id, no): (TokenId, TokenNo),
        lives_then: &[Live],
        now: UnixTime,
    ) -> Result<Issued, Refusal> {
        let current = &self.channels[channel].channel;
        let moved = current.revision != grant.channel().revision;
        if moved && self.fault != Fault::NotJudgedAgain {
            grant = grant.judge_again(current.clone(), now)?;
        }
        let live = self.live(channel, now);
        let serial = self.channels[channel].serial.next();
        let groups = self.other_groups(channel, &grant, &live);
        let admit = admit(&grant, &live, groups, serial, now)?;
        let claims = grant.claims(id, serial, self.active_key(), now);

        let row = &mut self.channels[channel];
        row.serial = serial;
        let lives = if self.fault == Fault::FoldOutsideLock { lives_then } else { &live };
        let change = admit.change(&row.facts, lives, now);
        row.tokens.push(TokenRow {
            no,
            live: Live {
                kind: claims.kind,
                serial,
                group: claims.group.clone(),
                expires_at: claims.expires_at,
            },
            assertion_key: claims.assertion_key,
            issued_at: claims.issued_at,
            key: claims.key,
            end: None,
        });
        let entry = change.map(|change| self.change(channel, change));
        Ok(Issued { claims, admit, entry })
    }

    fn other_groups(&self, channel: ChannelNo, grant: &Grant, live: &[Live]) -> usize {
        let keys = self.channels[channel].channel.assertion_keys.iter();
        let with_place = live.iter().filter_map(|it| it.group.as_ref());
        let mut groups: Vec<_> =
            keys.filter_map(|it| it.group.as_ref()).chain(with_place).collect();
        groups.retain(|it| Some(*it) != grant.group());
        groups.sort();
        groups.dedup();
        groups.len()
    }

    /// Ends one stored token.
    pub fn end_stored(
        &mut self,
        channel: ChannelNo,
        no: TokenNo,
        lives_then: &[Live],
        now: UnixTime,
    ) -> Entry {
        let live = self.live(channel, now);
        let lives = if self.fault == Fault::FoldOutsideLock { lives_then } else { &live };
        let row = &self.channels[channel];
        let of = &row.tokens.iter().find(|it| it.no == no).unwrap().live;
        let lives: Vec<Live> = lives.iter().filter(|it| it.serial != of.serial).cloned().collect();
        let ends = [(of.kind, of.serial, of.expires_at)];
        let change = end_singly(&row.facts, &ends, &lives, row.serial.next(), now);
        self.change(channel, change)
    }

    /// Ends one stateless token.
    pub fn end_stateless(&mut self, channel: ChannelNo, id: TokenId, until: UnixTime) -> Entry {
        let token = SingleToken::Stateless { id };
        self.change(channel, ChannelChange::Ended { tokens: vec![Single { token, until }] })
    }

    /// Ends all tokens of a scope, at once or from a time on.
    pub fn end_all(
        &mut self,
        channel: ChannelNo,
        scope: Scope,
        from: Option<UnixTime>,
        now: UnixTime,
    ) -> Entry {
        let row = &mut self.channels[channel];
        row.serial = row.serial.next();
        Arc::make_mut(&mut row.channel).bulk_serial = row.serial;
        let at_most = self.fault == Fault::AtMostForBelow;
        let below = if at_most { row.serial.next() } else { row.serial };
        let floors = vec![Floor::set(scope, below, from, now)];
        self.change(channel, ChannelChange::Floor { floors })
    }

    /// Changes what requests are judged by.
    pub fn set(&mut self, channel: ChannelNo, edit: impl FnOnce(&mut Channel)) {
        let channel = Arc::make_mut(&mut self.channels[channel].channel);
        edit(channel);
        channel.revision += 1;
        self.log.push(None);
    }

    pub fn set_state(&mut self, channel: ChannelNo, state: ChannelState) -> Entry {
        let of = Arc::make_mut(&mut self.channels[channel].channel);
        of.state = state;
        of.revision += 1;
        self.change(channel, ChannelChange::State { state })
    }

    /// Forgets what is said of tokens that expired a day ago by the time written;
    /// says whether there was anything.
    pub fn forget(&mut self, channel: ChannelNo, now: UnixTime) -> Option<Entry> {
        let now = if self.fault == Fault::ForgetsByTheWall { now } else { self.written };
        let expired_by = now.plus(-DAY);
        let first = self.channels[channel].facts.first_until()?;
        let change = ChannelChange::Forget { expired_by };
        (first <= expired_by).then(|| self.change(channel, change))
    }

    /// Writes an entry: into the log, into the facts, and into the rows that it ends.
    fn change(&mut self, channel: ChannelNo, change: ChannelChange) -> Entry {
        let row = &mut self.channels[channel];
        for token in &mut row.tokens {
            for from in ends_by(&change, token) {
                token.end = Some(token.end.map_or(from, |end| end.min(from)));
            }
        }
        row.facts.apply(&change);
        let (provider, channel) = (row.channel.provider, row.channel.id);
        let entry = Entry::Channel { provider, channel, change };
        self.log.push(Some(entry.clone()));
        entry
    }

    // ---- signing keys

    pub fn active_key(&self) -> SigningKeyId {
        self.keys.iter().rfind(|it| it.state == KeyState::Active).unwrap().key.id()
    }

    pub fn set_key(&mut self, key: VerifyingKey, state: KeyState) -> Entry {
        self.keys.retain(|it| it.key != key);
        let new = ViewKey { key, state };
        self.keys.push(new.clone());
        self.log.push(Some(Entry::SigningKey(new.clone())));
        Entry::SigningKey(new)
    }

    // ---- recovery

    /// The state of the old keys after a restore: bounded to what the store
    /// surely knew of.
    pub fn bounds(&self) -> Vec<(VerifyingKey, KeyState)> {
        let last = self.written.plus(-RECOVERY_MARGIN);
        let bound = |key: &ViewKey| {
            let until = match key.state {
                KeyState::Removed => return None,
                KeyState::Bounded { until } => until.min(last),
                _ => last,
            };
            Some((key.key.clone(), KeyState::Bounded { until }))
        };
        self.keys.iter().filter_map(bound).collect()
    }

    /// Takes in an entry from the log of endings; a channel's count is raised to
    /// whatever it reads, and so is the place of its last bulk ending.
    pub fn replay(&mut self, entry: &Entry) {
        match entry {
            Entry::SigningKey(key) => {
                self.set_key(key.key.clone(), key.state);
            }
            Entry::Channel { channel, change, .. } => {
                let no = self.channels.iter().position(|it| it.channel.id == *channel).unwrap();
                if self.fault != Fault::CounterRewinds {
                    let row = &mut self.channels[no];
                    let of = Arc::make_mut(&mut row.channel);
                    for serial in serials(change) {
                        row.serial = row.serial.max(serial);
                        if self.fault != Fault::BulkSerialRewinds {
                            of.bulk_serial = of.bulk_serial.max(serial);
                        }
                    }
                }
                let deleted = self.channels[no].channel.state == ChannelState::Deleted;
                match change {
                    ChannelChange::State { state } => {
                        self.set_state(no, if deleted { ChannelState::Deleted } else { *state });
                    }
                    _ => {
                        self.change(no, change.clone());
                    }
                }
            }
        }
    }

    // ---- what followers read

    /// The entries from one position to another, as far as they concern the
    /// channels of these providers.
    pub fn feed(&self, from: usize, to: usize, providers: &[ProviderId]) -> Vec<&Entry> {
        let concerns = |entry: &&Entry| match entry {
            Entry::SigningKey(_) => true,
            Entry::Channel { channel, .. } => {
                let of = |row: &&ChannelRow| row.channel.id == *channel;
                let row = self.channels.iter().find(of).unwrap();
                providers.contains(&row.channel.provider)
            }
        };
        self.log[from..to].iter().flatten().filter(concerns).collect()
    }
}

/// From when on a change ends a row's token; nothing, once or several times.
fn ends_by(change: &ChannelChange, token: &TokenRow) -> Vec<UnixTime> {
    const AT_ONCE: UnixTime = UnixTime(i64::MIN);
    let Live { kind, serial, group, .. } = &token.live;
    match change {
        ChannelChange::Ended { tokens } => {
            let named = SingleToken::Stored { kind: *kind, serial: *serial };
            tokens.iter().filter(|it| it.token == named).map(|_| AT_ONCE).collect()
        }
        ChannelChange::Floor { floors } => {
            let covers = |floor: &&Floor| {
                floor.scope.covers(*kind, group.as_ref(), token.assertion_key)
                    && *serial < floor.below
                    && !floor.except.contains(serial)
            };
            floors.iter().filter(covers).map(|it| it.from.unwrap_or(AT_ONCE)).collect()
        }
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}

/// The places in a channel's count that a change names.
fn serials(change: &ChannelChange) -> Vec<Serial> {
    match change {
        ChannelChange::Ended { tokens } => tokens
            .iter()
            .filter_map(|it| match it.token {
                SingleToken::Stored { serial, .. } => Some(serial),
                SingleToken::Stateless { .. } => None,
            })
            .collect(),
        ChannelChange::Floor { floors } => floors.iter().map(|it| it.below).collect(),
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}

/// Whether an act on this kind of token writes a row.
pub fn is_stored(kind: Kind) -> bool {
    kind != Kind::Stateless
}
