//! When a request may have a token, in two halves.
//!
//! [`judge`] looks at the request and at one immutable snapshot of the channel,
//! and gives a [`Grant`]; nothing else can make one, and the store takes nothing
//! else. [`admit`] runs inside the store's transaction, under the channel's lock,
//! on the tokens that live at that moment: the same function on every database.
//! Whatever the channel's count needs is decided there, so no race can outrun it.

use crate::{
    assertion::{Assertion, Audience, UnverifiedAssertion},
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    jwk::AssertionKey,
    law::{ChannelType, GROUP_CAP, Kind, LONGEST_DELAY, Law, Life, Proof, WhenFull},
    refusal::Refusal,
    secret::{HashedSecret, PlainSecret, sha256},
    time::UnixTime,
    view::{ChannelChange, ChannelFacts, Floor, Scope},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, num::NonZeroU32, sync::Arc};

/// A channel as a request is judged by it: one row, its keys and its groups, read
/// together. Replaced as a whole, and only after a commit.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Whose it is.
    pub provider: ProviderId,
    /// What people call it.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// When it was made.
    pub created_at: UnixTime,
    /// Whether it may be used.
    pub state: ChannelState,
    /// By which law its tokens are counted.
    pub law: Law,
    /// What holds for its groups, unless one says otherwise.
    pub group_rule: GroupRule,
    /// Assertions must be meant for this server (`aud`), not for LINE.
    pub own_audience_only: bool,
    /// Each assertion is taken once.
    pub single_use_assertions: bool,
    /// How fast it may be used.
    pub limits: ChannelLimits,
    /// The secrets that are taken: the current one, and while a rotation
    /// overlaps, the previous one.
    pub secrets: Vec<Secret>,
    /// Its registered assertion keys.
    pub assertion_keys: Vec<RegisteredKey>,
    /// Groups that have settings of their own.
    pub groups: BTreeMap<Group, GroupSettings>,
    /// Groups that stateless tokens were issued for, and until when each is remembered.
    pub used_groups: BTreeMap<Group, UnixTime>,
    /// Counts changes of what is judged by: every field above but the name.
    pub revision: u64,
    /// The place of the last bulk ending; a stateless token carries it.
    pub bulk_serial: Serial,
}

/// Whether a channel may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelState {
    /// As usual.
    Active,
    /// Neither issued for nor checked, until resumed.
    Suspended,
    /// Gone for good; its id is never used again.
    Deleted,
}

/// A channel secret that is taken.
#[derive(Debug, Clone, Copy)]
pub struct Secret {
    /// Its hash.
    pub hash: HashedSecret,
    /// The first moment at which it is no longer taken; `None` for the current one.
    pub until: Option<UnixTime>,
}

/// An assertion key that a channel registered.
#[derive(Debug, Clone)]
pub struct RegisteredKey {
    /// Its `kid`.
    pub id: AssertionKeyId,
    /// The group that it is bound to: tokens asked for with it are that group's.
    pub group: Option<Group>,
    /// The key.
    pub key: AssertionKey,
    /// When it was registered.
    pub created_at: UnixTime,
}

/// How many live tokens of a kind a group may have, and what the next one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRule {
    /// This many at the most.
    pub cap: usize,
    /// What happens to the next.
    pub when_full: WhenFull,
}

impl Default for GroupRule {
    fn default() -> Self {
        Self { cap: GROUP_CAP, when_full: WhenFull::EndOldest }
    }
}

/// What one group has set for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Instead of the channel's cap.
    pub cap: Option<usize>,
    /// Instead of the channel's choice.
    pub when_full: Option<WhenFull>,
    /// Whom to tell of what concerns the group.
    pub contact: Option<String>,
}

/// How fast a channel may be used, where it has set that; what is `None` is the
/// server's. The server counts: nothing here is judged by them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelLimits {
    /// Short-lived tokens a second.
    pub issue_rate_short_lived: Option<NonZeroU32>,
    /// Of each other operation but the checks, a second.
    pub issue_rate: Option<NonZeroU32>,
    /// Of each of LINE's two checks, a second.
    pub check_rate: Option<NonZeroU32>,
    /// So many issues of a capped kind in a window, and then a rest; 0 is no bound.
    pub storm_issues: Option<u32>,
    /// How long the window is.
    pub storm_window_seconds: Option<NonZeroU32>,
    /// How long the rest is.
    pub storm_rest_seconds: Option<NonZeroU32>,
}

impl Channel {
    /// Whether the group of a stateless token that is issued `now` is remembered for
    /// as long as the token lives. Otherwise the store must write its row first.
    #[must_use]
    pub fn knows_group_of(&self, grant: &Grant, now: UnixTime) -> bool {
        let outlives =
            |group| self.used_groups.get(group).is_some_and(|&it| it >= now.plus(grant.life));
        grant.group.as_ref().is_none_or(outlives)
    }

