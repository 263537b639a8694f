//! People: invitations, roles, signing in, personal tokens.

use crate::acts::{by, locked};
use crate::channel::{NOW, channel, id as channel_id};
use std::collections::BTreeMap;
use tegata_policy::{
    acts::{
        AcceptInvitation, Act, ActError, ActName, AdminTokenRow, Change, ChangePassword,
        ChangePerson, CreateAdminToken, CreateChannel, DeleteAdminToken, DeletePerson, Effects,
        EndSession, FirstFactor, Identity, InvitePerson, JournalEntry, LinkIdentity,
        LinkedIdentity, Locked, MOST_ADMIN_TOKENS, MOST_SESSIONS, NewChannel, OpenInvitation,
        PasswordHash, PersonLoss, PersonRow, PersonRows, PersonState, Replay, ResetPerson,
        RewrapKeys, SecondFactor, SessionRow, SetRole, SignIn, SignInSecrets, StoredPerson,
        TokenHash, UnlinkIdentity, UpkeepRows, UseCode, WrappedKey, Write,
    },
    denied::Denied,
    permission::{ChannelRole, OperatorRole, ProviderRole, Rights, RoleChange},
    rules::ChannelType,
    text::is_login,
};
use tegata_token::{
    id::{AdminTokenId, PersonId},
    time::{DAY, UnixTime},
};

const INVITATION: TokenHash = TokenHash([1; 32]);
const CODE: TokenHash = TokenHash([2; 32]);
const SESSION: TokenHash = TokenHash([3; 32]);

fn id() -> PersonId {
    PersonId::from_number(3_000_000_001).unwrap()
}

fn token_id() -> AdminTokenId {
    AdminTokenId::from_number(4_000_000_001).unwrap()
}

fn password(text: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id${text}"))
}

fn secrets() -> SignInSecrets {
    SignInSecrets {
        password: password("old"),
        totp: WrappedKey(vec![5]),
        totp_step: 100,
        recovery: vec![CODE],
    }
}

fn person() -> PersonRow {
    PersonRow {
        id: id(),
        login: "mika".into(),
        name: "Mika".into(),
        operator: Some(OperatorRole::OnCall),
        providers: BTreeMap::from([(channel().provider, ProviderRole::Member)]),
        channels: BTreeMap::from([(channel_id(), ChannelRole::Tester)]),
        disabled: false,
        accepted: true,
        created_at: NOW,
    }
}

fn stored() -> StoredPerson {
    StoredPerson { person: person(), secrets: Some(secrets()), invitation: None, identity: None }
}

fn identity(subject: &str) -> Identity {
    Identity { issuer: "https://id.example.com".into(), subject: subject.into() }
}

/// The person, linked to this account.
fn linked(subject: &str) -> StoredPerson {
    let identity = LinkedIdentity { identity: identity(subject), linked_at: NOW };
    StoredPerson { identity: Some(identity), ..stored() }
}

fn invited() -> StoredPerson {
    let person = PersonRow { accepted: false, ..person() };
    let invitation = Some((INVITATION, NOW.plus(DAY)));
    StoredPerson { person, secrets: None, invitation, identity: None }
}

fn session(token: TokenHash) -> SessionRow {
    SessionRow { token, person: id(), created_at: NOW, expires_at: NOW.plus(DAY) }
}

fn admin_token() -> AdminTokenRow {
    AdminTokenRow {
        id: token_id(),
        person: id(),
        name: "deploy".into(),
        rights: Rights::Revoke,
        token: TokenHash([9; 32]),
        created_at: NOW,
        expires_at: NOW.plus(DAY),
    }
}

fn with(person: Option<StoredPerson>) -> Locked {
    let people = PersonRows {
        people: person.into_iter().collect(),
        sessions: vec![session(SESSION), session(TokenHash([4; 32]))],
        admin_tokens: vec![admin_token()],
        ..PersonRows::default()
    };
    let upkeep = UpkeepRows { people, ..UpkeepRows::default() };
    Locked { upkeep, ..locked(channel(), vec![]) }
}

fn invite(role: Option<RoleChange>) -> InvitePerson {
    InvitePerson {
        id: id(),
        login: "mika".into(),
        name: "Mika".into(),
        role,
        invitation: INVITATION,
        expires_at: NOW.plus(DAY),
        by: by(),
    }
}

