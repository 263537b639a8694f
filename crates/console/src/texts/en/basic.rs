//! Basic, in English.

use super::common::tokens;
use crate::{html, html::Html, texts::BasicTexts};

pub const TEXTS: BasicTexts = BasicTexts {
    channel_id: "Channel ID",
    secret: "Channel secret",
    secret_under: "Tegata stores only hashes of secrets. You cannot see a secret again.",
    secrets: "Accepted secrets",
    current: "Current",
    previous: "Previous",
    once: "New channel secret",
    once_lead: "Copy the secret now and store it where your program reads it. You will not be \
                able to see it again.",
    keep: "Keep the current secret active for",
    keep_none: "0 hours (stop accepting now)",
    revoke: "Revoke tokens",
    revoke_none: "None",
    revoke_by_secret: "Those that were issued with a secret of this channel",
    revoke_all: "All",
    revoke_all_hint: "Choose this if the secret leaked, because it may have been used to issue \
                      tokens.",
    previous_in_use: "The previous secret is still in use. Rotating the secret now stops it from \
                      working at once, because a channel accepts at most two secrets.",
    previous_there: "Rotating the secret now stops the previous one from working at once, \
                     because a channel accepts at most two secrets.",
    rotate: "Rotate secret",
    rotate_question: |channel, count| match count {
        0 => html!("Rotate the secret of {}?", channel),
        _ => html!("Rotate the secret of {} and revoke {}?", channel, Html::text(&tokens(count))),
    },
    rotate_lead: |length| {
        format!("Nothing has been changed yet. The current secret stays active for {length}.")
    },
    rotate_lead_now: "Nothing has been changed yet. The current secret stops working at once.",
    rotate_keep: "Keep secret",
    previous_question: |channel| html!("Delete the previous secret of {}?", channel),
    previous_lead: "Nothing has been deleted yet. You cannot undo a deletion.",
    previous_button: "Delete previous secret",
    previous_keep: "Keep previous secret",
    in_use: "The previous secret is in use",
    in_use_why: "It was used within the last hour. Afterwards, requests with it are denied \
                 immediately.",
    keys: "Assertion signing keys",
    keys_under: "Public keys for issuing v2.1 and stateless tokens without the channel secret. Up \
                 to 2 for the channel and 2 for each group.",
    no_keys: "No key is registered.",
    kid: "Key ID (kid)",
    scope: "Scope",
    registered: "Registered",
    new_key: "New public key",
    public_key: "Public key (JWK or PEM)",
    public_key_hint: "RSA, 2,048 bits. Private keys are rejected and not stored.",
    private_key: "This is a private key. Enter the public key, and treat this private key as \
                  leaked.",
    keys_full: "Two keys without a group are registered, which is the limit. Enter a group, or \
                first delete a key that is no longer used.",
    group_full: "Two keys are registered with this scope already. First delete the one that is no \
                 longer used, or enter another group.",
    key_there: "This key is registered in this channel already. Use it, or enter another key.",
    group_hint: "Empty: the key is for the whole channel.",
    group_wrong: "Enter 1 to 64 of a-z A-Z 0-9 . _ -, not . or .. alone.",
    register: "Register key",
    new_pair: "New key pair",
    new_pair_why: "The private key is generated in your browser and downloaded. It is not sent to \
                   the server. This requires JavaScript; without it, use the command line.",
    generate: "Generate and download key pair",
    generated: "The private key was downloaded, and the public key is in the form. Register it \
                now.",
    not_generated: "This browser cannot generate a key here. Use the command line.",
    key_question: |kid, count| match count {
        0 => html!("Delete assertion key {}?", kid),
        _ => html!("Delete assertion key {} and revoke {}?", kid, Html::text(&tokens(count))),
    },
    key_name: "Delete key",
    key_lead: "Nothing has been deleted yet. You cannot undo a deletion.",
    key_button: |count| match count {
        0 => "Delete key".to_owned(),
        _ => format!("Delete key and revoke {}", tokens(count)),
    },
    key_keep: "Keep key",
    key_alone: "Delete the key alone; its tokens stay active",
    key_with_tokens: "Delete the key and revoke the tokens that were issued for it",
    suspension: "Suspension and deletion",
    suspend: "Suspend channel",
    suspend_why: "Suspend: all tokens stop working and no tokens can be issued until the channel \
                  is resumed. No token is revoked.",
    suspend_question: |channel, count| match count {
        0 => html!("Suspend {}?", channel),
        _ => html!("Suspend {} with {}?", channel, Html::text(&tokens(count))),
    },
    suspend_lead: "Nothing has been changed yet. You can resume the channel later.",
    suspend_keep: "Keep channel active",
    resume: "Resume channel",
    resume_why: "Resume: tokens that have not expired meanwhile work again.",
    delete: "Delete channel",
    delete_why: "Delete: revokes all active tokens. This cannot be undone. The channel ID is not \
                 used again.",
    delete_question: |channel, count| match count {
        0 => html!("Delete {}?", channel),
        _ => html!("Delete {} and revoke {}?", channel, Html::text(&tokens(count))),
    },
    delete_lead: "Nothing has been deleted yet. You cannot undo a deletion.",
    delete_keep: "Keep channel",
    suspend_instead: "Suspend the channel (you can resume it later)",
};