    /// What holds for `group`: its own settings, else the channel's.
    #[must_use]
    pub fn rule_of(&self, group: &Group) -> GroupRule {
        let own = self.groups.get(group);
        GroupRule {
            cap: own.and_then(|own| own.cap).unwrap_or(self.group_rule.cap),
            when_full: own.and_then(|own| own.when_full).unwrap_or(self.group_rule.when_full),
        }
    }
}

/// A request for a token, read but not yet judged.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// Which kind is wanted.
    pub kind: Kind,
    /// What the caller shows for it.
    pub credential: Credential,
    /// For which group, if the caller says.
    pub group: Option<Group>,
    /// The SHA-256 of the caller's `Idempotency-Key`.
    pub idempotency: Option<[u8; 32]>,
}

/// What a caller shows.
#[derive(Clone)]
pub enum Credential {
    /// The channel's secret.
    Secret(PlainSecret),
    /// A signed assertion.
    Assertion(UnverifiedAssertion),
    /// An administrator, already known as one, asks for the channel: the current
    /// long-lived token shall live on for `delay` seconds.
    Administrator {
        /// 0 ends it at once.
        delay: i64,
    },
}

impl Credential {
    fn proof(&self) -> Proof {
        match self {
            Self::Secret(_) => Proof::Secret,
            Self::Assertion(_) => Proof::Assertion,
            Self::Administrator { .. } => Proof::Administrator,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.proof())
    }
}

/// The right to one token, given by [`judge`] for one snapshot of a channel.
#[derive(Debug, Clone)]
pub struct Grant {
    channel: Arc<Channel>,
    request: IssueRequest,
    audience: Arc<Audience>,
    life: i64,
    group: Option<Group>,
    secret: Option<HashedSecret>,
    assertion: Option<Assertion>,
    delay: i64,
}

/// Judges a request by a channel. Takes no lock and writes nothing.
///
/// # Errors
/// The [`Refusal`] that applies first: who asks comes before what for.
pub fn judge(
    request: IssueRequest,
    channel: Arc<Channel>,
    audience: Arc<Audience>,
    now: UnixTime,
) -> Result<Grant, Refusal> {
    let (mut delay, mut secret) = (0, None);
    let assertion = match &request.credential {
        Credential::Secret(shown) => {
            secret = Some(check_secret(&channel, shown, now)?);
            None
        }
        Credential::Assertion(assertion) => {
            Some(check_assertion(&channel, assertion, &audience, now)?)
        }
        Credential::Administrator { delay: asked } => {
            // People's endings are not undone by a reissue: a suspended channel
            // gets no token from them either.
            check_state(&channel)?;
            if !(0..=LONGEST_DELAY).contains(asked) {
                return Err(Refusal::DelayOutOfRange);
            }
            if *asked != 0 && channel.law == Law::Legacy2020 {
                return Err(Refusal::DelayUnderLegacyLaw);
            }
            delay = *asked;
            None
        }
    };
    let rule = request.kind.rule();
    if !rule.had_by.contains(&request.credential.proof()) {
        return Err(Refusal::ProofNotForKind(rule.kind));
    }
    if !rule.channel_types.contains(&channel.channel_type) {
        return Err(Refusal::KindNotForChannel(rule.kind));
    }
    let life = match (rule.life, &request.credential) {
        (Life::Fixed(life), _) => life,
        (Life::AskedFor { longest }, Credential::Assertion(it)) => it.token_life(longest)?,
        (Life::AskedFor { .. }, _) => return Err(Refusal::ProofNotForKind(rule.kind)),
    };
    let bound = assertion.and_then(|it| {
        let key = channel.assertion_keys.iter().find(|key| key.id == it.key)?;
        key.group.clone()
    });
    let group = match (bound, &request.group) {
        // One for the whole channel: a floor of a group never means it.
        _ if request.kind == Kind::LongLived => None,
        (Some(bound), Some(asked)) if bound != *asked => return Err(Refusal::OtherGroupsKey),
        (Some(bound), _) => Some(bound),
        (None, asked) => asked.clone(),
    };
    Ok(Grant { channel, request, audience, life, group, secret, assertion, delay })
}

fn check_state(channel: &Channel) -> Result<(), Refusal> {
    match channel.state {
        ChannelState::Active => Ok(()),
        ChannelState::Suspended => Err(Refusal::Suspended),
        ChannelState::Deleted => Err(Refusal::UnknownChannel),
    }
}