fn accept() -> AcceptInvitation {
    AcceptInvitation { invitation: INVITATION, secrets: secrets(), by: by() }
}

fn change(name: Option<&str>, disabled: Option<bool>) -> ChangePerson {
    ChangePerson { id: id(), name: name.map(str::to_owned), disabled, by: by() }
}

fn role(role: RoleChange) -> SetRole {
    SetRole { id: id(), role, by: by() }
}

fn reset() -> ResetPerson {
    ResetPerson { id: id(), invitation: Some((INVITATION, NOW.plus(DAY))), by: by() }
}

fn sign_in(second: SecondFactor) -> SignIn {
    let first = FirstFactor::Password(password("old"));
    SignIn { session: session(TokenHash([7; 32])), first, second, by: by() }
}

fn use_code(second: SecondFactor) -> UseCode {
    UseCode { person: id(), session: SESSION, second, by: by() }
}

/// Signs in by an account at an identity provider.
fn sign_in_by(subject: &str, second: SecondFactor) -> SignIn {
    SignIn { first: FirstFactor::Identity(identity(subject)), ..sign_in(second) }
}

fn link(subject: &str) -> LinkIdentity {
    LinkIdentity { person: id(), identity: identity(subject), by: by() }
}

fn unlink() -> UnlinkIdentity {
    UnlinkIdentity { person: id(), session: Some(SESSION), by: by() }
}

fn change_password(old: &str) -> ChangePassword {
    let (old, new) = (password(old), password("new"));
    ChangePassword { person: id(), old, new, session: SESSION, by: by() }
}

const NO_OPERATOR: RoleChange = RoleChange::Operator { role: None };

/// The effects of examples of an act, and whether each narrows.
pub fn examples(name: ActName) -> Vec<(&'static str, Effects, bool)> {
    fn of<A: Act>(act: &A, person: StoredPerson) -> Effects {
        act.decide(&with(Some(person)), NOW).unwrap_or_else(|why| panic!("{why}")).1
    }
    match name {
        ActName::InvitePerson => {
            let effects = invite(None).decide(&with(None), NOW).unwrap().1;
            vec![("a new person", effects, false)]
        }
        ActName::AcceptInvitation => vec![("accepted", of(&accept(), invited()), true)],
        ActName::ChangePerson => vec![
            ("renamed", of(&change(Some("M"), None), stored()), false),
            ("disabled", of(&change(None, Some(true)), stored()), true),
        ],
        ActName::SetRole => {
            let channel = channel_id();
            let given = RoleChange::Channel { channel, role: Some(ChannelRole::Admin) };
            vec![
                ("given", of(&role(given), stored()), false),
                ("taken", of(&role(NO_OPERATOR), stored()), true),
            ]
        }
        ActName::ResetPerson => vec![("reset", of(&reset(), stored()), true)],
        ActName::DeletePerson => {
            vec![("deleted", of(&DeletePerson { id: id(), by: by() }, stored()), true)]
        }
        ActName::SignIn => vec![
            ("by code", of(&sign_in(SecondFactor::Totp(101)), stored()), false),
            ("by recovery code", of(&sign_in(SecondFactor::Recovery(CODE)), stored()), true),
            ("into a full account", into_full(NOW), true),
        ],
        ActName::UseCode => vec![
            ("a code", of(&use_code(SecondFactor::Totp(101)), stored()), false),
            ("a recovery code", of(&use_code(SecondFactor::Recovery(CODE)), stored()), true),
        ],
        ActName::EndSession => {
            let act = EndSession { person: id(), token: SESSION, by: by() };
            vec![("ended", of(&act, stored()), true)]
        }
        ActName::ChangePassword => vec![
            ("changed", of(&change_password("old"), stored()), true),
            ("in the only session", in_only_session(&change_password("old"), stored()), true),
        ],
        ActName::LinkIdentity => vec![("linked", of(&link("a"), stored()), false)],
        ActName::UnlinkIdentity => vec![
            ("unlinked", of(&unlink(), linked("a")), true),
            ("in the only session", in_only_session(&unlink(), linked("a")), true),
        ],
        ActName::CreateAdminToken => {
            let act = CreateAdminToken { new: admin_token(), by: by() };
            vec![("created", of(&act, stored()), false)]
        }
        _ => {
            let act = DeleteAdminToken { id: token_id(), by: by() };
            vec![("deleted", of(&act, stored()), true)]
        }
    }
}

