//! Groups, in English.

use crate::{html, texts::GroupsTexts};
use tegata_policy::{
    idle::IdleUnknown,
    rules::{CAP, WhenFull},
};

pub const TEXTS: GroupsTexts = GroupsTexts {
    intro: "A group is a team or a deployment with its own tokens. By default, a group can have two \
            active tokens of each kind, so that you can deploy a new token while the old one still \
            works. Other groups are not affected.",
    contact: |contact| html!("Contact: {}", contact),
    no_contact: "No contact",
    rule: |cap, when| {
        let tokens = if cap == 1 { "1 token".to_owned() } else { format!("{cap} tokens") };
        match when {
            WhenFull::EvictOldest => {
                format!("Up to {tokens} of each kind; one more evicts the oldest.")
            }
            WhenFull::Deny => format!("Up to {tokens} of each kind; one more is denied."),
        }
    },
    channel_default: "Channel default.",
    own_setting: "Group setting.",
    keys: |count| match count {
        0 => "No assertion key.".to_owned(),
        1 => "1 assertion key.".to_owned(),
        _ => format!("{count} assertion keys."),
    },
    edit: "Open group",
    view_tokens: "View tokens",
    delete: "Delete…",
    older: "older",
    newer: "newer",
    no_replacement: "no replacement",
    free: "free",
    no_tokens: "no tokens",
    rotation: "Rotation in progress",
    issue: "Issue a new token",
    issued: |at| html!("Issued {}.", at),
    wait: "Wait until the older token is idle",
    older_used: |when| format!("The older token was last used {when}."),
    older_never: "The older token has never been used.",
    newer_used: |when| format!("The newer token was last used {when}."),
    newer_never: "The newer token has never been used. Deploy it.",
    idle_when: "The older token is idle when it has not been used for a while and the newer one has \
                been used.",
    is_idle: |at| html!("The older token is idle since {}.", at),
    unknown: |why| match why {
        IdleUnknown::ReportsMissing => {
            "Whether it is idle is not known: an instance of a verifier has not reported any uses yet."
        }
        IdleUnknown::ReportsTooOld => {
            "Whether it is idle is not known: the last report of an instance of a verifier is too old."
        }
        IdleUnknown::UsesLeftOut => {
            "Whether it is idle is not known: a report of an instance of a verifier was incomplete."
        }
    },
    expires_anyway: |at| html!("It expires {} in any case.", at),
    revoke: "Revoke the older token",
    revoke_now: |group| html!("Revoking it now can interrupt {}.", group),
    revoke_safe: "It is no longer used.",
    review: "Review token",
    step_three: "Step 3 on the command line",
    rotate: "Rotate token",
    needs_key: "This requires the assertion key or the channel secret, which the console does not have.",
    all_steps: "The three steps on the command line; the first on the machine that has the key",
    others: "Other groups",
    active: "Active tokens",
    next_expiry: "Next expiry",
    none_yet: "No groups yet",
    none_yet_why: "A group is created by its first token or assertion key: name the group when you \
                   issue the token or register the key.",
    settings: "Settings",
    contact_hint: "Whom to ask about the group’s tokens, for example a channel or an address. Up to \
                   200 characters.",
    contact_wrong: "Enter at most 200 characters, without control characters.",
    cap: "Active tokens of each kind",
    cap_hint: |cap| format!("1 to {CAP}. Empty: the channel default, {cap}."),
    cap_wrong: "Enter a whole number from 1 to 30, or nothing.",
    when_full: "When the limit is reached",
    when_default: "Channel default",
    evict: "Evict the oldest token",
    deny: "Deny the new token",
    save: "Save settings",
    delete_under: "Deletes the group’s settings and assertion keys, and revokes its tokens. The next \
                   page lists them.",
    back: "All groups of the channel",
    tokens: "Active tokens of the group",
};
