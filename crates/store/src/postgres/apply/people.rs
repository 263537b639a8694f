//! Rows of people, their sessions and personal tokens.

use crate::{
    columns::{json, people as columns, word},
    postgres::{
        rows::int,
        statements::{Statements, keep},
    },
};
use tegata_policy::acts::{AdminTokenRow, StoredPerson, Write};

pub(super) fn apply<'a>(to: &mut Statements<'a>, it: &'a Write) {
    match it {
        Write::NewPerson(new) => {
            let sql = "INSERT INTO person (id, login, name, providers, channels, disabled,
                           created_at) VALUES ($1, $2, $3, '{}', '{}', false, $4)";
            let person = &new.person;
            let (id, at) = (int(person.id.number()), person.created_at.0);
            to.add(sql, keep![id, person.login.as_str(), person.name.as_str(), at]);
            write_person(to, new);
        }
        Write::Person(person) => write_person(to, person),
        Write::PersonDeleted(id, at) => {
            let sql = "UPDATE person SET deleted_at = $2, password = NULL, totp = NULL,
                           recovery = '[]', invitation = NULL, invitation_until = NULL,
                           identity_issuer = NULL, identity_subject = NULL, identity_at = NULL
                       WHERE id = $1";
            to.add(sql, keep![int(id.number()), at.0]);
        }
        Write::Session(new) => {
            let sql = "INSERT INTO person_session (token, person, created_at, expires_at)
                       VALUES ($1, $2, $3, $4)";
            let person = int(new.person.number());
            to.add(sql, keep![&new.token.0[..], person, new.created_at.0, new.expires_at.0]);
        }
        Write::SessionEnded(token) => {
            to.add("DELETE FROM person_session WHERE token = $1", keep![&token.0[..]]);
        }
        Write::AdminToken(new) => insert_admin_token(to, new),
        Write::AdminTokenDeleted(id) => {
            to.add("DELETE FROM admin_token WHERE id = $1", keep![int(id.number())]);
        }
        _ => {}
    }
}

fn insert_admin_token<'a>(to: &mut Statements<'a>, new: &'a AdminTokenRow) {
    let sql = "INSERT INTO admin_token (id, person, name, rights, token, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = keep![
        int(new.id.number()),
        int(new.person.number()),
        new.name.as_str(),
        word(new.rights),
        &new.token.0[..],
        new.created_at.0,
        new.expires_at.0,
    ];
    to.add(sql, values);
}

/// Writes a person as it is now. The id, the name to sign in with and the time are immutable.
fn write_person<'a>(to: &mut Statements<'a>, new: &'a StoredPerson) {
    let StoredPerson { person, secrets, invitation, identity } = new;
    let sql = "UPDATE person SET name = $2, operator = $3, providers = $4, channels = $5,
                   disabled = $6, password = $7, totp = $8, totp_step = $9, recovery = $10,
                   invitation = $11, invitation_until = $12, identity_issuer = $13,
                   identity_subject = $14, identity_at = $15
               WHERE id = $1";
    let (secrets, identity) = (secrets.as_ref(), identity.as_ref());
    let values = keep![
        int(person.id.number()),
        person.name.as_str(),
        person.operator.map(word),
        json(&person.providers),
        json(&person.channels),
        person.disabled,
        secrets.map(|it| it.password.0.as_str()),
        secrets.map(|it| &it.totp.0[..]),
        secrets.map_or(0, |it| it.totp_step),
        columns::recovery(secrets),
        invitation.map(|(hash, _)| hash.0.to_vec()),
        invitation.map(|(_, until)| until.0),
        identity.map(|it| it.identity.issuer.as_str()),
        identity.map(|it| it.identity.subject.as_str()),
        identity.map(|it| it.linked_at.0),
    ];
    to.add(sql, values);
}
