//! What a column can hold, and how it is encoded.

use super::{Columns, Damaged, bytes, channel_id, damaged, hash, parsed, provider_id};
use std::net::IpAddr;
use tegata_policy::{
    acts::{PasswordHash, TokenHash, WrappedKey},
    secret::HashedSecret,
};
use tegata_token::{
    feed::InstanceId,
    id::{
        AdminTokenId, AssertionKeyId, ChannelId, Group, PersonId, ProviderId, Serial, SigningKeyId,
        TokenId, VerifierId,
    },
    kind::Kind,
    time::UnixTime,
};

/// A value of a column.
pub(crate) trait Column: Sized {
    /// Reads it; `None`: NULL.
    fn read<R: Columns + ?Sized>(row: &R, column: &str) -> Result<Option<Self>, R::Error>;
}

/// Types by the form that they have in the database: `form type => decoded by`.
macro_rules! columns {
    ($($form:ident $of:ty => $decode:expr),+ $(,)?) => {
        $(impl Column for $of {
            fn read<R: Columns + ?Sized>(
                row: &R,
                column: &str,
            ) -> Result<Option<Self>, R::Error> {
                Ok(row.$form(column)?.map($decode).transpose()?)
            }
        })+
    };
}

columns! {
    integer i64 => Ok::<_, Damaged>,
    integer u64 => number,
    integer u32 => number,
    integer usize => number,
    integer UnixTime => |it| Ok::<_, Damaged>(UnixTime(it)),
    integer Serial => |it| number(it).map(Serial),
    integer ChannelId => |it| channel_id(number(it)?),
    integer ProviderId => |it| provider_id(number(it)?),
    integer PersonId => |it| id(PersonId::from_number(number(it)?), "a person id"),
    integer VerifierId => |it| id(VerifierId::from_number(number(it)?), "a verifier id"),
    integer AdminTokenId =>
        |it| id(AdminTokenId::from_number(number(it)?), "an administrator's token id"),
    flag bool => Ok::<_, Damaged>,
    text String => Ok::<_, Damaged>,
    text PasswordHash => |it| Ok::<_, Damaged>(PasswordHash(it)),
    text Group => parsed,
    text InstanceId => parsed,
    text IpAddr => parsed,
    text Kind => parsed,
    blob Vec<u8> => Ok::<_, Damaged>,
    blob TokenId => |it| bytes(it).map(TokenId),
    blob AssertionKeyId => |it| bytes(it).map(AssertionKeyId),
    blob SigningKeyId => |it| bytes(it).map(SigningKeyId),
    blob TokenHash => |it| bytes(it).map(TokenHash),
    blob HashedSecret => hash,
    blob WrappedKey => |it| Ok::<_, Damaged>(WrappedKey(it)),
}

impl<const N: usize> Column for [u8; N] {
    fn read<R: Columns + ?Sized>(row: &R, column: &str) -> Result<Option<Self>, R::Error> {
        Ok(row.blob(column)?.map(bytes).transpose()?)
    }
}

/// A number that is not negative.
fn number<T: TryFrom<i64>>(it: i64) -> Result<T, Damaged> {
    it.try_into().map_err(|_| damaged(format!("{it} in a column of other numbers")))
}

fn id<T>(found: Option<T>, what: &str) -> Result<T, Damaged> {
    found.ok_or_else(|| damaged(format!("{what} of more than ten digits")))
}
