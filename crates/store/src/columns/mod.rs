//! How values are encoded in columns, the same in every database: numbers, words, JSON,
//! bytes, checksums. Each database only says how it reads a column of a row.

pub(crate) mod audit;
pub(crate) mod channels;
pub(crate) mod followers;
pub(crate) mod jobs;
pub(crate) mod people;
mod revocations;
pub(crate) mod tokens;
mod value;

pub(crate) use revocations::{read_revocations, revocations_text};
pub(crate) use value::Column;

use crate::Error;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr};
use tegata_policy::secret::HashedSecret;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
};

/// A column holds a value that this program never writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(String);

/// A value that cannot be what was written.
pub(crate) fn damaged<E: Display>(why: E) -> Damaged {
    Damaged(why.to_string())
}

impl From<Damaged> for Error {
    fn from(damaged: Damaged) -> Self {
        Self::Unavailable(damaged.0.into())
    }
}

/// A row that was read.
pub(crate) trait Columns {
    /// Why it cannot be read.
    type Error: From<Damaged>;

    /// A column of numbers; `None`: NULL.
    fn integer(&self, column: &str) -> Result<Option<i64>, Self::Error>;
    /// A column of text; `None`: NULL.
    fn text(&self, column: &str) -> Result<Option<String>, Self::Error>;
    /// A column of bytes; `None`: NULL.
    fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, Self::Error>;
    /// A column of yes and no; `None`: NULL.
    fn flag(&self, column: &str) -> Result<Option<bool>, Self::Error>;

    /// The value of a column, which is NULL in no row.
    fn value<T: Column>(&self, column: &str) -> Result<T, Self::Error> {
        self.optional(column)?.ok_or_else(|| none_in(column))
    }

    /// The value of a column; `None`: NULL.
    fn optional<T: Column>(&self, column: &str) -> Result<Option<T>, Self::Error> {
        T::read(self, column)
    }

    /// A variant of an enum, written as one word.
    fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T, Self::Error> {
        self.optional_word(column)?.ok_or_else(|| none_in(column))
    }

    /// The same; `None`: NULL.
    fn optional_word<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Self::Error> {
        Ok(self.text(column)?.map(from_word).transpose()?)
    }

    /// A value written as JSON.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Self::Error> {
        Ok(from_json(&self.value::<String>(column)?)?)
    }
}

fn none_in<E: From<Damaged>>(column: &str) -> E {
    damaged(format!("no value in the column {column}")).into()
}

/// An enum as its JSON string.
pub(crate) fn word<T: Serialize>(it: T) -> String {
    match serde_json::to_value(it) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("not a word: {other:?}"),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Result<T, Damaged> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(damaged)
}

pub(crate) fn json<T: Serialize>(it: &T) -> String {
    serde_json::to_string(it).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Damaged> {
    serde_json::from_str(text).map_err(damaged)
}

pub(crate) fn parsed<T: FromStr<Err: Display>>(text: String) -> Result<T, Damaged> {
    text.parse().map_err(damaged)
}

pub(crate) fn group(text: Option<String>) -> Result<Option<Group>, Damaged> {
    text.map(parsed).transpose()
}

pub(crate) fn bytes<const N: usize>(blob: Vec<u8>) -> Result<[u8; N], Damaged> {
    blob.try_into().map_err(|_| damaged("a blob of another length"))
}

pub(crate) fn channel_id(number: u64) -> Result<ChannelId, Damaged> {
    ChannelId::from_number(number).ok_or_else(|| damaged("a channel id of more than ten digits"))
}

pub(crate) fn provider_id(number: u64) -> Result<ProviderId, Damaged> {
    ProviderId::from_number(number).ok_or_else(|| damaged("a provider id of more than ten digits"))
}

pub(crate) fn kind(word: &str) -> Result<Kind, Damaged> {
    word.parse().map_err(damaged)
}

pub(crate) fn token_id(blob: Vec<u8>) -> Result<TokenId, Damaged> {
    bytes(blob).map(TokenId)
}

pub(crate) fn assertion_key_id(blob: Option<Vec<u8>>) -> Result<Option<AssertionKeyId>, Damaged> {
    blob.map(|blob| bytes(blob).map(AssertionKeyId)).transpose()
}

pub(crate) fn hash(blob: Vec<u8>) -> Result<HashedSecret, Damaged> {
    bytes(blob).map(HashedSecret::from_stored)
}

/// A signing key's state from its columns.
pub(crate) fn key_state(word: &str, issued_before: Option<i64>) -> Result<KeyState, Damaged> {
    match word {
        "pending" => Ok(KeyState::Pending),
        "active" => Ok(KeyState::Active),
        "retired" => Ok(KeyState::Retired { issued_before: issued_before.map(UnixTime) }),
        "revoked" => Ok(KeyState::Revoked),
        other => Err(damaged(format!("a signing key in state {other}"))),
    }
}
