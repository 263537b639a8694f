//! Security, in English.

use crate::texts::SecurityTexts;

pub const TEXTS: SecurityTexts = SecurityTexts {
    rules_title: "Rules",
    rules: "Token rules",
    current: "Each kind has its own cap; a channel has one long-lived token.",
    legacy: "LINE’s rules until May 2020: short-lived and long-lived tokens share one cap of 30.",
    group_cap: "Active tokens of one kind in a group",
    when_full: "When a group is full",
    evict: "A new token evicts the oldest",
    deny: "A new token is denied",
    assertions: "Assertions",
    own_audience_only: "Only assertions for this server are accepted",
    own_audience_hint: "Their audience must be this server’s address. Otherwise LINE’s address is \
                        accepted, too.",
    single_use: "Each assertion is accepted once",
    on_leak: "When a scanner reports a leaked token",
    leak_revoke: "The token is revoked",
    leak_flag: "The token stays active, and a warning names it",
    leak_hint: "Either way, the audit records the report, and the webhook gets a warning with \
                the group’s contact.",
    limits_title: "Limits",
    limits_under: "Empty: the server’s limit applies.",
    limits: [
        "Short-lived tokens per second",
        "Requests per second of each other operation",
        "Verifications per second",
        "Tokens of one kind per window before a cooldown begins; 0: no limit",
        "Length of the window, in seconds",
        "Length of the cooldown, in seconds",
    ],
    limit_wrong: |least, most| format!("Enter a whole number from {least} to {most}."),
    servers: "the server’s",
    yes: "yes",
    no: "no",
    save: "Save security settings",
};
