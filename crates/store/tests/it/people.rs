//! A person in the store: what is taken from the person must survive a rollback.

use crate::{
    narrowing::LATER,
    world::{NOW, World, by},
};
use tegata_policy::{
    acts::{
        AcceptInvitation, AdminTokenRow, ChangePassword, ChangePerson, FirstFactor, Identity,
        InvitePerson, LinkIdentity, PasswordHash, ResetPerson, SecondFactor, SessionRow, SetRole,
        SignIn, SignInSecrets, TokenHash, UnlinkIdentity, UseCode, WhichPerson, WrappedKey,
    },
    permission::{OperatorRole, Rights, RoleChange},
};
use tegata_token::{
    id::{AdminTokenId, PersonId},
    time::DAY,
};

/// An act that takes something from the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonAct {
    AcceptAgain,
    DisablePerson,
    TakeRole,
    ResetPerson,
    UseRecoveryCode,
    UseRecoveryCodeInSession,
    EndSession,
    ChangePassword,
    UnlinkIdentity,
    DeletePerson,
    DeleteAdminToken,
}

impl PersonAct {
    pub fn of_store(self) -> &'static str {
        match self {
            Self::AcceptAgain => "accept_invitation",
            Self::DisablePerson => "change_person",
            Self::TakeRole => "set_role",
            Self::ResetPerson => "reset_person",
            Self::UseRecoveryCode => "sign_in",
            Self::UseRecoveryCodeInSession => "use_code",
            Self::EndSession => "end_session",
            Self::ChangePassword => "change_password",
            Self::UnlinkIdentity => "unlink_identity",
            Self::DeletePerson => "delete_person",
            Self::DeleteAdminToken => "delete_admin_token",
        }
    }
}

const INVITATION: TokenHash = TokenHash([21; 32]);
const OTHERS_INVITATION: TokenHash = TokenHash([22; 32]);
const CODE: TokenHash = TokenHash([23; 32]);
const SESSION: TokenHash = TokenHash([24; 32]);

fn id(number: u64) -> PersonId {
    PersonId::from_number(number).unwrap()
}

/// The person, and one who is invited.
const MIKA: u64 = 3_000_000_001;
const AOI: u64 = 3_000_000_002;
/// An administrator who stays, since the last one cannot be removed.
const RIN: u64 = 3_000_000_003;
const RINS_INVITATION: TokenHash = TokenHash([31; 32]);

fn admin_token() -> AdminTokenId {
    AdminTokenId::from_number(4_000_000_001).unwrap()
}

fn secrets(password: &str) -> SignInSecrets {
    SignInSecrets {
        password: PasswordHash(password.into()),
        totp: WrappedKey(vec![1; 60]),
        totp_step: 7,
        recovery: vec![CODE],
    }
}

fn session(token: TokenHash) -> SessionRow {
    SessionRow { token, person: id(MIKA), created_at: NOW, expires_at: NOW.plus(DAY) }
}

fn sign_in(token: TokenHash, second: SecondFactor) -> SignIn {
    let first = FirstFactor::Password(PasswordHash("old".into()));
    SignIn { session: session(token), first, second, by: by(LATER) }
}

fn identity() -> Identity {
    Identity { issuer: "https://id.example.com".into(), subject: "mika".into() }
}

/// Invites three, and gives one of them all that can be taken.
pub async fn set(world: &World) {
    for (number, login, invitation) in
        [(MIKA, "mika", INVITATION), (AOI, "aoi", OTHERS_INVITATION), (RIN, "rin", RINS_INVITATION)]
    {
        let act = InvitePerson {
            id: id(number),
            login: login.into(),
            name: "Name".into(),
            role: Some(RoleChange::Operator { role: Some(OperatorRole::Administrator) }),
            invitation,
            expires_at: NOW.plus(DAY),
            by: by(NOW),
        };
        world.invite_person(act).await.unwrap();
    }
    for invitation in [RINS_INVITATION, INVITATION] {
        let act = AcceptInvitation { invitation, secrets: secrets("old"), by: by(NOW) };
        world.accept_invitation(act).await.unwrap();
    }
    let act = SignIn { by: by(NOW), ..sign_in(SESSION, SecondFactor::Totp(8)) };
    world.sign_in(act).await.unwrap();
    let act = LinkIdentity { person: id(MIKA), identity: identity(), by: by(NOW) };
    world.link_identity(act).await.unwrap();
    let token = AdminTokenRow {
        id: admin_token(),
        person: id(MIKA),
        name: "deploy".into(),
        rights: Rights::Full,
        token: TokenHash([25; 32]),
        created_at: NOW,
        expires_at: NOW.plus(DAY),
    };
    world.create_admin_token(token, by(NOW)).await.unwrap();
}