/// The effects of an act of a person who has one session.
fn in_only_session<A: Act>(act: &A, person: StoredPerson) -> Effects {
    let mut locked = with(Some(person));
    locked.upkeep.people.sessions = vec![session(SESSION)];
    act.decide(&locked, NOW).unwrap_or_else(|why| panic!("{why}")).1
}

/// The token of a session of a person who has as many as there can be.
fn nth(nth: usize) -> TokenHash {
    TokenHash([u8::try_from(nth).unwrap() + 50; 32])
}

/// Signs in a person who has as many sessions as there can be.
fn into_full(at: UnixTime) -> Effects {
    let mut full = with(Some(stored()));
    full.upkeep.people.sessions = (0..MOST_SESSIONS).map(|it| session(nth(it))).collect();
    sign_in(SecondFactor::Totp(101)).decide(&full, at).unwrap().1
}

fn written(effects: &Effects) -> &StoredPerson {
    let written = effects.writes.iter().find_map(|it| match it {
        Write::Person(person) | Write::NewPerson(person) => Some(&**person),
        _ => None,
    });
    written.expect("no person is written")
}

fn ended(effects: &Effects) -> Vec<TokenHash> {
    let ended = effects.writes.iter().filter_map(|it| match it {
        Write::SessionEnded(token) => Some(*token),
        _ => None,
    });
    ended.collect()
}

#[test]
fn a_person_is_invited_once_and_the_state_follows_the_invitation() {
    let (person, effects) = invite(None).decide(&with(None), NOW).unwrap();
    assert_eq!((person.state(), person.operator), (PersonState::Invited, None));
    assert!(written(&effects).secrets.is_none());
    let taken = invite(None).decide(&with(Some(stored())), NOW);
    assert!(matches!(taken, Err(ActError::Conflict(_))));
    let (person, effects) = accept().decide(&with(Some(invited())), NOW).unwrap();
    assert_eq!(person.state(), PersonState::Active);
    assert_eq!(written(&effects).invitation, None, "it is used");
    assert_eq!(ended(&effects).len(), 2, "sessions from before end");
}

/// An administrator who can sign in, and another person with a role.
fn among(others: Vec<PersonRow>) -> Locked {
    let administrator = PersonRow { operator: Some(OperatorRole::Administrator), ..person() };
    let mut locked = with(Some(StoredPerson { person: administrator.clone(), ..stored() }));
    locked.upkeep.people.operators = others;
    locked.upkeep.people.operators.push(administrator);
    locked
}

#[test]
fn the_last_administrator_who_can_sign_in_is_neither_disabled_nor_deleted_nor_loses_the_role() {
    let other = PersonRow {
        id: PersonId::from_number(3_000_000_002).unwrap(),
        operator: Some(OperatorRole::Administrator),
        ..person()
    };
    let on_call = RoleChange::Operator { role: Some(OperatorRole::OnCall) };
    let refusals = |others: Vec<PersonRow>| {
        let locked = among(others);
        let conflict = |it: Option<ActError>| matches!(it, Some(ActError::Conflict(_)));
        [
            conflict(change(None, Some(true)).decide(&locked, NOW).err()),
            conflict(role(NO_OPERATOR).decide(&locked, NOW).err()),
            conflict(role(on_call).decide(&locked, NOW).err()),
            conflict(DeletePerson { id: id(), by: by() }.decide(&locked, NOW).err()),
        ]
    };
    assert_eq!(refusals(vec![]), [true; 4]);
    assert_eq!(refusals(vec![other.clone()]), [false; 4]);
    assert_eq!(refusals(vec![PersonRow { disabled: true, ..other.clone() }]), [true; 4]);
    assert_eq!(refusals(vec![PersonRow { accepted: false, ..other.clone() }]), [true; 4]);
    let on_call = Some(OperatorRole::OnCall);
    assert_eq!(refusals(vec![PersonRow { operator: on_call, ..other }]), [true; 4]);
    // A new name, and an end of being disabled, take nothing away.
    assert!(change(Some("M"), Some(false)).decide(&among(vec![]), NOW).is_ok());
    // A line of the journal is applied again whatever the store lacks.
    let line = JournalEntry::Person { person: id(), loss: PersonLoss::Disabled };
    let replay = Replay { line, author: None, at: NOW };
    assert!(replay.decide(&among(vec![]), NOW).is_ok());
}

