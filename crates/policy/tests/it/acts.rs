//! Properties that every act must have, checked for each of them.

use crate::channel::{NOW, assertion, channel, grant, group, id, registered};
use crate::signer::{OTHER, OWN};
use std::{collections::BTreeMap, sync::Arc};
use tegata_policy::{
    acts::{
        Act, ActName, AdvanceClock, Before, BeginProviderRevocation, By, Change, ChangeChannel,
        ChangeSigningKeys, ChannelPatch, ContinueProviderRevocation, Count, CreateChannel,
        CreateProvider, DeleteGroup, DeleteKey, DeletePreviousSecret, DeleteProvider, Effects,
        Event, ExpectedSettings, Forget, GroupPatch, Issue, Issuer, JournalEntry, LimitsPatch,
        Locked, LockedProvider, NewChannel, PersonLoss, Record, RecordForAll, RegisterKey,
        RenameProvider, ReplaceSecret, ReportLeaks, RevocationTarget, Revoke, RewrapKeys, SetGroup,
        SigningKeyChange, SigningKeyRow, StoredKey, StoredToken, TakeAssertion, Times, WrappedKey,
        Write,
        audit_event::{AuditEvent, NoDetail},
    },
    authorize::Grant,
    channel::{Channel, GroupSettings, OnLeak, RevokeTokens, Secret},
    denied::Denied,
    rules::{ChannelType, TokenRules, WhenFull},
};
use tegata_token::{
    claims::Claims,
    id::{Group, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::DAY,
    view::{
        ChannelChange, ChannelRevocations, ChannelState, RevokedToken, Scope, SingleRevocation,
    },
};

pub fn by() -> By {
    By {
        actor: "administrator".into(),
        source: None,
        reason: None,
        at: NOW,
        expected: ExpectedSettings::default(),
        request_id: None,
    }
}

pub fn signing_key(seed: u8, state: KeyState) -> SigningKeyRow {
    let key = SigningKey::from_seed(&[seed; 32]).unwrap();
    SigningKeyRow {
        id: key.public().id(),
        public: key.public().to_bytes(),
        wrapped: WrappedKey(vec![seed]),
        state,
        created_at: NOW,
        changed_at: NOW,
    }
}

pub fn token(serial: u64, kind: Kind, of: Option<&str>) -> StoredToken {
    StoredToken {
        row: serial as i64,
        serial: Serial(serial),
        kind,
        group: of.map(group),
        assertion_key: (kind == Kind::V21).then_some(OWN.id),
        times: Times {
            issued_at: NOW,
            expires_at: NOW.plus(30 * DAY),
            ends_at: None,
            revocation: None,
            key: KeyState::Active,
            key_since: NOW,
        },
    }
}

/// The channel of the cases with these tokens, as read under its lock.
pub fn locked(channel: Channel, tokens: Vec<StoredToken>) -> Locked {
    let key = signing_key(1, KeyState::Active);
    Locked {
        count: Some(Count { serial: Serial(100), revision: channel.revision }),
        channel: Some(Arc::new(channel)),
        tokens: tokens.into(),
        keys: Arc::new([StoredKey { row: 1, key }]),
        provider: Some(LockedProvider { name: "P".into(), channels: 0, revocations: 0 }),
        ..Locked::default()
    }
}

fn some_tokens() -> Vec<StoredToken> {
    vec![token(1, Kind::V21, None), token(2, Kind::ShortLived, Some("a"))]
}

fn issue(grant: Grant) -> Issue {
    let form = Issuer { number: 1, issuer: "https://tokens.example".into() };
    Issue { grant, id: TokenId([9; 16]), form, by: None }
}

fn effects<A: Act>(act: &A, locked: &Locked) -> Effects {
    act.decide(locked, NOW).unwrap_or_else(|denied| panic!("{denied}")).1
}

/// An act with its effects, and whether it took away what a restore would bring back.
struct Example(&'static str, Effects, bool);

const NARROWS: bool = true;
const NOTHING: bool = false;

fn of_issue() -> Vec<Example> {
    let full = (1..=30).map(|serial| token(serial, Kind::ShortLived, None)).collect();
    let one = vec![token(1, Kind::LongLived, None)];
    let short = || issue(grant(Kind::ShortLived, None, channel()));
    let long = || Issue { by: Some(by()), ..issue(grant(Kind::LongLived, None, channel())) };
    vec![
        Example("the first", effects(&short(), &locked(channel(), Vec::new())), NOTHING),
        Example("into a full channel", effects(&short(), &locked(channel(), full)), NARROWS),
        Example("a reissue", effects(&long(), &locked(channel(), one)), NARROWS),
    ]
}

fn of_end() -> Vec<Example> {
    let targets = [
        ("one", RevocationTarget::Stored { serial: Serial(1) }),
        (
            "stateless",
            RevocationTarget::Stateless { id: TokenId([1; 16]), expires_at: NOW.plus(900) },
        ),
        ("group", RevocationTarget::Group(group("a"))),
        ("kind", RevocationTarget::Kind(Kind::V21)),
        ("key", RevocationTarget::AssertionKey(OWN.id)),
        ("all", RevocationTarget::All),
    ];
    let revoke = |(what, target)| {
        let act = Revoke { channel: id(), known: None, target, by: by() };
        Example(what, effects(&act, &locked(channel(), some_tokens())), NARROWS)
    };
    targets.into_iter().map(revoke).collect()
}

/// The claims of the stored tokens, and of a stateless one.
fn some_claims() -> Vec<Claims> {
    let stored = some_tokens().into_iter().map(|it| (it.serial, it.kind, it.group));
    let all = stored.chain([(Serial(0), Kind::Stateless, None)]);
    let claims = |(serial, kind, group): (Serial, Kind, Option<Group>)| Claims {
        id: TokenId([u8::try_from(serial.0).unwrap(); 16]),
        kind,
        provider: channel().provider,
        channel: id(),
        group,
        assertion_key: None,
        serial,
        issued_at: NOW,
        expires_at: NOW.plus(900),
        key: signing_key(1, KeyState::Active).id,
    };
    all.map(claims).collect()
}

fn report(tokens: Vec<Claims>) -> ReportLeaks {
    ReportLeaks { channel: id(), tokens, found_at: Vec::new(), all_if_full: true, by: by() }
}

fn of_leaks() -> Vec<Example> {
    let flags = Channel { on_leak: OnLeak::Flag, ..channel() };
    let (revokes, flags) = (locked(channel(), some_tokens()), locked(flags, some_tokens()));
    vec![
        Example("revoked", effects(&report(some_claims()), &revokes), NARROWS),
        Example("flagged", effects(&report(some_claims()), &flags), NOTHING),
    ]
}

#[test]
fn leaked_tokens_of_a_channel_are_revoked_at_once_or_flagged_as_it_prescribes() {
    let tokens = [some_tokens(), vec![token(3, Kind::V21, None)]].concat();
    let (revoked, effects) =
        report(some_claims()).decide(&locked(channel(), tokens.clone()), NOW).unwrap();
    assert_eq!((revoked, effects.taken.len()), (3, 2), "one of them has no row");
    let mut after = ChannelRevocations::default();
    for change in &effects.changes {
        let Change::Tokens { change, .. } = change else { panic!("{change:?}") };
        after.apply(change);
    }
    assert!(after.stateless.contains_key(&TokenId([0; 16])));
    let serials: Vec<u64> = after.singles.keys().map(|serial| serial.0).collect();
    assert_eq!(serials, [1, 2], "token 3 is not revoked");
    let written = effects.writes.iter().rev().find_map(|it| match it {
        Write::Revocations(_, written) => Some(written),
        _ => None,
    });
    assert_eq!(written, Some(&after), "the store has what the log has");

    let again = Locked { revocations: after.into(), ..locked(channel(), Vec::new()) };
    let (revoked, effects) = report(some_claims()).decide(&again, NOW).unwrap();
    assert_eq!((revoked, effects.changes.len()), (0, 0), "nothing is left");

    let flags = Channel { on_leak: OnLeak::Flag, ..channel() };
    let (revoked, effects) = report(some_claims()).decide(&locked(flags, tokens), NOW).unwrap();
    assert_eq!((revoked, effects.changes.len(), effects.journal.len()), (0, 0, 0));
    let event = effects.audit.unwrap().event.event;
    let AuditEvent::LeakReport(event) = event else { panic!("{event:?}") };
    assert_eq!((event.on_leak, event.token_ids.len()), (OnLeak::Flag, 3));
}

#[test]
fn more_stateless_tokens_than_can_be_named_are_revoked_with_all_of_their_kind() {
    let stateless = |number: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Claims { id: TokenId(id), ..some_claims().pop().unwrap() }
    };
    let leaked: Vec<Claims> = (0..1_001).map(stateless).collect();
    let locked = locked(channel(), some_tokens());
    let (revoked, effects) = report(leaked[..1_000].to_vec()).decide(&locked, NOW).unwrap();
    assert_eq!((revoked, effects.changes.len()), (1_000, 1), "one by one");
    let all = [leaked, vec![some_claims().swap_remove(0)]].concat();
    let unsigned = ReportLeaks { all_if_full: false, ..report(all.clone()) };
    let denied = unsigned.decide(&locked, NOW).unwrap_err().to_string();
    assert_eq!(denied, Denied::TooManyStatelessRevocations.to_string(), "other groups keep theirs");
    let (revoked, effects) = report(all).decide(&locked, NOW).unwrap();
    assert_eq!(revoked, 1_002);
    let mut after = ChannelRevocations::default();
    let changes = effects.changes.iter().filter_map(|it| match it {
        Change::Tokens { change, .. } => Some(change),
        _ => None,
    });
    changes.for_each(|change| after.apply(change));
    assert!(after.stateless.is_empty() && after.singles.contains_key(&Serial(1)));
    let scopes: Vec<_> = after.cutoffs.iter().map(|it| it.scope.clone()).collect();
    assert_eq!(scopes, [Scope::Kind { kind: Kind::Stateless }]);
}

fn of_change() -> Vec<Example> {
    let none = ChannelPatch::default;
    let state = |state| ChannelPatch { state: Some(state), ..none() };
    let issue_rate = Some(std::num::NonZeroU32::new(1));
    let patches = [
        ("name", ChannelPatch { name: Some("Other".into()), ..none() }, NOTHING),
        (
            "limits",
            ChannelPatch { limits: LimitsPatch { issue_rate, ..Default::default() }, ..none() },
            NARROWS,
        ),
        ("rules", ChannelPatch { rules: Some(TokenRules::Legacy2020), ..none() }, NARROWS),
        ("cap", ChannelPatch { group_cap: Some(1), ..none() }, NARROWS),
        ("when full", ChannelPatch { group_when_full: Some(WhenFull::Deny), ..none() }, NARROWS),
        ("audience", ChannelPatch { own_audience_only: Some(true), ..none() }, NARROWS),
        ("single use", ChannelPatch { single_use_assertions: Some(true), ..none() }, NARROWS),
        ("leaks", ChannelPatch { on_leak: Some(OnLeak::Flag), ..none() }, NARROWS),
        ("suspended", state(ChannelState::Suspended), NARROWS),
        ("deleted", state(ChannelState::Deleted), NARROWS),
    ];
    let change = |(what, patch, narrows)| {
        let act = ChangeChannel { id: id(), patch, by: by() };
        Example(what, effects(&act, &locked(channel(), some_tokens())), narrows)
    };
    let suspended = Channel { state: ChannelState::Suspended, ..channel() };
    let act = ChangeChannel { id: id(), patch: state(ChannelState::Suspended), by: by() };
    let again = effects(&act, &locked(suspended, some_tokens()));
    let again = Example("suspended again", again, NARROWS);
    patches.into_iter().map(change).chain([again]).collect()
}

fn of_signing_keys() -> Vec<Example> {
    let successor = || signing_key(2, KeyState::Active);
    let key = signing_key(1, KeyState::Active).id;
    let pending = StoredKey { row: 2, key: signing_key(3, KeyState::Pending) };
    let locked = locked(channel(), Vec::new());
    let both = Locked { keys: [locked.keys[0].clone(), pending.clone()].into(), ..locked.clone() };
    let change = |change| ChangeSigningKeys { change, by: by() };
    let add = change(SigningKeyChange::Add(successor()));
    let promote = change(SigningKeyChange::Promote(pending.key.id));
    let remove = change(SigningKeyChange::Revoke { key, successor: successor() });
    let all = change(SigningKeyChange::RevokeAll { successor: successor() });
    vec![
        Example("added", effects(&add, &locked), NOTHING),
        Example("promoted", effects(&promote, &both), NOTHING),
        Example("revoked", effects(&remove, &locked), NARROWS),
        Example("all removed", effects(&all, &both), NARROWS),
    ]
}

fn of_groups_and_keys(name: ActName) -> Vec<Example> {
    let rules = GroupSettings { cap: Some(5), ..GroupSettings::default() };
    let with_rules = Channel {
        groups: BTreeMap::from([(group("a"), rules)]),
        assertion_keys: vec![registered(&OWN, None), registered(&OTHER, Some(group("a")))],
        ..channel()
    };
    let locked = locked(with_rules, some_tokens());
    let delete_key =
        |revoke_tokens| DeleteKey { channel: id(), key: OWN.id, revoke_tokens, by: by() };
    match name {
        ActName::SetGroup => {
            let patch = GroupPatch { cap: Some(Some(1)), ..GroupPatch::default() };
            let act = SetGroup { channel: id(), group: group("a"), patch, by: by() };
            vec![Example("a cap", effects(&act, &locked), NARROWS)]
        }
        ActName::DeleteGroup => {
            let act = DeleteGroup { channel: id(), group: group("a"), by: by() };
            let effects = effects(&act, &locked);
            let lines = &effects.journal;
            assert!(
                lines.iter().any(|it| matches!(it, JournalEntry::GroupRules { .. })),
                "{lines:?}"
            );
            assert!(
                lines.iter().any(|it| matches!(it, JournalEntry::AssertionKey { .. })),
                "{lines:?}"
            );
            assert!(lines.iter().any(|it| matches!(it, JournalEntry::Channel { .. })), "{lines:?}");
            vec![Example("with rules and keys", effects, NARROWS)]
        }
        _ => vec![
            Example("without its tokens", effects(&delete_key(false), &locked), NARROWS),
            Example("with its tokens", effects(&delete_key(true), &locked), NARROWS),
        ],
    }
}

fn of_secrets() -> Vec<Example> {
    let replace = |keep_previous, revoke_tokens| ReplaceSecret {
        id: id(),
        secret: crate::channel::secret("other").hash(),
        keep_previous,
        revoke_tokens,
        by: by(),
    };
    let locked = locked(channel(), some_tokens());
    let mut overlapping = channel();
    let previous = Secret { hash: crate::channel::secret("old").hash(), until: Some(NOW.plus(60)) };
    overlapping.secrets.insert(0, previous);
    let overlapping = Locked { channel: Some(overlapping.into()), ..locked.clone() };
    let delete = DeletePreviousSecret { id: id(), by: by() };
    vec![
        Example("the previous one", effects(&delete, &overlapping), NARROWS),
        Example("at once", effects(&replace(0, RevokeTokens::None), &locked), NARROWS),
        Example("later", effects(&replace(60, RevokeTokens::None), &locked), NARROWS),
        Example("with tokens", effects(&replace(0, RevokeTokens::All), &locked), NARROWS),
        Example("by secret", effects(&replace(0, RevokeTokens::BySecret), &locked), NARROWS),
    ]
}

fn of_provider_jobs(name: ActName) -> Vec<Example> {
    let locked = locked(channel(), some_tokens());
    match name {
        ActName::BeginProviderRevocation => {
            let act = BeginProviderRevocation { provider: channel().provider, by: by() };
            vec![Example("begun", effects(&act, &locked), NARROWS)]
        }
        _ => {
            let one = ContinueProviderRevocation { job: 3, channel: Some(id()) };
            let last = ContinueProviderRevocation { job: 3, channel: None };
            let at = |next| crate::upkeep::with_job(locked.clone(), next);
            vec![
                Example("a channel", effects(&one, &at(Some(id()))), NARROWS),
                Example("complete", effects(&last, &at(None)), NARROWS),
            ]
        }
    }
}

/// Examples of every act; the match makes a new act need one.
fn examples(name: ActName) -> Vec<Example> {
    let locked = locked(channel(), some_tokens());
    match name {
        ActName::Issue => of_issue(),
        ActName::Revoke => of_end(),
        ActName::ReportLeaks => of_leaks(),
        ActName::ChangeChannel => of_change(),
        ActName::ReplaceSecret | ActName::DeletePreviousSecret => of_secrets(),
        ActName::ChangeSigningKeys => of_signing_keys(),
        ActName::DeleteKey | ActName::SetGroup | ActName::DeleteGroup => of_groups_and_keys(name),
        ActName::TakeAssertion => {
            let once = Channel { single_use_assertions: true, ..channel() };
            let act = TakeAssertion { grant: grant(Kind::V21, None, once) };
            let first = TakeAssertion { grant: grant(Kind::Stateless, Some("new"), channel()) };
            vec![
                Example("once", effects(&act, &locked), NOTHING),
                Example("the first of a group", effects(&first, &locked), NOTHING),
            ]
        }
        ActName::Forget => {
            let mut locked = locked;
            let token = RevokedToken::Stateless { id: TokenId([1; 16]) };
            let tokens = vec![SingleRevocation { token, until: NOW.plus(-2 * DAY) }];
            Arc::make_mut(&mut locked.revocations).apply(&ChannelChange::Revoked { tokens });
            vec![Example("old", effects(&Forget { channel: id() }, &locked), NOTHING)]
        }
        ActName::CreateProvider => {
            let id = ProviderId::from_number(78).unwrap();
            let act = CreateProvider { id, name: "New".into(), by: by() };
            vec![Example("new", effects(&act, &locked), NOTHING)]
        }
        ActName::RenameProvider => {
            let act = RenameProvider { id: channel().provider, name: "New".into(), by: by() };
            vec![Example("other name", effects(&act, &locked), NOTHING)]
        }
        ActName::DeleteProvider => {
            let act = DeleteProvider { id: channel().provider, by: by() };
            vec![Example("empty", effects(&act, &locked), NOTHING)]
        }
        ActName::CreateChannel => {
            let new = NewChannel {
                id: id(),
                provider: channel().provider,
                name: "New".into(),
                channel_type: ChannelType::MiniApp,
                secret: crate::channel::secret("new").hash(),
            };
            vec![Example(
                "new",
                effects(&CreateChannel { new, admin: None, by: by() }, &locked),
                NOTHING,
            )]
        }
        ActName::RegisterKey => {
            let key = registered(&OTHER, None);
            let act = RegisterKey { channel: id(), key, by: by() };
            vec![Example("another", effects(&act, &locked), NOTHING)]
        }
        ActName::RewrapKeys => {
            let keys = vec![(locked.keys[0].key.id, WrappedKey(vec![7]))];
            vec![Example(
                "one",
                effects(&RewrapKeys { keys, people: vec![], by: by() }, &locked),
                NOTHING,
            )]
        }
        ActName::Record => {
            let event = Event::of(AuditEvent::AdminTokenThrottle(NoDetail {}));
            vec![Example("an event", effects(&Record { event, by: by() }, &locked), NOTHING)]
        }
        ActName::RecordForAll => {
            let event = Event::of(AuditEvent::AdminTokenThrottle(NoDetail {}));
            vec![Example("an event", effects(&RecordForAll { event, by: by() }, &locked), NOTHING)]
        }
        ActName::BeginProviderRevocation | ActName::ContinueProviderRevocation => {
            of_provider_jobs(name)
        }
        ActName::Replay | ActName::RaiseSerials | ActName::Recover => crate::replay::examples(name)
            .into_iter()
            .map(|(what, effects)| Example(what, effects, name.can_narrow()))
            .collect(),
        ActName::QueueWarnings
        | ActName::WarningTried
        | ActName::StampUses
        | ActName::RecordUses
        | ActName::Trim
        | ActName::SetAuditKey
        | ActName::AddCheckpoint => {
            let of_jobs = crate::upkeep::effects_of_jobs(name);
            vec![Example("some", of_jobs, NOTHING)]
        }
        ActName::CreateVerifier
        | ActName::RemoveInstances
        | ActName::RegisterInstance
        | ActName::RenewInstances
        | ActName::StopInstance
        | ActName::DropInstances
        | ActName::SettleReceipts => {
            vec![Example("some", crate::verifiers::effects_of(name), NOTHING)]
        }
        ActName::ChangeVerifier | ActName::DeleteVerifier => {
            vec![Example("some", crate::verifiers::effects_of(name), NARROWS)]
        }
        ActName::InvitePerson
        | ActName::AcceptInvitation
        | ActName::ChangePerson
        | ActName::SetRole
        | ActName::ResetPerson
        | ActName::DeletePerson
        | ActName::SignIn
        | ActName::UseCode
        | ActName::EndSession
        | ActName::ChangePassword
        | ActName::LinkIdentity
        | ActName::UnlinkIdentity
        | ActName::CreateAdminToken
        | ActName::DeleteAdminToken => crate::people::examples(name)
            .into_iter()
            .map(|(what, effects, narrows)| Example(what, effects, narrows))
            .collect(),
        ActName::BeginRequest | ActName::FinishRequest => {
            vec![Example("some", crate::requests::effects_of(name), NOTHING)]
        }
        ActName::ReplaceRootToken => crate::root_token::examples()
            .into_iter()
            .map(|(what, effects, narrows)| Example(what, effects, narrows))
            .collect(),
        ActName::AdvanceClock => {
            vec![Example("forward", effects(&AdvanceClock { seconds: 5 }, &locked), NOTHING)]
        }
    }
}

/// The effects of the examples of an act, with their names.
pub fn effects_of_all(name: ActName) -> Vec<(&'static str, Effects)> {
    examples(name).into_iter().map(|Example(what, effects, _)| (what, effects)).collect()
}

#[test]
fn every_act_that_narrows_writes_to_the_revocation_journal() {
    for name in ActName::ALL {
        let examples = examples(name);
        let narrows = examples.iter().any(|it| it.2);
        assert_eq!(narrows, name.can_narrow(), "{name:?} has no such example");
        for Example(what, effects, narrows) in examples {
            assert!(!effects.is_empty(), "{name:?}, {what}: without effects");
            assert!(!narrows || !effects.journal.is_empty(), "{name:?}, {what}: no line");
        }
    }
}

#[test]
fn an_act_with_a_line_in_the_revocation_journal_has_a_position() {
    for name in ActName::ALL {
        for Example(what, effects, _) in examples(name) {
            let has_position = !effects.changes.is_empty();
            // A recovery goes through with each revocation of a provider's tokens, ended or not.
            let needs_one = |it: &JournalEntry| !matches!(it, JournalEntry::ProviderEndDone { .. });
            let is_found = has_position || !effects.journal.iter().any(needs_one);
            assert!(is_found, "{name:?}, {what}");
        }
    }
}

/// Whether the journal has what an old copy would let in again when it lacks this change.
fn is_journaled(change: &Change, journal: &[JournalEntry]) -> bool {
    let lost = |fits: &dyn Fn(&PersonLoss) -> bool| {
        journal.iter().any(|it| matches!(it, JournalEntry::Person { loss, .. } if fits(loss)))
    };
    match change {
        Change::SessionEnded { token } => lost(&|loss| match loss {
            PersonLoss::Session { token: gone } => gone == token,
            PersonLoss::Disabled
            | PersonLoss::Deleted
            | PersonLoss::Secrets
            | PersonLoss::Identity => true,
            _ => false,
        }),
        Change::AdminTokenDeleted { id } => lost(&|loss| match loss {
            PersonLoss::AdminToken { id: gone } => gone == id,
            PersonLoss::Deleted => true,
            _ => false,
        }),
        Change::PersonDeleted { .. } => lost(&|loss| *loss == PersonLoss::Deleted),
        Change::VerifierDeleted { verifier } => journal.iter().any(
            |it| matches!(it, JournalEntry::VerifierDeleted { verifier: gone } if gone == verifier),
        ),
        _ => true,
    }
}

#[test]
fn a_credential_that_ends_has_its_line_in_the_revocation_journal() {
    for name in ActName::ALL {
        for Example(what, effects, _) in examples(name) {
            for change in &effects.changes {
                let is = is_journaled(change, &effects.journal);
                assert!(is, "{name:?}, {what}: no line of {change:?}");
            }
        }
    }
}

#[test]
fn a_change_of_a_channel_names_its_provider() {
    for name in ActName::ALL {
        for Example(what, effects, _) in examples(name) {
            for change in &effects.changes {
                if let (provider, Some(about)) = change.about() {
                    let named = (provider, about);
                    assert_eq!(named, (Some(channel().provider), id()), "{name:?}, {what}");
                }
            }
        }
    }
}

#[test]
fn every_change_that_authorization_depends_on_makes_replicas_discard_the_channel() {
    for name in ActName::ALL {
        for Example(what, effects, _) in examples(name) {
            let authorizes = |it: &Write| {
                matches!(
                    it,
                    Write::Revised(_)
                        | Write::NewChannel(_)
                        | Write::Settings(_)
                        | Write::BulkSerial(..)
                        | Write::Secret { .. }
                        | Write::AssertionKey(..)
                        | Write::AssertionKeyGone { .. }
                        | Write::Group(..)
                        | Write::GroupUsed { .. }
                        | Write::GroupDeleted { .. }
                )
            };
            let discards = effects.changes.iter().any(|it| matches!(it, Change::Channel { .. }));
            assert_eq!(effects.writes.iter().any(authorizes), discards, "{name:?}, {what}");
        }
    }
}

#[test]
fn every_change_survives_a_round_trip_through_json() {
    for name in ActName::ALL {
        for Example(what, effects, _) in examples(name) {
            for change in effects.changes {
                let text = serde_json::to_string(&change).unwrap();
                let back: tegata_policy::acts::Change = serde_json::from_str(&text).unwrap();
                assert_eq!(back, change, "{name:?}, {what}: {text}");
            }
        }
    }
}

#[test]
fn an_act_that_changes_nothing_has_no_effects() {
    let locked = locked(channel(), some_tokens());
    assert!(effects(&Forget { channel: id() }, &locked).is_empty());
    assert!(effects(&AdvanceClock { seconds: 0 }, &locked).is_empty());
    let taken_often = TakeAssertion { grant: grant(Kind::V21, None, channel()) };
    assert!(effects(&taken_often, &locked).is_empty());
    // A retry is answered from the existing row.
    let mut request = crate::channel::request(Kind::V21, assertion(), None);
    request.idempotency = Some([5; 32]);
    let granted = crate::channel::authorized(request, channel()).unwrap();
    let before = Before {
        parameters: "86400 0".into(),
        times: token(1, Kind::V21, None).times,
        id: TokenId([4; 16]),
        serial: Serial(1),
        key: SigningKeyId([1; 8]),
        issuer: "https://tokens.example".into(),
        previous_until: None,
    };
    let retried = Locked { before: Some(before), ..locked };
    let (issued, effects) = issue(granted).decide(&retried, NOW).unwrap();
    assert!(issued.again && effects.is_empty());
}
