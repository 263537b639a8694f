//! Receipt, in English.

use crate::{html, named::InstanceStanding as S, texts::ReceiptTexts};

pub const TEXTS: ReceiptTexts = ReceiptTexts {
    title: "Receipt",
    lead: |position| html!("Shows which verifiers have applied change {}.", position),
    what: "What was changed",
    in_audit: "Show in the audit log",
    complete: "Done. No verifier accepts what was revoked any more.",
    pending: "Done. Not acknowledged by every verifier yet.",
    complete_stamp: "Complete",
    pending_stamp: "Pending",
    so_far: |safe, all| match all {
        1 if safe == 1 => "The only instance can no longer accept it.".to_owned(),
        1 => "The only instance may still accept it.".to_owned(),
        _ => format!("{safe} of {all} instances can no longer accept it."),
    },
    no_verifiers: "No verifier had to apply it: none was registered that keeps its own copy.",
    effective: "In effect from",
    position: "Position",
    in_log: "in the change log",
    instances: "Verifier instances and their states",
    verifier: "Verifier",
    instance: "Instance",
    acknowledged: "Acknowledged",
    details: "Details",
    state: |it| match it {
        S::Acknowledged => "acknowledged",
        S::Waiting => "waiting",
        S::LeaseExpired => "lease expired",
        S::MayStillAccept => "may still accept",
        S::CannotApply => "cannot apply",
        S::Stopped => "stopped",
        S::Removed => "removed",
    },
    no: "no",
    not_yet: "not yet",
    lease_expired: "It has not polled for so long that it rejects all tokens.",
    waiting: "It has not polled since the change.",
    may_still_accept_short: "may still accept",
    may_still_accept: "It accepts tokens by stale data. Stop this instance or block its traffic.",
    again: "Show again",
    follows: "With JavaScript, this page updates automatically.",
    download: "Download signed receipt",
    download_hint: "A JWT signed with the active signing key; the public keys are at \
                    /.well-known/jwks.json.",
    another: "Look up another token",
    audit: "View audit log",
    since: |at| {
        html!("This server, and every proxy that queries it, has applied the change since {}.", at)
    },
    signature_only: "Clients that check only the signature (JWKS) receive no revocations. They \
                     accept a revoked token until it expires.",
};