#[test]
fn two_hundred_invitations_can_be_open() {
    let auditor = Some(RoleChange::Operator { role: Some(OperatorRole::Auditor) });
    for role in [None, auditor] {
        let open = |count: usize, until: UnixTime, into_authority: bool| {
            let mut locked = with(None);
            locked.upkeep.people.invitations =
                vec![OpenInvitation { into_authority, until }; count];
            invite(role).decide(&locked, NOW)
        };
        let own = role.is_some();
        assert!(open(199, NOW.plus(1), own).is_ok());
        assert!(matches!(open(200, NOW.plus(1), own), Err(ActError::Conflict(_))));
        assert!(open(500, NOW, own).is_ok(), "expired");
        assert!(open(500, NOW.plus(1), !own).is_ok(), "those of others keep out no operator");
    }
}

#[test]
fn an_invitation_is_accepted_neither_twice_nor_late_nor_by_a_disabled_person() {
    let fails = |person: Option<StoredPerson>, now: UnixTime| {
        matches!(accept().decide(&with(person), now), Err(ActError::NotFound(_)))
    };
    assert!(fails(None, NOW) && fails(Some(stored()), NOW));
    assert!(fails(Some(invited()), NOW.plus(DAY)));
    let mut disabled = invited();
    disabled.person.disabled = true;
    assert!(fails(Some(disabled), NOW));
    let mut other = invited();
    other.invitation = Some((CODE, NOW.plus(DAY)));
    assert!(fails(Some(other), NOW));
    assert!(!fails(Some(invited()), NOW.plus(DAY - 1)));
}

#[test]
fn a_disabled_person_loses_sessions_and_a_pending_invitation() {
    let person = StoredPerson { invitation: invited().invitation, ..stored() };
    let effects = change(None, Some(true)).decide(&with(Some(person)), NOW).unwrap().1;
    assert_eq!(ended(&effects).len(), 2);
    assert!(written(&effects).invitation.is_none() && written(&effects).secrets.is_some());
    let renamed = change(Some("M"), None).decide(&with(Some(stored())), NOW).unwrap().1;
    assert!(ended(&renamed).is_empty() && renamed.journal.is_empty());
}

#[test]
fn a_reset_ends_password_second_factor_and_sessions_and_leaves_the_roles() {
    let (person, effects) = reset().decide(&with(Some(stored())), NOW).unwrap();
    assert_eq!(person.state(), PersonState::Invited);
    let new = written(&effects);
    assert!(new.secrets.is_none() && new.invitation.is_some());
    assert_eq!((ended(&effects).len(), person.operator), (2, Some(OperatorRole::OnCall)));
}

#[test]
fn a_code_signs_in_once_and_none_before_it() {
    let of = |step| sign_in(SecondFactor::Totp(step)).decide(&with(Some(stored())), NOW);
    assert!(matches!(of(99), Err(ActError::NotFound(_))));
    assert!(matches!(of(100), Err(ActError::NotFound(_))), "replayed");
    let effects = of(101).unwrap().1;
    assert_eq!(written(&effects).secrets.as_ref().unwrap().totp_step, 101);
}

#[test]
fn a_recovery_code_signs_in_once() {
    let act = sign_in(SecondFactor::Recovery(CODE));
    let effects = act.decide(&with(Some(stored())), NOW).unwrap().1;
    let used = written(&effects).clone();
    assert!(used.secrets.as_ref().unwrap().recovery.is_empty());
    assert!(matches!(act.decide(&with(Some(used)), NOW), Err(ActError::NotFound(_))));
}

