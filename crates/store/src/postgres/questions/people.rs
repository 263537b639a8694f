//! People, their sessions and personal tokens.

use crate::{
    PeopleState,
    columns::people::*,
    postgres::{
        failed::Failed,
        rows::{int, list, one as read_one},
        sql::values,
    },
};
use futures_util::future::try_join3;
use tegata_policy::acts::{StoredPerson, WhichPerson};
use tokio_postgres::Client;

/// All columns of the people who are not deleted.
pub(in crate::postgres) const PERSON: &str = "SELECT * FROM person WHERE deleted_at IS NULL";

/// All people who are not deleted, newest first.
pub(in crate::postgres) async fn all(db: &Client) -> Result<Vec<StoredPerson>, Failed> {
    list(db, &format!("{PERSON} ORDER BY number DESC"), &[], person).await
}

/// What a server holds in memory.
pub(super) async fn state(db: &Client) -> Result<PeopleState, Failed> {
    let sessions = "SELECT * FROM person_session ORDER BY number";
    let admin_tokens = "SELECT * FROM admin_token ORDER BY number";
    let (people, sessions, admin_tokens) = try_join3(
        all(db),
        list(db, sessions, &[], session),
        list(db, admin_tokens, &[], admin_token),
    )
    .await?;
    let people = people.into_iter().map(|it| it.person).collect();
    Ok(PeopleState { people, sessions, admin_tokens })
}

/// The person with this name to sign in with, or with this id, invitation, personal token or
/// linked account.
pub(in crate::postgres) async fn one(
    db: &Client,
    which: &WhichPerson,
) -> Result<Option<StoredPerson>, Failed> {
    let found = |condition| format!("{PERSON} AND {condition}");
    match which {
        WhichPerson::Id(id) => {
            read_one(db, &found("id = $1"), values![int(id.number())], person).await
        }
        WhichPerson::Login(login) => {
            read_one(db, &found("login = $1"), values![login.as_str()], person).await
        }
        WhichPerson::Invitation(hash) => {
            read_one(db, &found("invitation = $1"), values![hash.0.as_slice()], person).await
        }
        WhichPerson::AdminToken(id) => {
            let sql = found("id = (SELECT person FROM admin_token WHERE id = $1)");
            read_one(db, &sql, values![int(id.number())], person).await
        }
        WhichPerson::Identity(it) => {
            let sql = found("identity_issuer = $1 AND identity_subject = $2");
            read_one(db, &sql, values![it.issuer.as_str(), it.subject.as_str()], person).await
        }
    }
}
