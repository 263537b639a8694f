//! The permission table, against the roles that LINE's console documents and our operators.

use tegata_policy::permission::{
    Access, ChannelRole, Effect, Level, OperatorRole, Permission as P, ProviderRole, Rights, Role,
};

const PERSON: Role = Role::Person;
const ADMINISTRATOR: Role = Role::Operator(OperatorRole::Administrator);
const ON_CALL: Role = Role::Operator(OperatorRole::OnCall);
const AUDITOR: Role = Role::Operator(OperatorRole::Auditor);

fn provider(role: ProviderRole) -> Role {
    Role::Provider(role)
}

fn channel(role: ChannelRole) -> Role {
    Role::Channel(role)
}

/// A person with these roles.
fn verdict(permission: P, roles: &[Role]) -> Access {
    permission.verdict(&[&[PERSON], roles].concat())
}

#[test]
fn the_roles_of_a_provider_are_those_of_lines_console() {
    let (admin, member) = (provider(ProviderRole::Admin), provider(ProviderRole::Member));
    assert_eq!(verdict(P::ReadProvider, &[member]), Access::Allowed);
    let acts = [
        P::ChangeProvider,
        P::DeleteProvider,
        P::ListChannels,
        P::CreateChannel,
        P::ReadProviderRoles,
        P::GiveProviderRole,
        P::TakeProviderRole,
    ];
    for act in acts {
        assert_eq!(verdict(act, &[admin]), Access::Allowed, "{act:?}");
        assert_eq!(verdict(act, &[member]), Access::Forbidden, "{act:?}");
        assert_eq!(verdict(act, &[]), Access::NotFound, "{act:?}");
    }
}

#[test]
fn the_roles_of_a_channel_are_those_of_lines_console() {
    let [admin, member, tester] =
        [ChannelRole::Admin, ChannelRole::Member, ChannelRole::Tester].map(channel);
    for role in [admin, member, tester] {
        assert_eq!(verdict(P::ReadChannel, &[role]), Access::Allowed);
    }
    for act in [
        P::ChangeChannel,
        P::DeleteChannel,
        P::ReplaceSecret,
        P::DeletePreviousSecret,
        P::ReadAssertionKeys,
        P::RegisterAssertionKey,
        P::DeleteAssertionKey,
        P::ReissueToken,
        P::ReadChannelRoles,
        P::GiveChannelRole,
        P::TakeChannelRole,
    ] {
        assert_eq!(verdict(act, &[admin]), Access::Allowed, "{act:?}");
        for role in [member, tester] {
            assert_eq!(verdict(act, &[role]), Access::Forbidden, "{act:?} {role:?}");
        }
    }
    for (role, leaves) in
        [(admin, Access::Forbidden), (member, Access::Allowed), (tester, Access::Allowed)]
    {
        assert_eq!(verdict(P::LeaveChannel, &[role]), leaves);
    }
}

#[test]
fn a_providers_admin_has_no_access_to_a_channel_but_knows_that_it_exists() {
    for &act in P::ALL.iter().filter(|it| it.level() == Level::Channel) {
        let admin = verdict(act, &[provider(ProviderRole::Admin)]);
        assert_eq!(admin, Access::Forbidden, "{act:?}");
        let member = verdict(act, &[provider(ProviderRole::Member)]);
        assert_eq!(member, Access::NotFound, "{act:?}");
    }
}

#[test]
fn a_channel_role_gives_nothing_in_the_provider_or_the_authority() {
    for &act in P::ALL {
        let found = verdict(act, &[channel(ChannelRole::Admin)]);
        let expected = match act.level() {
            Level::Channel
                if [P::RevokeOwnToken, P::ReportLeaks, P::LeaveChannel].contains(&act) =>
            {
                Access::Forbidden
            }
            Level::Channel | Level::Account => Access::Allowed,
            Level::Authority => Access::Forbidden,
            Level::Provider | Level::Verifier | Level::Person => Access::NotFound,
        };
        assert_eq!(found, expected, "{act:?}");
    }
}

/// What no person does: the server promotes keys, a channel revokes its own tokens, and a
/// scanner reports leaks.
const NOT_OF_OPERATORS: [P; 4] =
    [P::PromoteSigningKey, P::RevokeOwnToken, P::ReportLeaks, P::LeaveChannel];

#[test]
fn an_administrator_does_everything_on_call_takes_away_and_an_auditor_reads() {
    for &act in P::ALL.iter().filter(|it| !NOT_OF_OPERATORS.contains(it)) {
        let allowed = |roles: &[Role]| verdict(act, roles) == Access::Allowed;
        assert!(allowed(&[ADMINISTRATOR]), "{act:?}");
        let own = act.level() == Level::Account;
        assert_eq!(allowed(&[ON_CALL]), act.effect() != Effect::Changes || own, "{act:?}");
        assert_eq!(allowed(&[AUDITOR]), act.effect() == Effect::Reads || own, "{act:?}");
        // An operator sees everything, so nothing is hidden from one.
        assert_ne!(verdict(act, &[AUDITOR]), Access::NotFound, "{act:?}");
        let root = act.verdict(&[Role::Root]);
        assert_eq!(root == Access::Allowed, !own, "{act:?}");
    }
}

#[test]
fn a_person_without_a_role_sees_nothing_but_the_own_account() {
    for &act in P::ALL {
        let expected = match act.level() {
            Level::Account => Access::Allowed,
            Level::Authority => Access::Forbidden,
            _ => Access::NotFound,
        };
        assert_eq!(verdict(act, &[]), expected, "{act:?}");
    }
}

#[test]
fn a_channel_may_revoke_its_own_tokens_and_nothing_else() {
    for &act in P::ALL {
        let own = act.verdict(&[Role::OwnChannel]) == Access::Allowed;
        assert_eq!(own, act == P::RevokeOwnToken, "{act:?}");
    }
}

#[test]
fn a_reporter_may_report_leaks_and_nothing_else() {
    for &act in P::ALL {
        let own = act.verdict(&[Role::Reporter]) == Access::Allowed;
        assert_eq!(own, act == P::ReportLeaks, "{act:?}");
    }
}

#[test]
fn the_server_itself_takes_nothing_away() {
    for &act in P::ALL.iter().filter(|it| it.effect() == Effect::Narrows) {
        assert_ne!(act.verdict(&[Role::System]), Access::Allowed, "{act:?}");
    }
}

#[test]
fn the_rights_of_a_personal_token_grow_and_never_reach_the_own_account() {
    for &act in P::ALL {
        let (effect, level) = (act.effect(), act.level());
        let [read, revoke, full] =
            [Rights::Read, Rights::Revoke, Rights::Full].map(|it| it.allow(effect, level));
        assert!(full >= revoke && revoke >= read, "{act:?}");
        assert_eq!(read, effect == Effect::Reads, "{act:?}");
        assert_eq!(revoke, effect != Effect::Changes, "{act:?}");
    }
    assert!(!Rights::Full.allow(P::ChangeAccount.effect(), P::ChangeAccount.level()));
}