/// Takes something, in one commit.
pub async fn perform(world: &World, act: PersonAct) {
    let (id, by) = (id(MIKA), by(LATER));
    match act {
        PersonAct::AcceptAgain => {
            let (invitation, secrets) = (OTHERS_INVITATION, secrets("another"));
            world.accept_invitation(AcceptInvitation { invitation, secrets, by }).await.unwrap();
        }
        PersonAct::DisablePerson => {
            let act = ChangePerson { id, name: None, disabled: Some(true), by };
            world.change_person(act).await.unwrap();
        }
        PersonAct::TakeRole => {
            let role = RoleChange::Operator { role: None };
            world.set_role(SetRole { id, role, by }).await.unwrap();
        }
        PersonAct::ResetPerson => {
            let (invitation, expires_at) = (TokenHash([26; 32]), LATER.plus(DAY));
            world
                .reset_person(ResetPerson { id, invitation: Some((invitation, expires_at)), by })
                .await
                .unwrap();
        }
        PersonAct::UseRecoveryCode => {
            let act = sign_in(TokenHash([27; 32]), SecondFactor::Recovery(CODE));
            world.sign_in(act).await.unwrap();
        }
        PersonAct::UseRecoveryCodeInSession => {
            let second = SecondFactor::Recovery(CODE);
            world.use_code(UseCode { person: id, session: SESSION, second, by }).await.unwrap();
        }
        PersonAct::EndSession => world.end_session(id, SESSION, by).await.unwrap(),
        PersonAct::ChangePassword => {
            let (old, new) = (PasswordHash("old".into()), PasswordHash("new".into()));
            // Requested by another session, which a rollback ends, too.
            let act = ChangePassword { person: id, old, new, session: TokenHash([28; 32]), by };
            world.change_password(act).await.unwrap();
        }
        PersonAct::UnlinkIdentity => {
            let act = UnlinkIdentity { person: id, session: None, by };
            world.unlink_identity(act).await.unwrap();
        }
        PersonAct::DeletePerson => world.delete_person(id, by).await.unwrap(),
        PersonAct::DeleteAdminToken => {
            world.delete_admin_token(admin_token(), by).await.unwrap();
        }
    }
}

/// What was there before any act, and still gives access.
pub async fn access(world: &World) -> String {
    let mut found = Vec::new();
    let people = world.state().await.unwrap().people;
    for number in [MIKA, AOI] {
        let Some(stored) = world.person(WhichPerson::Id(id(number))).await.unwrap() else {
            found.push("deleted".to_owned());
            continue;
        };
        let old = |it: &SignInSecrets| it.password.0 == "old";
        let password = stored.secrets.as_ref().is_some_and(old);
        let code = stored.secrets.as_ref().is_some_and(|it| it.recovery.contains(&CODE));
        let invitation = stored.invitation.filter(|(hash, _)| *hash == OTHERS_INVITATION);
        found.push(format!(
            "{:?} {} {password} {} {}",
            stored.person.operator,
            stored.person.disabled,
            code && password,
            invitation.is_some()
        ));
    }
    let linked = world.person(WhichPerson::Identity(identity())).await.unwrap();
    found.push(format!("{:?}", linked.map(|it| it.person.id)));
    let session = people.sessions.iter().any(|it| it.token == SESSION);
    format!("{found:?} {session} {:?}", people.admin_tokens)
}
