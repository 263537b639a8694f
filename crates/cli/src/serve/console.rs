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

/// The address of the console and, until a person has signed in, a link that makes the first
/// administrator.
pub async fn first_steps(running: &Running) -> String {
    let url = super::url_of(running, running.admin_address);
    let admin = running.authority.admin(Actor::Root, None);
    let admin = admin.because(Some("first administrator".to_owned()));
    let now = running.authority.now();
    let invited = async {
        let first = first(&admin.people(None).await?, running.administered, now);
        Ok((first, invite(&admin, first).await?))
    };
    let address = format!("the console is at {url}/console");
    let words: Result<(First, Option<Invited>)> = invited.await;
    match words {
        Ok((_, Some(Invited { invitation, link, .. }))) => {
            let here = format!("{url}/console/invitation#{}", invitation.reveal());
            let link = link.as_ref().map_or(&*here, PlainSecret::reveal);
            format!(
                "{address}; to be its first administrator, `{LOGIN}`, open this link within a day. It \
                 works once:\n  {link}\n"
            )
        }
        Ok((First::Open(id, until), None)) => {
            let until = jiff::Timestamp::from_second(until.0).map(|it| it.to_string());
            format!(
                "{address}; the link for its first administrator, `{LOGIN}`, was printed at an earlier \
                 start and is good until {}. For another one, which ends that: tegata person reset \
                 {id}\n",
                until.unwrap_or_default()
            )
        }
        Ok(_) => format!("{address}\n"),
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
    }
}