#[test]
fn a_code_is_used_once_in_a_session_that_stays() {
    let tried = |second, person| use_code(second).decide(&with(Some(person)), NOW);
    let effects = tried(SecondFactor::Totp(101), stored()).unwrap().1;
    assert_eq!(written(&effects).secrets.as_ref().unwrap().totp_step, 101);
    assert!(ended(&effects).is_empty() && effects.changes.is_empty(), "{effects:?}");
    assert_eq!(effects.audit.unwrap().event.event.act().name(), "person.use-code");
    let effects = tried(SecondFactor::Recovery(CODE), stored()).unwrap().1;
    let used = written(&effects).clone();
    let again = tried(SecondFactor::Recovery(CODE), used);
    let mut disabled = stored();
    disabled.person.disabled = true;
    let fails = [
        again,
        tried(SecondFactor::Totp(100), stored()),
        tried(SecondFactor::Trusted, linked("a")),
        tried(SecondFactor::Totp(101), disabled),
        tried(SecondFactor::Totp(101), invited()),
        // A session that has ended or expired.
        UseCode { session: TokenHash([9; 32]), ..use_code(SecondFactor::Totp(101)) }
            .decide(&with(Some(stored())), NOW),
        use_code(SecondFactor::Totp(101)).decide(&with(Some(stored())), NOW.plus(400 * DAY)),
    ];
    for (nth, fails) in fails.into_iter().enumerate() {
        assert!(matches!(fails, Err(ActError::NotFound(_))), "{nth}");
    }
}

#[test]
fn a_password_that_was_changed_meanwhile_or_a_disabled_person_does_not_sign_in() {
    let act = sign_in(SecondFactor::Totp(101));
    let mut changed = stored();
    changed.secrets.as_mut().unwrap().password = password("new");
    let mut disabled = stored();
    disabled.person.disabled = true;
    for person in [Some(changed), Some(disabled), Some(invited()), None] {
        assert!(matches!(act.decide(&with(person), NOW), Err(ActError::NotFound(_))));
    }
}

#[test]
fn a_linked_account_signs_in_in_place_of_the_password_and_no_other_account_does() {
    let tried = |act: SignIn, person| act.decide(&with(Some(person)), NOW);
    let code = SecondFactor::Totp(101);
    let effects = tried(sign_in_by("a", code), linked("a")).unwrap().1;
    assert_eq!(written(&effects).secrets.as_ref().unwrap().totp_step, 101, "the code is used");
    assert_eq!(effects.audit.unwrap().event.event.detail()["issuer"], "https://id.example.com");
    let mut disabled = linked("a");
    disabled.person.disabled = true;
    // A reset person has no secrets; the link would be gone, too.
    let reset = StoredPerson { secrets: None, ..linked("a") };
    for person in [stored(), linked("b"), disabled, reset] {
        assert!(matches!(tried(sign_in_by("a", code), person), Err(ActError::NotFound(_))));
    }
    let other = Identity { issuer: "https://other.example.com".into(), subject: "a".into() };
    let act = SignIn { first: FirstFactor::Identity(other), ..sign_in(code) };
    assert!(matches!(tried(act, linked("a")), Err(ActError::NotFound(_))));
    assert!(tried(sign_in_by("a", SecondFactor::Totp(100)), linked("a")).is_err(), "replayed");
}

#[test]
fn the_second_factor_is_left_to_an_identity_provider_alone() {
    let trusted = SecondFactor::Trusted;
    assert!(sign_in_by("a", trusted).decide(&with(Some(linked("a"))), NOW).is_ok());
    let by_password = sign_in(trusted).decide(&with(Some(linked("a"))), NOW);
    assert!(matches!(by_password, Err(ActError::NotFound(_))));
}

#[test]
fn a_person_has_one_account_and_an_account_has_one_person() {
    let tried = |people: Vec<StoredPerson>| {
        let mut locked = with(None);
        locked.upkeep.people.people = people;
        link("a").decide(&locked, NOW)
    };
    let mut other = linked("a");
    other.person.id = PersonId::from_number(3_000_000_002).unwrap();
    let effects = tried(vec![stored()]).unwrap().1;
    assert!(written(&effects).is_linked_to(&identity("a")));
    assert!(matches!(tried(vec![linked("b")]), Err(ActError::Conflict(_))), "unlink it first");
    assert!(matches!(tried(vec![other, stored()]), Err(ActError::Conflict(_))));
    let mut disabled = stored();
    disabled.person.disabled = true;
    assert!(matches!(tried(vec![disabled]), Err(ActError::NotFound(_))));
    assert!(matches!(tried(vec![]), Err(ActError::NotFound(_))));
}

