//! What acts on people need: the person, with sessions and personal tokens.

use crate::{
    columns::{Columns, people},
    postgres::{
        failed::Failed,
        rows::{int, list},
        sql::{Value, value, values},
    },
};
use futures_util::future::{try_join, try_join3};
use tegata_policy::acts::{OpenInvitation, PersonRows, StoredPerson, WhichPerson};
use tegata_token::id::PersonId;
use tokio_postgres::Client;

const PERSON: &str = "SELECT * FROM person WHERE deleted_at IS NULL";

/// Reads a person with sessions and personal tokens, and what is counted of all people.
pub(super) async fn read(db: &Client, which: &WhichPerson) -> Result<PersonRows, Failed> {
    match which {
        WhichPerson::Id(id) => named(db, "id = $1", &[value(&int(id.number()))]).await,
        WhichPerson::Login(login) => named(db, "login = $1", &[value(login)]).await,
        WhichPerson::Invitation(hash) => named(db, "invitation = $1", &[value(&&hash.0[..])]).await,
        WhichPerson::AdminToken(id) => {
            let owner = "id = (SELECT person FROM admin_token WHERE id = $1)";
            named(db, owner, &[value(&int(id.number()))]).await
        }
        WhichPerson::Identity(it) => {
            let linked = "identity_issuer = $1 AND identity_subject = $2";
            named(db, linked, &[value(&it.issuer), value(&it.subject)]).await
        }
    }
}

async fn named(db: &Client, name: &str, values: &[Value<'_>]) -> Result<PersonRows, Failed> {
    let person = format!("{PERSON} AND {name}");
    let of_person = format!("person = (SELECT id FROM person WHERE deleted_at IS NULL AND {name})");
    let sessions =
        format!("SELECT * FROM person_session WHERE {of_person} ORDER BY created_at, number");
    let admin_tokens = format!("SELECT * FROM admin_token WHERE {of_person} ORDER BY number");
    let operators = format!("{PERSON} AND operator IS NOT NULL");
    let invitations = "SELECT operator IS NOT NULL AS into_authority, invitation_until AS until
                       FROM person WHERE deleted_at IS NULL AND invitation IS NOT NULL";
    let ((people, sessions, admin_tokens), (operators, invitations)) = try_join(
        try_join3(
            list(db, &person, values, people::person),
            list(db, &sessions, values, people::session),
            list(db, &admin_tokens, values, people::admin_token),
        ),
        try_join(
            list(db, &operators, values![], people::person),
            list(db, invitations, values![], |row| {
                let into_authority = row.value("into_authority")?;
                Ok(OpenInvitation { into_authority, until: row.value("until")? })
            }),
        ),
    )
    .await?;
    let operators = operators.into_iter().map(|it| it.person).collect();
    Ok(PersonRows { people, sessions, admin_tokens, operators, invitations, ..<_>::default() })
}

/// The same, and the person's roles in what is deleted.
pub(super) async fn with_past_roles(db: &Client, id: PersonId) -> Result<PersonRows, Failed> {
    let mut rows = read(db, &WhichPerson::Id(id)).await?;
    let Some(StoredPerson { person, .. }) = rows.people.first() else { return Ok(rows) };
    let (providers, channels) = people::places(person);
    if !providers.is_empty() {
        let sql = "SELECT id FROM provider WHERE id = ANY($1) AND deleted ORDER BY number";
        rows.past_roles.extend(list(db, sql, values![providers], people::out_of_provider).await?);
    }
    if !channels.is_empty() {
        let sql = "SELECT id FROM channel WHERE id = ANY($1) AND state = 'deleted' ORDER BY number";
        rows.past_roles.extend(list(db, sql, values![channels], people::out_of_channel).await?);
    }
    Ok(rows)
}

/// All people who can sign in.
pub(super) async fn who_sign_in(db: &Client) -> Result<Vec<StoredPerson>, Failed> {
    let sql = format!("{PERSON} AND password IS NOT NULL ORDER BY number");
    list(db, &sql, values![], people::person).await
}
