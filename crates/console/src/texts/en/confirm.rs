//! Confirm, in English.

use super::common::tokens;
use crate::texts::ConfirmTexts;

pub const TEXTS: ConfirmTexts = ConfirmTexts {
    confirmation: "Confirmation",
    nothing_yet: "Nothing has been changed yet.",
    reason: "Reason",
    reason_hint: "Recorded in the audit log and shown when a token is looked up. Up to 500 \
                  characters.",
    reason_hint_short: "Recorded in the audit log. Up to 500 characters.",
    reason_wrong: "Enter up to 500 characters, without characters that control a terminal or the \
                   direction of writing.",
    wait: "Wait for verifiers",
    wait_option: |seconds| match seconds {
        0 => "Do not wait".to_owned(),
        _ => format!("Up to {seconds} seconds"),
    },
    again_hint: "6 digits from your authenticator, or a recovery code. Required because you \
                 signed in more than 10 minutes ago.",
    again_missing: "You signed in more than 10 minutes ago. Enter a code to go on.",
    again_wrong: "The code is wrong, or it was used before. Wait for the next one.",
    aside: "Command line and alternatives",
    alternatives: "Alternatives",
    tokens: "Tokens to revoke",
    tokens_to_suspend: "Tokens that stop working until you resume the channel",
    no_tokens: "No stored token is active.",
    token_id: "Token ID",
    channel: "Channel",
    kind: "Kind",
    group: "Group",
    issued: "Issued",
    expires: "Expires",
    more: |count| format!("{} more that are not shown.", tokens(count)),
    stateless_too: "Stateless tokens are revoked, too. They are not stored, so they cannot be \
                    counted. They are valid for at most 15 minutes.",
    stateless_suspended: "Stateless tokens stop working, too. They are not stored, so they cannot \
                          be counted. They are valid for at most 15 minutes.",
    in_use: |count| match count {
        1 => "1 token is in use".to_owned(),
        _ => format!("{count} tokens are in use"),
    },
    in_use_why: "Used within the last hour. Afterwards, requests with these tokens are rejected \
                 immediately.",
};
