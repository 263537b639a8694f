//! The console: its address, and the link for the first administrator.

use tegata_policy::{
    acts::PersonState,
    permission::{OperatorRole, RoleChange},
};
use tegata_server::{
    authority::{
        actor::Actor,
        admin::{Admin, Invited, NewPerson, Result},
    },
    serve::Running,
};

/// The first administrator's name to sign in with.
const LOGIN: &str = "admin";

/// The address of the console and, until a person has signed in, a link that makes the first
/// administrator.
pub async fn first_steps(running: &Running) -> String {
    let url = super::url_of(running, running.admin_address);
    let admin = running.authority.admin(Actor::Root, None);
    let admin = admin.because(Some("first administrator".to_owned()));
    match invite(&admin, !running.administered).await {
        Ok(Some(Invited { invitation, .. })) => format!(
            "the console is at {url}/console; to be its first administrator, `{LOGIN}`, open this \
             link within a day. It works once:\n  {url}/console/invitation#{}\n",
            invitation.reveal()
        ),
        Ok(None) => format!("the console is at {url}/console\n"),
        Err(error) => {
            tracing::warn!(%error, "the first administrator is not invited");
            format!(
                "the console is at {url}/console; make a link with `tegata admin invite NAME`\n"
            )
        }
    }
}

/// Invites the first administrator; with `again`, also if an earlier invitation was not
/// accepted. `None` if there are other people.
async fn invite(admin: &Admin, again: bool) -> Result<Option<Invited>> {
    let people = admin.people(None).await?;
    match people.as_slice() {
        [] => {
            let role = Some(RoleChange::Operator { role: Some(OperatorRole::Administrator) });
            let (login, name) = (LOGIN.to_owned(), "Administrator".to_owned());
            admin.invite(NewPerson { login, name, role }).await.map(Some)
        }
        [only]
            if again
                && only.person.login == LOGIN
                && only.person.state() == PersonState::Invited =>
        {
            admin.reset_person(only.person.id).await.map(Some)
        }
        _ => Ok(None),
    }
}
