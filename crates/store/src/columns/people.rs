//! Rows of people, their sessions and personal tokens.

use super::{Columns, json};
use tegata_policy::acts::{
    AdminTokenRow, Identity, LinkedIdentity, PersonRow, SessionRow, SignInSecrets, StoredPerson,
    TokenHash, WrappedKey,
};
use tegata_policy::permission::RoleChange;
use tegata_token::time::UnixTime;

pub(crate) fn person<R: Columns>(row: &R) -> Result<StoredPerson, R::Error> {
    let password = row.optional("password")?;
    let person = PersonRow {
        id: row.value("id")?,
        login: row.value("login")?,
        name: row.value("name")?,
        operator: row.optional_word("operator")?,
        providers: row.json("providers")?,
        channels: row.json("channels")?,
        disabled: row.value("disabled")?,
        accepted: password.is_some(),
        created_at: row.value("created_at")?,
    };
    let secrets = match password {
        None => None,
        Some(password) => Some(SignInSecrets {
            password,
            totp: WrappedKey(row.optional("totp")?.unwrap_or_default()),
            totp_step: row.value("totp_step")?,
            recovery: row.json("recovery")?,
        }),
    };
    let hash: Option<TokenHash> = row.optional("invitation")?;
    let until: Option<UnixTime> = row.optional("invitation_until")?;
    let issuer: Option<String> = row.optional("identity_issuer")?;
    let identity = match issuer.zip(row.optional("identity_subject")?) {
        None => None,
        Some((issuer, subject)) => Some(LinkedIdentity {
            identity: Identity { issuer, subject },
            linked_at: row.value("identity_at")?,
        }),
    };
    Ok(StoredPerson { person, secrets, invitation: hash.zip(until), identity })
}

/// The providers and the channels in which a person has roles.
pub(crate) fn places(person: &PersonRow) -> (Vec<i64>, Vec<i64>) {
    let providers = person.providers.keys().map(|id| id.number().cast_signed());
    let channels = person.channels.keys().map(|id| id.number().cast_signed());
    (providers.collect(), channels.collect())
}

/// Takes away a role in the provider of this row.
pub(crate) fn out_of_provider<R: Columns>(row: &R) -> Result<RoleChange, R::Error> {
    Ok(RoleChange::Provider { provider: row.value("id")?, role: None })
}

/// Takes away a role in the channel of this row.
pub(crate) fn out_of_channel<R: Columns>(row: &R) -> Result<RoleChange, R::Error> {
    Ok(RoleChange::Channel { channel: row.value("id")?, role: None })
}

/// The column `recovery` of a person.
pub(crate) fn recovery(secrets: Option<&SignInSecrets>) -> String {
    secrets.map_or_else(|| "[]".to_owned(), |it| json(&it.recovery))
}

pub(crate) fn session<R: Columns>(row: &R) -> Result<SessionRow, R::Error> {
    Ok(SessionRow {
        token: row.value("token")?,
        person: row.value("person")?,
        created_at: row.value("created_at")?,
        expires_at: row.value("expires_at")?,
    })
}

pub(crate) fn admin_token<R: Columns>(row: &R) -> Result<AdminTokenRow, R::Error> {
    Ok(AdminTokenRow {
        id: row.value("id")?,
        person: row.value("person")?,
        name: row.value("name")?,
        rights: row.word("rights")?,
        token: row.value("token")?,
        created_at: row.value("created_at")?,
        expires_at: row.value("expires_at")?,
    })
}
