//! Tokens, in English.

use crate::{html, texts::TokensTexts};
use tegata_policy::rules::{ChannelType, WhenFull};

pub const TEXTS: TokensTexts = TokensTexts {
    counts: "Active tokens and limits",
    of: |cap| format!("of {cap}"),
    of_cap: |active, cap| {
        format!("{active} of {cap} {}", if cap == 1 { "token" } else { "tokens" })
    },
    and: " and ",
    full: |cap, when| {
        let next = cap + 1;
        let nth = match (next % 10, next % 100) {
            (1, it) if it != 11 => "st",
            (2, it) if it != 12 => "nd",
            (3, it) if it != 13 => "rd",
            _ => "th",
        };
        match when {
            WhenFull::Deny => format!("A {next}{nth} token is denied."),
            WhenFull::EvictOldest => format!("A {next}{nth} token evicts the oldest."),
        }
    },
    previous: |when| format!("The previous token expires {when}."),
    no_limit: "no limit",
    stateless: "Valid for 15 minutes. Not stored, so not listed. Revoking a group, a kind or all \
                tokens includes them.",
    not_available: "not available",
    only_for: |it| match it {
        ChannelType::MessagingApi => "Only for Messaging API channels.",
        ChannelType::LineLogin => "Only for LINE Login channels.",
        ChannelType::MiniApp => "Only for LINE MINI App channels.",
    },
    timeline: "Timeline",
    by_expiry: "Groups by next expiry",
    elapsed: "elapsed",
    remaining: "remaining, with expiry",
    due: "expires within 3 days",
    today: "today",
    first: |when| format!("first expires {when}"),
    no_active: "no active token",
    no_replacement: "no replacement",
    older_in_use: "older token in use",
    long_lived: "long-lived",
    more_groups: |count| match count {
        1 => "1 more group".to_owned(),
        _ => format!("{count} more groups"),
    },
    all: "All tokens",
    all_kinds: "All kinds",
    all_groups: "All groups",
    key: "Assertion key",
    all_keys: "All keys",
    all_states: "All states",
    filter: "Filter tokens",
    caption: |channel| html!("Tokens of {}, newest first", channel),
    order: "Newest first. Last use is recorded once a minute. Expired and revoked tokens are kept \
            for some days.",
    older: "Older tokens",
    newest: "Newest tokens",
    none_yet: "No tokens yet",
    none_yet_why: "Tokens issued with the channel secret or with a registered assertion key are \
                   listed here.",
    none_found: "No token matches this filter.",
    bulk: "Bulk revocation",
    what: "Tokens to revoke",
    of_group: "All tokens of a group",
    of_kind: "All tokens of one kind",
    of_key: "All tokens issued with one assertion key",
    of_channel: "All tokens of this channel",
    which: "Group, kind or key ID",
    which_hint: "Not needed for all tokens of this channel.",
    which_wrong: |names| match names {
        "" => "The channel has no such group, kind or key. There is none.".to_owned(),
        _ => format!("The channel has no such group, kind or key. There is: {names}."),
    },
    review: "Review tokens",
    first_token: "Issue a first token",
};
