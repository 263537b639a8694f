//! The keys that sign tokens.

use tegata_token::key::KeyState;

#[derive(Debug)]
pub struct SigningKeysTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub keys: &'static str,
    pub key: &'static str,
    pub state: fn(KeyState) -> &'static str,
    pub meaning: fn(KeyState) -> &'static str,
    pub created: &'static str,
    pub rotate: &'static str,
    pub rotate_under: &'static str,
    pub pending: &'static str,
    pub pending_under: &'static str,
    pub revoke: &'static str,
    pub what_states: &'static str,
}