/// Whether `secret` is one of the channel's, and which, and the channel in use.
///
/// # Errors
/// [`Refusal::WrongSecret`], [`Refusal::Suspended`] or [`Refusal::UnknownChannel`].
pub fn check_secret(
    channel: &Channel,
    secret: &PlainSecret,
    now: UnixTime,
) -> Result<HashedSecret, Refusal> {
    let live = |it: &&Secret| it.until.is_none_or(|until| now < until);
    let shown = secret.hash();
    // Every one is compared, so that time does not tell which one matched.
    let known = channel.secrets.iter().filter(live).filter(|it| it.hash.is(&shown)).count() > 0;
    if !known {
        return Err(Refusal::WrongSecret);
    }
    check_state(channel)?;
    Ok(shown)
}

/// What a secret is told that was shown for a channel that there is not, after as much
/// work as a wrong one of a channel that there is: where both hear the same words,
/// time shall not tell them apart.
#[must_use]
pub fn check_secret_of_nobody(secret: &PlainSecret) -> Refusal {
    let nobodys = HashedSecret::from_stored([0; 32]);
    std::hint::black_box(nobodys.is_of(secret));
    Refusal::UnknownChannel
}

/// Whether `assertion` is signed by one of the channel's keys and holds.
///
/// # Errors
/// [`Refusal::UnknownAssertionKey`], [`Refusal::Assertion`], or the channel's state.
pub fn check_assertion(
    channel: &Channel,
    assertion: &UnverifiedAssertion,
    audience: &Audience,
    now: UnixTime,
) -> Result<Assertion, Refusal> {
    let named = |key: &&RegisteredKey| key.id.to_string() == assertion.key();
    let key = channel.assertion_keys.iter().find(named).ok_or(Refusal::UnknownAssertionKey)?;
    let own_only = channel.own_audience_only;
    let checked = assertion.verify(key.id, &key.key, audience, own_only, now)?;
    check_state(channel)?;
    Ok(checked)
}

/// A stored token that lives: not expired, not ended, its key still good for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// Its place in the channel's count.
    pub serial: Serial,
    /// Its group.
    pub group: Option<Group>,
    /// When it expires by its own signature.
    pub expires_at: UnixTime,
}

/// What the law says to an issue: the token's place, and what must end for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// The new token's place in the channel's count.
    pub serial: Serial,
    /// Live tokens that end at once, with the issue.
    pub ends: Vec<Live>,
    /// A live long-lived token that ends later, and when.
    pub ends_later: Option<(Serial, UnixTime)>,
    /// Whether all that ends are the predecessors of a reissue.
    pub reissue: bool,
}

impl Admit {
    /// What the change log must say of it, if anything: one entry, however many
    /// tokens end. `facts` and `live` are what [`admit`] saw under the same lock.
    #[must_use]
    pub fn change(
        &self,
        facts: &ChannelFacts,
        live: &[Live],
        now: UnixTime,
    ) -> Option<ChannelChange> {
        if self.ends.is_empty() && self.ends_later.is_none() {
            return None;
        }
        if self.reissue {
            let scope = || Scope::Kind { kind: Kind::LongLived };
            // Everything before the predecessor ends now, the predecessor later. The
            // first is said even if nothing is left to end: it takes the place of
            // older delayed floors, which would else pile up, one for each reissue.
            let below = self.ends_later.map_or(self.serial, |(predecessor, _)| predecessor);
            let at_once = Floor::set(scope(), below, None, now);
            let later =
                self.ends_later.map(|(_, from)| Floor::set(scope(), self.serial, Some(from), now));
            let floors = [at_once].into_iter().chain(later).collect();
            return Some(ChannelChange::Floor { floors });
        }
        let ends: Vec<_> = self.ends.iter().map(|it| (it.kind, it.serial, it.expires_at)).collect();
        let stays = |token: &&Live| !self.ends.iter().any(|end| end.serial == token.serial);
        let lives: Vec<Live> = live.iter().filter(stays).cloned().collect();
        Some(facts.end_singly(&ends, &lives, self.serial, now))
    }
}

