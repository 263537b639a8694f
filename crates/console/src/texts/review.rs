//! The confirmation of what takes something away.

use crate::html::{Bdi, Html, Id};
use tegata_token::{
    id::{AssertionKeyId, SigningKeyId, TokenId, VerifierId},
    kind::Kind,
};

#[derive(Debug)]
pub struct ReviewTexts {
    pub revoke_token: fn(Id<TokenId>) -> Html,
    pub revoke_group: fn(usize, Bdi<'_>) -> Html,
    pub revoke_kind: fn(usize, Kind) -> Html,
    pub revoke_key: fn(usize, Id<AssertionKeyId>) -> Html,
    pub revoke_channel: fn(usize, Bdi<'_>) -> Html,
    pub delete_group: fn(usize, Bdi<'_>) -> Html,
    pub revoke_signing_key: fn(usize, Id<SigningKeyId>) -> Html,
    pub delete_verifier: fn(Bdi<'_>, Id<VerifierId>) -> Html,
    pub remove_instance: fn(Id<&str>, Bdi<'_>) -> Html,
    pub rotate_signing_key: &'static str,
    pub revoke_short: &'static str,
    pub not_undone: &'static str,
    pub one_stateless_short: &'static str,
    pub one_stateless: &'static str,
    pub keys_go: &'static str,
    pub revoke: fn(usize) -> String,
    pub keep: fn(usize) -> &'static str,
    pub delete_group_do: &'static str,
    pub keep_group: &'static str,
    pub delete_verifier_do: &'static str,
    pub keep_verifier: &'static str,
    pub remove_do: &'static str,
    pub keep_instance: &'static str,
    pub revoke_key_do: &'static str,
    pub keep_key: &'static str,
    pub rotate_do: &'static str,
    pub do_not_rotate: &'static str,
    pub delete_verifier_why: &'static str,
    pub remove_why: &'static str,
    pub revoke_signing_key_why: &'static str,
    pub rotate_why: &'static str,
    pub only_token: fn(Id<TokenId>) -> Html,
    pub suspend: &'static str,
}
