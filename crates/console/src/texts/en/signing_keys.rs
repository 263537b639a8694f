//! Signing keys, in English.

use crate::texts::SigningKeysTexts;
use tegata_token::key::KeyState;

pub const TEXTS: SigningKeysTexts = SigningKeysTexts {
    title: "Signing keys",
    lead: "This server signs all tokens with its signing keys. Clients find the public keys at \
           /.well-known/jwks.json.",
    keys: "All signing keys, newest first",
    key: "Key ID",
    state: |it| match it {
        KeyState::Pending => "pending",
        KeyState::Active => "active",
        KeyState::Retired { .. } => "retired",
        KeyState::Revoked => "revoked",
    },
    meaning: |it| match it {
        KeyState::Pending => "Published, and signs after every verifier has it.",
        KeyState::Active => "Signs all new tokens.",
        KeyState::Retired { issued_before: None } => {
            "Signs nothing. Tokens that it signed stay active until they expire."
        }
        KeyState::Retired { issued_before: Some(_) } => {
            "Signs nothing. Of the tokens that it signed, only those from before a recovery are \
             active."
        }
        KeyState::Revoked => "All tokens that it signed are revoked.",
    },
    created: "Created",
    rotate: "Rotate signing key…",
    rotate_under: "Rotate regularly, for example every 90 days. No token is revoked.",
    pending: "A rotation is in progress",
    pending_under: "The pending key signs after every verifier has it. Until then, another rotation is \
                    not possible.",
    revoke: "Revoke…",
    what_states: "Rotation",
};