#[test]
fn unlinking_ends_the_other_sessions_and_a_reset_unlinks() {
    let effects = unlink().decide(&with(Some(linked("a"))), NOW).unwrap().1;
    assert!(written(&effects).identity.is_none() && written(&effects).secrets.is_some());
    assert_eq!(ended(&effects), [TokenHash([4; 32])]);
    let none = unlink().decide(&with(Some(stored())), NOW);
    assert!(matches!(none, Err(ActError::NotFound(_))));
    let by_an_administrator = UnlinkIdentity { session: None, ..unlink() };
    let effects = by_an_administrator.decide(&with(Some(linked("a"))), NOW).unwrap().1;
    assert_eq!(ended(&effects).len(), 2);
    let effects = reset().decide(&with(Some(linked("a"))), NOW).unwrap().1;
    assert!(written(&effects).identity.is_none());
    let invitation = invited().invitation;
    let again = StoredPerson { invitation, ..linked("a") };
    let effects = accept().decide(&with(Some(again)), NOW).unwrap().1;
    assert!(written(&effects).identity.is_none());
}

#[test]
fn the_oldest_session_ends_when_there_are_too_many() {
    let effects = into_full(NOW);
    assert_eq!(ended(&effects), [nth(0)]);
    let loss = PersonLoss::Session { token: nth(0) };
    assert_eq!(effects.journal, [JournalEntry::Person { person: id(), loss }]);
    let late = into_full(NOW.plus(2 * DAY));
    assert_eq!(ended(&late).len(), MOST_SESSIONS, "expired ones end, too");
    assert!(late.journal.is_empty(), "they authenticate nothing in an old copy either");
}

#[test]
fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let effects = change_password("old").decide(&with(Some(stored())), NOW).unwrap().1;
    assert_eq!(ended(&effects), [TokenHash([4; 32])]);
    assert_eq!(written(&effects).secrets.as_ref().unwrap().password, password("new"));
    let wrong = change_password("older").decide(&with(Some(stored())), NOW);
    assert!(matches!(wrong, Err(ActError::NotFound(_))));
}

#[test]
fn roles_are_given_in_what_exists_and_a_mini_app_has_no_members() {
    let of = |change: RoleChange, locked: &Locked| role(change).decide(locked, NOW);
    let (provider, channel_id) = (channel().provider, channel_id());
    let in_provider = RoleChange::Provider { provider, role: Some(ProviderRole::Admin) };
    let member = RoleChange::Channel { channel: channel_id, role: Some(ChannelRole::Member) };
    let there = with(Some(stored()));
    assert_eq!(of(in_provider, &there).unwrap().0.providers[&provider], ProviderRole::Admin);
    assert_eq!(of(member, &there).unwrap().0.channels[&channel_id], ChannelRole::Member);
    let none = Locked { provider: None, channel: None, ..with(Some(stored())) };
    assert!(matches!(of(in_provider, &none), Err(ActError::NotFound("provider"))));
    assert!(matches!(of(member, &none), Err(ActError::NotFound("channel"))));
    let mut mini = channel();
    mini.channel_type = ChannelType::MiniApp;
    let mini = Locked { channel: Some(mini.into()), ..with(Some(stored())) };
    assert!(matches!(of(member, &mini), Err(ActError::Conflict(_))));
    let gone = RoleChange::Channel { channel: channel_id, role: None };
    assert!(of(gone, &none).is_ok(), "the role outlasts its channel");
    let (without, effects) = of(gone, &there).unwrap();
    assert!(without.channels.is_empty());
    assert_eq!(effects.audit.unwrap().event.channel, Some(channel_id));
    let again = with(Some(StoredPerson { person: without, ..stored() }));
    assert!(matches!(of(gone, &again), Err(ActError::NotFound(_))), "there is none to take");
}

#[test]
fn the_person_who_creates_a_channel_is_its_admin() {
    let other = tegata_token::id::ChannelId::from_number(1_999_999_999).unwrap();
    let new = NewChannel {
        id: other,
        provider: channel().provider,
        name: "New".into(),
        channel_type: ChannelType::MessagingApi,
        secret: crate::channel::secret("new").hash(),
    };
    let act = CreateChannel { new, admin: Some(id()), by: by() };
    let effects = act.decide(&with(Some(stored())), NOW).unwrap().1;
    assert_eq!(written(&effects).person.channels[&other], ChannelRole::Admin);
    let person = |it: &Change| matches!(it, Change::Person { .. });
    assert!(effects.changes.iter().any(person));
}

