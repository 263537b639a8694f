//! Rows of people, their sessions and personal tokens.

use super::{
    rows::{json, unavailable, word},
    writer::{Tx, insert, write},
};
use crate::{PeopleState, Result, columns::people as columns};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use tegata_policy::acts::{
    AdminTokenRow, OpenInvitation, PersonRows, SessionRow, StoredPerson, WhichPerson, Write,
};
use tegata_policy::permission::RoleChange;
use tegata_token::{id::PersonId, time::UnixTime};

const PERSON: &str = "SELECT * FROM person WHERE deleted_at IS NULL";
const SESSION: &str = "SELECT * FROM person_session";
const ADMIN_TOKEN: &str = "SELECT * FROM admin_token";

/// All people who are not deleted, newest first.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<StoredPerson>> {
    let sql = format!("{PERSON} ORDER BY number DESC");
    conn.prepare_cached(&sql)?.query_map([], person)?.collect()
}

/// What a server holds in memory.
pub(super) fn state(conn: &Connection) -> rusqlite::Result<PeopleState> {
    let sessions = format!("{SESSION} ORDER BY number");
    let admin_tokens = format!("{ADMIN_TOKEN} ORDER BY number");
    Ok(PeopleState {
        people: all(conn)?.into_iter().map(|it| it.person).collect(),
        sessions: rows_of(conn, &sessions, session)?,
        admin_tokens: rows_of(conn, &admin_tokens, admin_token)?,
    })
}

fn rows_of<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map([], read)?.collect()
}

/// The person with this name to sign in with, or with this id, invitation or linked account.
pub(super) fn one(
    conn: &Connection,
    which: &WhichPerson,
) -> rusqlite::Result<Option<StoredPerson>> {
    let found = |column: &str, value: &dyn ToSql| {
        let sql = format!("{PERSON} AND {column} = ?1");
        conn.prepare_cached(&sql)?.query_row([value], person).optional()
    };
    match which {
        WhichPerson::Id(id) => found("id", &id.number()),
        WhichPerson::Login(login) => found("login", login),
        WhichPerson::Invitation(hash) => found("invitation", &hash.0),
        WhichPerson::AdminToken(id) => {
            let sql = "SELECT person FROM admin_token WHERE id = ?1";
            let owner: Option<u64> =
                conn.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0)).optional()?;
            owner.map_or(Ok(None), |owner| found("id", &owner))
        }
        WhichPerson::Identity(identity) => {
            let sql = format!("{PERSON} AND identity_issuer = ?1 AND identity_subject = ?2");
            let values = (&identity.issuer, &identity.subject);
            conn.prepare_cached(&sql)?.query_row(values, person).optional()
        }
    }
}

/// Reads a person with sessions and personal tokens.
pub(super) fn load(
    conn: &Connection,
    which: &WhichPerson,
    rows: &mut PersonRows,
) -> rusqlite::Result<()> {
    let sql = format!("{PERSON} AND operator IS NOT NULL");
    rows.operators = rows_of(conn, &sql, person)?.into_iter().map(|it| it.person).collect();
    let sql = "SELECT operator IS NOT NULL, invitation_until FROM person
               WHERE deleted_at IS NULL AND invitation IS NOT NULL";
    rows.invitations = rows_of(conn, sql, |row| {
        Ok(OpenInvitation { into_authority: row.get(0)?, until: UnixTime(row.get(1)?) })
    })?;
    let Some(found) = one(conn, which)? else { return Ok(()) };
    let id = found.person.id.number();
    let sql = format!("{SESSION} WHERE person = ?1 ORDER BY number");
    rows.sessions =
        conn.prepare_cached(&sql)?.query_map([id], session)?.collect::<rusqlite::Result<_>>()?;
    let sql = format!("{ADMIN_TOKEN} WHERE person = ?1 ORDER BY number");
    rows.admin_tokens = conn
        .prepare_cached(&sql)?
        .query_map([id], admin_token)?
        .collect::<rusqlite::Result<_>>()?;
    rows.people = vec![found];
    Ok(())
}

/// The same, and the person's roles in what is deleted.
pub(super) fn load_with_past_roles(
    conn: &Connection,
    id: PersonId,
    rows: &mut PersonRows,
) -> rusqlite::Result<()> {
    load(conn, &WhichPerson::Id(id), rows)?;
    let Some(StoredPerson { person, .. }) = rows.people.first() else { return Ok(()) };
    let (providers, channels) = columns::places(person);
    let providers_gone = "SELECT id FROM provider
                          WHERE id IN (SELECT value FROM json_each(?1)) AND deleted ORDER BY number";
    let channels_gone = "SELECT id FROM channel
                         WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'deleted'
                         ORDER BY number";
    let mut past = roles_of(conn, providers_gone, &providers, out_of_provider)?;
    past.extend(roles_of(conn, channels_gone, &channels, out_of_channel)?);
    rows.past_roles = past;
    Ok(())
}

