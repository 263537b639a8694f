//! Review, in English.

use super::common::tokens;
use crate::{html, html::Html, texts::ReviewTexts};

pub const TEXTS: ReviewTexts = ReviewTexts {
    revoke_token: |id| html!("Revoke token {}?", id),
    revoke_group: |count, group| html!("Revoke {} of group {}?", of(count), group),
    revoke_kind: |count, kind| html!("Revoke {} of kind {}?", of(count), Html::text(kind.name())),
    revoke_key: |count, key| html!("Revoke {} issued with assertion key {}?", of(count), key),
    revoke_channel: |count, channel| html!("Revoke {} of channel {}?", of(count), channel),
    delete_group: |count, group| html!("Delete group {} and revoke {}?", group, of(count)),
    revoke_signing_key: |count, key| html!("Revoke signing key {} and {}?", key, of(count)),
    delete_verifier: |name, id| html!("Delete verifier {} ({})?", name, id),
    remove_instance: |instance, verifier| {
        html!("Remove instance {} of verifier {}?", instance, verifier)
    },
    rotate_signing_key: "Rotate the signing key?",
    revoke_short: "Revoke tokens",
    not_undone: "Nothing has been revoked yet. You cannot undo a revocation.",
    one_stateless_short: "A stateless token",
    one_stateless: "This is a stateless token. It is not stored, so it is not listed. It is valid \
                    for at most 15 minutes.",
    keys_go: "The group’s settings and assertion keys are deleted, too.",
    revoke: |count| {
        format!("Revoke {}", if count == 0 { "tokens".to_owned() } else { tokens(count) })
    },
    keep: |count| if count == 1 { "Keep token" } else { "Keep tokens" },
    delete_group_do: "Delete group",
    keep_group: "Keep group",
    delete_verifier_do: "Delete verifier",
    keep_verifier: "Keep verifier",
    remove_do: "Remove instance",
    keep_instance: "Keep instance",
    revoke_key_do: "Revoke signing key",
    keep_key: "Keep signing key",
    rotate_do: "Rotate signing key",
    do_not_rotate: "Do not rotate",
    delete_verifier_why: "Its credential is rejected immediately, and its instances receive no more \
                          changes. Each instance stays in receipts until its lease has expired.",
    remove_why: "Remove an instance only if its program has stopped for good. After that, no receipt \
                 waits for it. If it still runs, it can accept revoked tokens without being listed.",
    revoke_signing_key_why: "All tokens that this key signed are revoked, in every channel. If the key \
                             is active, another key replaces it immediately.",
    rotate_why: "A new signing key is created and published immediately. It signs tokens after \
                 every verifier has it; then the present key retires. Tokens that the present key \
                 signed stay active until they expire, and no token is revoked.",
    only_token: |id| html!("Revoke only token {}", id),
    suspend: "Suspend the channel (you can resume it later)",
};

fn of(count: usize) -> Html {
    Html::text(&if count == 0 { "all tokens".to_owned() } else { tokens(count) })
}
