//! Verifiers, in English.

use crate::{html, texts::VerifiersTexts};
use tegata_token::feed::OnStale;

pub const TEXTS: VerifiersTexts = VerifiersTexts {
    title: "Verifiers",
    lead: "A verifier is a service that verifies tokens with its own copy of the revocations. Each \
           running program of it is an instance; a receipt lists all instances that must acknowledge.",
    create: "Create verifier",
    none_yet: "No verifiers yet",
    none_yet_why: "Without a verifier, tokens are verified by this server, which applies revocations \
                   immediately.",
    id: "Verifier ID",
    provider: "Provider",
    all_providers: "all providers",
    max_staleness: "Longest staleness",
    stale_use: "Stale data",
    stale_allowed: "instances may accept tokens by stale data",
    stale_forbidden: "instances do not accept tokens by stale data",
    instances: "Instances",
    no_instances: "No instance has followed yet.",
    instance: "Instance",
    state: "State",
    polled: "Last polled",
    lease: "Lease",
    position: "Position",
    on_stale: "When stale",
    stale_name: |it| match it {
        OnStale::Deny => "denies",
        OnStale::Ask => "asks this server",
        OnStale::Allow => "allows",
    },
    follows: "follows",
    behind: "lease expired",
    faulty: "accepted a revoked token",
    cannot: "cannot apply",
    ago: |length| format!("{length} ago"),
    ahead: |length| format!("{length} left"),
    over: "expired",
    not_since_start: "not since the server started",
    remove: "Remove…",
    delete: "Delete…",
    new_title: "Create verifier",
    new_lead: "The credential of the verifier is shown once, on the next page.",
    name_wrong: "Enter a name of 1 to 100 characters, without control characters.",
    provider_hint: "The 10 digits of a provider’s ID. Empty: the verifier can verify tokens of all \
                    providers.",
    provider_wrong: "Enter the 10 digits of a provider’s ID that exists, or nothing.",
    staleness: "Longest staleness, in seconds",
    staleness_hint: "For how long an instance may use its copy without polling: 1 to 86400.",
    staleness_wrong: "Enter a whole number from 1 to 86400.",
    allow: "Instances may accept tokens by stale data",
    allow_hint: "An instance without a connection then keeps accepting revoked tokens, and no receipt \
                 becomes complete while it is cut off.",
    created: |name| html!("Verifier {} created", name),
    credential: "Credential of the verifier",
    once: "Copy it now: it is not shown again. If it is lost, create another verifier and delete this \
           one.",
    next: "Start an instance",
    back: "All verifiers",
    of: |id| html!("Verifier ID {}", id),
};