fn roles_of(
    conn: &Connection,
    sql: &str,
    ids: &[i64],
    read: fn(&Row<'_>) -> rusqlite::Result<RoleChange>,
) -> rusqlite::Result<Vec<RoleChange>> {
    conn.prepare_cached(sql)?.query_map([json(&ids)], read)?.collect()
}

fn out_of_provider(row: &Row<'_>) -> rusqlite::Result<RoleChange> {
    columns::out_of_provider(row)
}

fn out_of_channel(row: &Row<'_>) -> rusqlite::Result<RoleChange> {
    columns::out_of_channel(row)
}

/// All people who can sign in.
pub(super) fn who_sign_in(conn: &Connection) -> rusqlite::Result<Vec<StoredPerson>> {
    let sql = format!("{PERSON} AND password IS NOT NULL ORDER BY number");
    conn.prepare_cached(&sql)?.query_map([], person)?.collect()
}

fn person(row: &Row<'_>) -> rusqlite::Result<StoredPerson> {
    columns::person(row)
}

fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    columns::session(row)
}

fn admin_token(row: &Row<'_>) -> rusqlite::Result<AdminTokenRow> {
    columns::admin_token(row)
}

/// Writes rows of people, sessions and personal tokens.
pub(super) fn apply(tx: &Tx<'_>, it: &Write) -> Result<()> {
    match it {
        Write::NewPerson(new) => {
            let sql = "INSERT INTO person (id, login, name, providers, channels, disabled,
                           created_at) VALUES (?1, ?2, ?3, '{}', '{}', 0, ?4)";
            let person = &new.person;
            let (id, at) = (person.id.number(), person.created_at.0);
            insert(tx, sql, (id, &person.login, &person.name, at))?;
            write_person(tx, new)
        }
        Write::Person(person) => write_person(tx, person),
        Write::PersonDeleted(id, at) => {
            let sql = "UPDATE person SET deleted_at = ?2, password = NULL, totp = NULL,
                           recovery = '[]', invitation = NULL, invitation_until = NULL,
                           identity_issuer = NULL, identity_subject = NULL, identity_at = NULL
                       WHERE id = ?1";
            write(tx, sql, (id.number(), at.0)).map(drop)
        }
        Write::Session(new) => {
            let sql = "INSERT INTO person_session (token, person, created_at, expires_at)
                       VALUES (?1, ?2, ?3, ?4)";
            let (person, created_at) = (new.person.number(), new.created_at.0);
            insert(tx, sql, (new.token.0, person, created_at, new.expires_at.0))
        }
        Write::SessionEnded(token) => {
            write(tx, "DELETE FROM person_session WHERE token = ?1", [token.0]).map(drop)
        }
        Write::AdminToken(new) => {
            let sql = "INSERT INTO admin_token (id, person, name, rights, token, created_at,
                           expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let values = params![
                new.id.number(),
                new.person.number(),
                new.name,
                word(new.rights),
                new.token.0,
                new.created_at.0,
                new.expires_at.0,
            ];
            insert(tx, sql, values)
        }
        Write::AdminTokenDeleted(id) => {
            write(tx, "DELETE FROM admin_token WHERE id = ?1", [id.number()]).map(drop)
        }
        _ => Ok(()),
    }
}

/// Writes a person as it is now. The id, the name to sign in with and the time are immutable.
fn write_person(tx: &Tx<'_>, new: &StoredPerson) -> Result<()> {
    let StoredPerson { person, secrets, invitation, identity } = new;
    let sql = "UPDATE person SET name = ?2, operator = ?3, providers = ?4, channels = ?5,
                   disabled = ?6, password = ?7, totp = ?8, totp_step = ?9, recovery = ?10,
                   invitation = ?11, invitation_until = ?12, identity_issuer = ?13,
                   identity_subject = ?14, identity_at = ?15
               WHERE id = ?1";
    let (secrets, identity) = (secrets.as_ref(), identity.as_ref());
    let recovery = columns::recovery(secrets);
    let values = params![
        person.id.number(),
        person.name,
        person.operator.map(word),
        json(&person.providers),
        json(&person.channels),
        person.disabled,
        secrets.map(|it| &it.password.0),
        secrets.map(|it| &it.totp.0),
        secrets.map_or(0, |it| it.totp_step),
        recovery,
        invitation.map(|(hash, _)| hash.0),
        invitation.map(|(_, until)| until.0),
        identity.map(|it| &it.identity.issuer),
        identity.map(|it| &it.identity.subject),
        identity.map(|it| it.linked_at.0),
    ];
    write(tx, sql, values).map(drop)
}

/// A reading error, as an error of the store.
pub(super) fn read<T>(found: rusqlite::Result<T>) -> Result<T> {
    found.map_err(unavailable)
}
