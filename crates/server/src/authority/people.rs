//! People, their sessions and personal tokens in memory. Commits alone change them.

use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};
use tegata_policy::{
    acts::{AdminTokenRow, PersonRow, SessionRow, TokenHash},
    secret::{PlainSecret, sha256},
};
use tegata_store::{Change, PeopleState};
use tegata_token::{
    id::{AdminTokenId, PersonId},
    time::UnixTime,
};

/// People who are not deleted.
#[derive(Default)]
pub struct People(ArcSwap<KnownPeople>);

/// What is known of people at one position.
#[derive(Default, Clone, Debug, PartialEq)]
struct KnownPeople {
    people: HashMap<PersonId, Arc<PersonRow>>,
    /// By the hash of the token, which is as hard to guess as the token: the time that it
    /// takes to look one up tells nothing about a token.
    sessions: HashMap<TokenHash, SessionRow>,
    admin_tokens: HashMap<TokenHash, AdminTokenRow>,
}

/// What the tokens of people begin with; 64 digits follow.
const SESSION: &str = "tgc_";
const ADMIN_TOKEN: &str = "tgp_";
const INVITATION: &str = "tgi_";

fn token(prefix: &str, bytes: [u8; 32]) -> PlainSecret {
    PlainSecret::from_caller(format!("{prefix}{}", data_encoding::HEXLOWER.encode(&bytes)))
}

/// A new session's token from random bytes.
pub fn session_token(bytes: [u8; 32]) -> PlainSecret {
    token(SESSION, bytes)
}

/// A new personal token from random bytes.
pub fn personal_token(bytes: [u8; 32]) -> PlainSecret {
    token(ADMIN_TOKEN, bytes)
}

/// A new invitation from random bytes.
pub fn invitation(bytes: [u8; 32]) -> PlainSecret {
    token(INVITATION, bytes)
}

/// The hash of a token, as the store has it.
pub fn hash(token: &PlainSecret) -> TokenHash {
    TokenHash(sha256(&[token.reveal().as_bytes()]))
}

/// What authenticates a person's request.
#[derive(Debug, Clone)]
pub enum PersonCredential {
    /// A session.
    Session(SessionRow),
    /// A personal token.
    AdminToken(AdminTokenRow),
}

impl People {
    /// Replaces all by those of a store that was opened.
    pub fn fill(&self, state: &PeopleState) {
        let people = state.people.iter().map(|it| (it.id, Arc::new(it.clone())));
        let sessions = state.sessions.iter().map(|it| (it.token, it.clone()));
        let admin_tokens = state.admin_tokens.iter().map(|it| (it.token, it.clone()));
        self.0.store(Arc::new(KnownPeople {
            people: people.collect(),
            sessions: sessions.collect(),
            admin_tokens: admin_tokens.collect(),
        }));
    }

    /// Applies those changes that concern people.
    pub fn apply(&self, changes: &[Change]) {
        if !changes.iter().any(concerns) {
            return;
        }
        let mut known = KnownPeople::clone(&self.0.load());
        changes.iter().for_each(|it| known.apply(it));
        self.0.store(Arc::new(known));
    }

    /// The person of this id.
    #[must_use]
    pub fn get(&self, id: PersonId) -> Option<Arc<PersonRow>> {
        self.0.load().people.get(&id).cloned()
    }

    /// All people, by their ids.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<PersonRow>> {
        let mut all: Vec<_> = self.0.load().people.values().cloned().collect();
        all.sort_by_key(|it| it.id);
        all
    }

    /// The personal tokens of a person, or of all people, newest first.
    #[must_use]
    pub fn admin_tokens(&self, of: Option<PersonId>) -> Vec<AdminTokenRow> {
        let known = self.0.load();
        let wanted = known.admin_tokens.values().filter(|it| of.is_none_or(|of| it.person == of));
        let mut wanted: Vec<_> = wanted.cloned().collect();
        wanted.sort_by_key(|it| std::cmp::Reverse((it.created_at, it.id)));
        wanted
    }

    /// The sessions of a person that have not expired, newest first.
    #[must_use]
    pub fn sessions(&self, of: PersonId, now: UnixTime) -> Vec<SessionRow> {
        let known = self.0.load();
        let own = known.sessions.values().filter(|it| it.person == of && now < it.expires_at);
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_by_key(|it| std::cmp::Reverse((it.created_at, it.token.0)));
        own
    }

    /// One personal token.
    #[must_use]
    pub fn admin_token(&self, id: AdminTokenId) -> Option<AdminTokenRow> {
        self.0.load().admin_tokens.values().find(|it| it.id == id).cloned()
    }

    /// The person, not disabled, whom this token authenticates now.
    #[must_use]
    pub fn of_token(
        &self,
        token: &PlainSecret,
        now: UnixTime,
    ) -> Option<(PersonId, PersonCredential)> {
        let shown = token.reveal();
        let known = self.0.load();
        let (person, expires_at, credential) = if shown.starts_with(SESSION) {
            let it = known.sessions.get(&hash(token))?.clone();
            (it.person, it.expires_at, PersonCredential::Session(it))
        } else if shown.starts_with(ADMIN_TOKEN) {
            let it = known.admin_tokens.get(&hash(token))?.clone();
            (it.person, it.expires_at, PersonCredential::AdminToken(it))
        } else {
            return None;
        };
        let is_there = known.people.get(&person).is_some_and(|it| !it.disabled);
        (is_there && now < expires_at).then_some((person, credential))
    }

    /// Whether both hold the same.
    #[cfg(test)]
    pub fn is_like(&self, other: &Self) -> bool {
        **self.0.load() == **other.0.load()
    }
}

/// Whether a change concerns people.
fn concerns(change: &Change) -> bool {
    matches!(
        change,
        Change::Person { .. }
            | Change::PersonDeleted { .. }
            | Change::Session { .. }
            | Change::SessionEnded { .. }
            | Change::AdminToken { .. }
            | Change::AdminTokenDeleted { .. }
    )
}

impl KnownPeople {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Person { person } => {
                self.people.insert(person.id, Arc::new(person.clone()));
            }
            Change::PersonDeleted { person } => {
                self.people.remove(person);
            }
            Change::Session { session } => {
                self.sessions.insert(session.token, session.clone());
            }
            Change::SessionEnded { token } => {
                self.sessions.remove(token);
            }
            Change::AdminToken { admin_token } => {
                self.admin_tokens.insert(admin_token.token, admin_token.clone());
            }
            Change::AdminTokenDeleted { id } => self.admin_tokens.retain(|_, it| it.id != *id),
            _ => {}
        }
    }
}
