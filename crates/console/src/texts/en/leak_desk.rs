//! Leak desk, in English.

use crate::{html, texts::LeakDeskTexts};
use tegata_policy::acts::TokenState;

pub const TEXTS: LeakDeskTexts = LeakDeskTexts {
    title: "Leak desk",
    lead: "Paste a leaked token, or a text that contains tokens, to see which channel they belong \
           to and who uses them. Then revoke them and get a receipt.",
    leaked: "Leaked token",
    another: "Another token",
    text: "Token, or text with tokens",
    text_hint: "Tokens of any kind, with or without “Bearer”; a log or a diff of up to 1 MiB. The text \
                is sent in the request body. It is not written to logs, browser history or the audit \
                log.",
    look_up: "Look up tokens",
    too_long_why: "The text is longer than 1 MiB. Paste a part of it, or search the file on your \
                   computer with the command below. Nothing was changed.",
    nothing: "No token found",
    nothing_why: |length| {
        format!(
            "The text ({length} characters) contains no token of this server, or an incomplete one. \
             Tegata tokens start with eyJ, tgs_ or tgl_. Nothing was changed. If LINE issued the \
             token, revoke it in the LINE Developers Console."
        )
    },
    foreign: |count| match count {
        1 => "1 token is not of this server".to_owned(),
        _ => format!("{count} tokens are not of this server"),
    },
    foreign_why: "Another server issued them, they are damaged, or they belong to channels that \
                  you may not see. Nothing was changed.",
    forbidden: |count| match count {
        1 => "1 token is of a channel whose tokens you may not read".to_owned(),
        _ => format!("{count} tokens are of channels whose tokens you may not read"),
    },
    forbidden_why: "This server issued them. Give the text to an Admin of your channels or to the \
                    person on call, who can look them up and revoke them. Nothing was changed.",
    more: |count| match count {
        1 => "1 more token".to_owned(),
        _ => format!("{count} more tokens"),
    },
    more_why: "They were not looked up. Revoke the tokens above, remove them from the text, and look \
               up the rest.",
    found: |count| match count {
        1 => "1 token found".to_owned(),
        _ => format!("{count} tokens found"),
    },
    heading: |state| match state {
        TokenState::Active => "Active token",
        TokenState::Suspended => "Token of a suspended channel",
        TokenState::Expired => "Expired token",
        TokenState::Revoked => "Revoked token",
    },
    accepted: "still accepted",
    rejected: "not accepted",
    why: |code| match code {
        "valid" => "It is accepted until it expires.",
        "valid-until-revoked" => {
            "It does not expire: it is accepted until it is revoked or reissued."
        }
        "valid-for-delay" => {
            "A newer token has replaced it; it is accepted until the delay is over."
        }
        "expired" => "Its lifetime is over. No action is needed.",
        "revoked-and-expired" => {
            "It was revoked and would have expired by now. No action is needed."
        }
        "channel-suspended" => {
            "Its channel is suspended. It is accepted again when the channel is resumed."
        }
        "channel-deleted" => "Its channel was deleted. No action is needed.",
        "signing-key-revoked" => "The signing key that signed it was revoked. No action is needed.",
        "signing-key-limited" => {
            "The server was restored from an older copy, and this token was issued after that copy \
             was made. No action is needed."
        }
        "evicted" => "A newer token evicted it when the limit was reached. No action is needed.",
        "reissued" => "A newer long-lived token has replaced it. No action is needed.",
        "revoked" => "It was revoked. No action is needed.",
        "revoked-with-others" => "It was revoked together with others. No action is needed.",
        _ => "It is not valid.",
    },
    occurrences: |count| format!("found {count} times"),
    deleted_channel: "deleted channel",
    in_group: |group| html!(", group {}", group),
    of_provider: |provider| html!(", provider {}", provider),
    used_by: "The owner or an attacker: the usage data does not show which.",
    not_recorded: "Uses of stateless tokens are not recorded.",
    affected: "Who is affected?",
    who_group: |group| html!("Clients of group {} that use this token.", group),
    who_channel: |channel| {
        html!("Clients of {} that use this token. It belongs to no group.", channel)
    },
    newer_unused: |id| {
        html!(
            "Token {} is newer and has never been used: deploy it. You do not need to issue another one.",
            id
        )
    },
    newer_used: |id| html!("Token {} is newer and is in use.", id),
    no_newer: "There is no newer token to replace it: issue one first, or accept the interruption.",
    ask: |contact| html!("Contact: {}.", contact),
    others_found: "Other tokens that were found",
    found_one: |id, channel| html!("Token {} of channel {}", id, channel),
    revocation: "Revocation",
    revocation_under: "Choose the smallest scope that covers the leak. The next page lists what is \
                       revoked. Nothing is revoked until you confirm.",
    this: "Revoke this token…",
    group: |group| format!("Revoke all tokens of group {group}…"),
    key: "Revoke all tokens issued with its assertion key…",
    kind: |kind| format!("Revoke all {} tokens of the channel…", kind.name()),
    channel: "Revoke all tokens of the channel…",
    suspend: "Suspend the channel",
    suspend_hint: "Revokes nothing. All tokens of the channel stop working until you resume it.",
    key_hint: "If the private key may have leaked, delete it in Basic settings, too.",
    channel_hint: "If the channel secret may have leaked, rotate it in Basic settings, too.",
    other_secrets: "Other secrets in the text",
    admin_token: "A root administrator’s token: replace it on the server with `tegata admin reset`.",
    verifier_token: "A verifier’s token: create another verifier, then delete this one.",
    person_token: "A personal token, a session or an invitation: delete the token, or disable the person.",
    private_key: "A private key: if it is registered in a channel, delete it there and revoke its tokens.",
    packed: "An archive in base64, which was not searched: unpack it, and search its content.",
    other: "Did something else leak?",
    what: "What leaked",
    what_to_do: "What to do",
    rows: [
        (
            "Tokens of one deployment, an assertion key, or a channel secret",
            "Open the channel: revoke the tokens of the group, delete the key, or rotate the secret.",
            "/console",
            "Choose channel",
        ),
        (
            "Signing key of this server",
            "Revoke the key. All tokens signed with it are revoked, in every channel.",
            "/console/signing-keys",
            "View signing keys",
        ),
        (
            "A verifier’s credential",
            "Create another verifier, deploy its credential, and delete the old verifier.",
            "/console/verifiers",
            "View verifiers",
        ),
        (
            "Not sure",
            "Suspend the channel. All its tokens stop working until you resume it.",
            "/console",
            "Choose channel",
        ),
    ],
    file: "Tokens in a file",
    file_why: "This command finds tokens in files and archives without contacting the server. It \
               prints their IDs, not the tokens.",
    on_your_computer: "On your computer",
};