/// The second half of the law, under the channel's lock: may this grant be used
/// now, and what does it end? `live` are all the channel's live stored tokens,
/// `serial` is the next place in the channel's count, `groups` how many groups
/// beside the asker's own take a place.
///
/// # Errors
/// The channel, or the group, is full; then nothing ends.
pub fn admit(
    grant: &Grant,
    live: &[Live],
    groups: usize,
    serial: Serial,
    now: UnixTime,
) -> Result<Admit, Refusal> {
    let kind = grant.kind();
    let mut living: Vec<&Live> = live.iter().collect();
    living.sort_by_key(|token| token.serial);
    let mut ends = Vec::new();

    // The group's own rule first; the channel's cap judges what remains.
    if let Some(group) = &grant.group {
        if groups >= crate::law::GROUPS {
            return Err(Refusal::TooManyGroups);
        }
        let rule = grant.channel.rule_of(group);
        let own = |token: &Live| token.kind == kind && token.group.as_ref() == Some(group);
        let excess = excess(living.iter().filter(|token| own(token)).count(), rule.cap);
        if excess > 0 && rule.when_full == WhenFull::Refuse {
            return Err(Refusal::GroupFull(kind));
        }
        if end_oldest(&mut living, &mut ends, excess, own) < excess {
            return Err(Refusal::GroupFull(kind)); // A cap of 0: there is none to end.
        }
    }

    let reissue = kind == Kind::LongLived && grant.channel.law == Law::Current;
    let mut ends_later = None;
    if reissue {
        // One at a time: the newest may live on for the delay, all others end.
        let mut current: Vec<&Live> = living.into_iter().filter(|it| it.kind == kind).collect();
        if grant.delay > 0
            && let Some(newest) = current.pop()
        {
            ends_later = Some((newest.serial, now.plus(grant.delay)));
        }
        ends.extend(current.into_iter().cloned());
    } else if let Some(pool) = grant.channel.law.pool(kind) {
        let counted = |token: &Live| pool.kinds.contains(&token.kind);
        let excess = excess(living.iter().filter(|it| counted(it)).count(), pool.cap.most);
        let may_end = match pool.cap.when_full {
            WhenFull::Refuse => 0,
            // Only the asker's own: nobody's issue ends another group's token.
            WhenFull::EndOldest => end_oldest(&mut living, &mut ends, excess, |token| {
                counted(token) && token.group == grant.group
            }),
        };
        if may_end < excess {
            return Err(Refusal::Full(kind));
        }
    }
    Ok(Admit { serial, ends, ends_later, reissue })
}

/// How many must go so that one more fits under the cap.
fn excess(count: usize, cap: usize) -> usize {
    (count + 1).saturating_sub(cap)
}

/// Moves the `count` oldest that `may` end from `living` (sorted by serial) to
/// `ends`; says how many there were.
fn end_oldest(
    living: &mut Vec<&Live>,
    ends: &mut Vec<Live>,
    count: usize,
    may: impl Fn(&Live) -> bool,
) -> usize {
    let before = ends.len();
    living.retain(|token| {
        let goes = ends.len() - before < count && may(token);
        if goes {
            ends.push((*token).clone());
        }
        !goes
    });
    ends.len() - before
}

impl Grant {
    /// The channel that the grant was judged by.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The kind granted.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.request.kind
    }

    /// The group that the token will belong to.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// The channel's secret that it was asked for with.
    #[must_use]
    pub fn secret(&self) -> Option<HashedSecret> {
        self.secret
    }

    /// The assertion that it was asked for with.
    #[must_use]
    pub fn assertion(&self) -> Option<&Assertion> {
        self.assertion.as_ref()
    }

    /// What the caller's `Idempotency-Key` stands for: a digest of the key and of
    /// its scope, which is kind, group and assertion key; the channel goes beside it.
    #[must_use]
    pub fn idempotency(&self) -> Option<[u8; 32]> {
        let key = self.request.idempotency?;
        let group = self.group.as_ref().map_or("", Group::as_str);
        let asked_with = self.assertion.map(|it| it.key.to_string()).unwrap_or_default();
        let kind = self.kind().rule().name;
        Some(sha256(&[format!("{kind} {group} {asked_with} ").as_bytes(), &key]))
    }

    /// What must be the same in a retry under the same idempotency key, beside
    /// the scope: how long the token was to live, and the delay of a reissue.
    #[must_use]
    pub fn parameters(&self) -> (i64, i64) {
        (self.life, self.delay)
    }

    /// The same request judged once more, by a newer snapshot.
    ///
    /// # Errors
    /// As [`judge`].
    pub fn judge_again(self, channel: Arc<Channel>, now: UnixTime) -> Result<Self, Refusal> {
        judge(self.request, channel, self.audience, now)
    }

    /// The claims of the token, once its place is known.
    #[must_use]
    pub fn claims(&self, id: TokenId, serial: Serial, key: SigningKeyId, now: UnixTime) -> Claims {
        Claims {
            id,
            kind: self.kind(),
            provider: self.channel.provider,
            channel: self.channel.id,
            group: self.group.clone(),
            assertion_key: self.assertion.map(|it| it.key),
            serial,
            issued_at: now,
            expires_at: now.plus(self.life),
            key,
        }
    }

    /// The claims of a stateless token. Its place is that of the last bulk ending
    /// in the very snapshot that the request was judged by: read later, it could
    /// outlive an ending that its credential did not.
    #[must_use]
    pub fn stateless_claims(&self, id: TokenId, key: SigningKeyId, now: UnixTime) -> Claims {
        self.claims(id, self.channel.bulk_serial, key, now)
    }
}