#[test]
fn personal_tokens_are_limited_and_end_with_their_person() {
    let act = CreateAdminToken { new: admin_token(), by: by() };
    let mut full = with(Some(stored()));
    full.upkeep.people.admin_tokens = vec![admin_token(); MOST_ADMIN_TOKENS];
    assert!(matches!(act.decide(&full, NOW), Err(ActError::Conflict(_))));
    let effects = DeletePerson { id: id(), by: by() }.decide(&with(Some(stored())), NOW).unwrap().1;
    let deleted = |it: &Write| matches!(it, Write::AdminTokenDeleted(id) if *id == token_id());
    assert!(effects.writes.iter().any(deleted));
}

#[test]
fn expired_personal_tokens_are_deleted_and_do_not_count() {
    let mut locked = with(Some(stored()));
    let expired = AdminTokenRow { expires_at: NOW, ..admin_token() };
    locked.upkeep.people.admin_tokens = vec![expired; MOST_ADMIN_TOKENS];
    let act = CreateAdminToken { new: admin_token(), by: by() };
    let (_, effects) = act.decide(&locked, NOW).unwrap();
    let deleted = |it: &&Write| matches!(it, Write::AdminTokenDeleted(_));
    assert_eq!(effects.writes.iter().filter(deleted).count(), MOST_ADMIN_TOKENS);
    locked.upkeep.people.admin_tokens = vec![admin_token(); MOST_ADMIN_TOKENS];
    assert!(matches!(act.decide(&locked, NOW), Err(ActError::Conflict(_))));
}

#[test]
fn names_to_sign_in_with_are_neither_options_nor_ids() {
    for good in ["mika", "mika@example.com", "a", "7", "1234567890x"] {
        assert!(is_login(good), "{good}");
    }
    for bad in ["", "-x", "--help", ".a", "1234567890", "Mika", "a b", "\u{e9}", &"a".repeat(65)] {
        assert!(!is_login(bad), "{bad}");
    }
}

#[test]
fn what_a_person_lost_is_replayed_and_unknown_people_are_ignored() {
    let channel_id = channel_id();
    for loss in [
        PersonLoss::Disabled,
        PersonLoss::Deleted,
        PersonLoss::Role { left: RoleChange::Channel { channel: channel_id, role: None } },
        PersonLoss::Secrets,
        PersonLoss::Session { token: SESSION },
        PersonLoss::RecoveryCode { code: CODE },
        PersonLoss::AdminToken { id: token_id() },
    ] {
        let line = JournalEntry::Person { person: id(), loss: loss.clone() };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<JournalEntry>(&text).unwrap(), line, "{text}");
        let act = Replay { line, author: None, at: NOW };
        let effects = act.decide(&with(Some(stored())), NOW).unwrap().1;
        assert!(!effects.writes.is_empty() && effects.audit.is_none(), "{loss:?}");
        let mut nothing = with(None);
        nothing.upkeep.people = PersonRows::default();
        assert!(act.decide(&nothing, NOW).unwrap().1.is_empty(), "{loss:?}");
    }
}

#[test]
fn a_new_master_key_encrypts_every_second_factor() {
    let locked = with(Some(stored()));
    let keys = vec![(locked.keys[0].key.id, WrappedKey(vec![7]))];
    let act = RewrapKeys { keys, people: vec![], by: by() };
    assert!(matches!(act.decide(&locked, NOW), Err(ActError::Conflict(_))), "one is missing");
    let act = RewrapKeys { people: vec![(id(), WrappedKey(vec![8]))], ..act };
    let effects = act.decide(&locked, NOW).unwrap().1;
    assert_eq!(written(&effects).secrets.as_ref().unwrap().totp, WrappedKey(vec![8]));
}

#[test]
fn no_secret_of_a_person_can_be_printed() {
    let shown = format!("{:?}", with(Some(stored())).upkeep.people);
    assert!(shown.contains("PasswordHash") && !shown.contains("argon2id"), "{shown}");
}

#[test]
fn a_person_is_invited_only_with_a_name_that_can_sign_in() {
    for login in ["", "-mika", "Mika", "1234567890"] {
        let act = InvitePerson { login: login.into(), ..invite(None) };
        let denied = act.decide(&locked(channel(), Vec::new()), NOW).unwrap_err();
        assert!(matches!(denied, ActError::Denied(Denied::NotALogin)), "{login}: {denied}");
    }
}
