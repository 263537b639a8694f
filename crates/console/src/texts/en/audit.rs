//! Audit, in English.

use crate::texts::AuditTexts;

pub const TEXTS: AuditTexts = AuditTexts {
    title: "Audit log",
    lead: "Administrative actions, newest first. Tokens that clients issue are not recorded here; \
           see the channel’s token list.",
    verify: "Verify log",
    verify_why: "Signed checkpoints show whether a recorded event was changed, removed or added \
                 later.",
    verified: "No recorded event was changed",
    broken: "The log does not match its checkpoints",
    stamp: "Verified",
    counts: |events, checkpoints, pending| {
        format!(
            "{events} events in {checkpoints} checkpoints. {pending} events are not covered by a \
             checkpoint yet."
        )
    },
    public_key: "Store the public key outside Tegata:",
    events: "Events",
    any: "any",
    filter: "Filter events",
    time: "Time",
    actor: "Actor",
    target: "Target",
    details: "Details",
    number: "No.",
    kept: "Events are kept for the time that the server is set to, checkpoints permanently.",
};
