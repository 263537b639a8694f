//! The console: its address, and the link for the first administrator.

use tegata_policy::{
    acts::PersonState,
    permission::{OperatorRole, RoleChange},
    secret::PlainSecret,
};
use tegata_server::{
    authority::{
        actor::Actor,
        admin::{Admin, Invited, ListedPerson, NewPerson, Result},
    },
    serve::Running,
};
use tegata_token::{id::PersonId, time::UnixTime};

/// The first administrator's name to sign in with.
const LOGIN: &str = "admin";

/// What a start does for the first administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// Invites one.
    Invite,
    /// Invites the one again whose link has expired.
    InviteAgain(PersonId),
    /// Nothing: the link that an earlier start, or another server, printed is good until then.
    Open(PersonId, UnixTime),
    /// Nothing: there are other people, or an administrator was authenticated before.
    Nothing,
}

fn first(people: &[ListedPerson], administered: bool, now: UnixTime) -> First {
    match people {
        [] => First::Invite,
        [only] if only.person.login == LOGIN && only.person.state() == PersonState::Invited => {
            let id = only.person.id;
            match only.invited_until {
                Some(until) if until > now => First::Open(id, until),
                _ if administered => First::Nothing,
                _ => First::InviteAgain(id),
            }
        }
        _ => First::Nothing,
    }
}

/// What to do if no administrator can sign in, as after a restore from before the first one did;
/// empty if one can, or has a link for it.
fn way_in(people: &[ListedPerson], now: UnixTime) -> String {
    let is_administrator =
        |it: &&ListedPerson| it.person.operator == Some(OperatorRole::Administrator);
    let administrators: Vec<_> = people.iter().filter(is_administrator).collect();
    let can_come = |it: &&ListedPerson| match it.person.state() {
        PersonState::Active => true,
        PersonState::Invited => it.invited_until.is_some_and(|until| until > now),
        PersonState::Disabled => false,
    };
    if administrators.iter().any(can_come) {
        return String::new();
    }
    let invited = administrators.iter().find(|it| it.person.state() == PersonState::Invited);
    let reset =
        invited.map_or_else(String::new, |it| format!("tegata person reset {}, or ", it.person.id));
    format!("; no administrator can sign in: make a link with {reset}tegata admin invite NAME")
}

/// The address of the console and, until a person has signed in, a link that makes the first
/// administrator.
pub async fn first_steps(running: &Running) -> String {
    let url = super::url_of(running, running.admin_address);
    let admin = running.authority.admin(Actor::Root, None);
    let admin = admin.because(Some("first administrator".to_owned()));
    let now = running.authority.now();
    let invited = async {
        let people = admin.people(None).await?;
        let first = first(&people, running.administered, now);
        Ok((first, invite(&admin, first).await?, way_in(&people, now)))
    };
    let address = format!("the console is at {url}/console");
    let words: Result<(First, Option<Invited>, String)> = invited.await;
    match words {
        Ok((_, Some(Invited { invitation, link, .. }), _)) => {
            let here = format!("{url}/console/invitation#{}", invitation.reveal());
            let link = link.as_ref().map_or(&*here, PlainSecret::reveal);
            format!(
                "{address}; to be its first administrator, `{LOGIN}`, open this link within a day. It \
                 works once:\n  {link}\n"
            )
        }
        Ok((First::Open(id, until), None, _)) => {
            let until = jiff::Timestamp::from_second(until.0).map(|it| it.to_string());
            format!(
                "{address}; the link for its first administrator, `{LOGIN}`, was printed at an earlier \
                 start and is good until {}. For another one, which ends that: tegata person reset \
                 {id}\n",
                until.unwrap_or_default()
            )
        }
        Ok((.., way_in)) => format!("{address}{way_in}\n"),
        Err(error) => {
            tracing::warn!(%error, "the first administrator is not invited");
            format!("{address}; make a link with `tegata admin invite NAME`\n")
        }
    }
}

async fn invite(admin: &Admin, first: First) -> Result<Option<Invited>> {
    match first {
        First::Invite => {
            let role = Some(RoleChange::Operator { role: Some(OperatorRole::Administrator) });
            let (login, name) = (LOGIN.to_owned(), "Administrator".to_owned());
            admin.invite(NewPerson { login, name, role }).await.map(Some)
        }
        First::InviteAgain(id) => admin.reset_person(id).await.map(Some),
        First::Open(..) | First::Nothing => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_policy::acts::PersonRow;

    #[test]
    fn a_link_is_made_once_and_again_only_after_it_has_expired() {
        let id = PersonId::from_number(1_000_000_001).unwrap();
        let invited = |until| ListedPerson {
            person: PersonRow {
                id,
                login: LOGIN.into(),
                name: "Administrator".into(),
                operator: Some(OperatorRole::Administrator),
                providers: Default::default(),
                channels: Default::default(),
                disabled: false,
                created_at: UnixTime(0),
                accepted: false,
            },
            invited_until: Some(UnixTime(until)),
            recovery_codes_left: None,
            identity: None,
        };
        let now = UnixTime(100);
        assert_eq!(first(&[], true, now), First::Invite);
        assert_eq!(first(&[invited(101)], false, now), First::Open(id, UnixTime(101)));
        assert_eq!(first(&[invited(101)], true, now), First::Open(id, UnixTime(101)));
        assert_eq!(first(&[invited(100)], false, now), First::InviteAgain(id));
        assert_eq!(first(&[invited(100)], true, now), First::Nothing);
        assert_eq!(first(&[invited(101), invited(101)], false, now), First::Nothing);

        let shown = "; no administrator can sign in: make a link with tegata person reset 1000000001, or \
                     tegata admin invite NAME";
        assert_eq!(way_in(&[invited(100)], now), shown);
        assert_eq!(way_in(&[invited(100), invited(101)], now), "", "one has a link");
        let mut active = invited(100);
        active.person.accepted = true;
        assert_eq!(way_in(&[invited(100), active.clone()], now), "");
        active.person.disabled = true;
        let shown = "; no administrator can sign in: make a link with tegata admin invite NAME";
        assert_eq!(way_in(&[active], now), shown);
    }
}
