//! The recovery of an old copy of a store: what is asked for, and what was done. Each engine
//! has its own `recover`.

use crate::{
    By, SigningKeyRow,
    audit_event::StoreRecovered,
    journal::{JournalEntry, Torn},
};
use std::{collections::BTreeSet, path::Path};
use tegata_policy::acts::{Recover, Replayed};
use tegata_token::{
    id::{ChannelId, SigningKeyId},
    time::UnixTime,
};

/// How a recovery keeps revoked tokens from becoming active again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery<'a> {
    /// Replays the revocation journal in this file.
    Replay(&'a Path),
    /// Revokes all tokens.
    RevokeEverything {
        /// The revocation journal that records it, if there is one. That of a server on a
        /// database begins anew when the server starts.
        log: Option<&'a Path>,
        /// The store's new time, which may be earlier: without any active token or old
        /// key, no token can become active by it. A database takes its own clock's instead.
        clock: Option<UnixTime>,
    },
}

/// The result of a recovery.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The epoch that began.
    pub epoch: u64,
    /// The highest time that the store had written, in seconds since 1970.
    pub written_at: UnixTime,
    /// Tokens of the old keys are valid only if issued before; `None`: none is.
    pub issued_before: Option<UnixTime>,
    /// How many keys do not sign any more.
    pub old_keys: usize,
    /// How many lines of the revocation journal the store lacked.
    pub lines: usize,
    /// The journal's last line, if it was incomplete and so ignored.
    pub torn: Option<Torn>,
    /// How many stored tokens were revoked: by the lines, or all that were active.
    pub tokens: usize,
    /// Channels whose secret the journal replaced.
    pub secrets: BTreeSet<ChannelId>,
    /// How many assertion keys the journal deleted.
    pub assertion_keys: usize,
    /// Channels that the journal names and the store lacks.
    pub unknown: BTreeSet<ChannelId>,
    /// How many people can no longer sign in, since everything was revoked.
    pub people: usize,
    /// Whether the audit's signing key was lost, so that the next start makes new
    /// checkpoints of all rows with a new key.
    pub audit_begins_anew: bool,
}

impl Recovered {
    /// The result before anything was done.
    pub(crate) fn nothing(epoch: u64, written_at: UnixTime) -> Self {
        Self {
            epoch,
            written_at,
            issued_before: None,
            old_keys: 0,
            lines: 0,
            torn: None,
            tokens: 0,
            secrets: BTreeSet::new(),
            assertion_keys: 0,
            unknown: BTreeSet::new(),
            people: 0,
            audit_begins_anew: false,
        }
    }

    /// Counts a line of the revocation journal that was applied.
    pub(crate) fn count(&mut self, line: &JournalEntry, replayed: &Replayed) {
        self.lines += 1;
        self.tokens += replayed.tokens;
        self.assertion_keys += replayed.assertion_keys;
        if let Some(channel) = line.channel() {
            self.secrets.extend(replayed.secret.then_some(channel));
            self.unknown.extend(replayed.unknown.then_some(channel));
        }
    }

    /// The last act of the recovery that was asked for, when everything else is done.
    /// `replayed`: how many lines of the journal were applied, if one was.
    pub(crate) fn act(&self, asked: &Recover, replayed: Option<usize>) -> Recover {
        let event = StoreRecovered {
            epoch: self.epoch,
            replayed,
            revoked_everything: replayed.is_none(),
            issued_before: self.issued_before,
            revoked: self.tokens,
            audit_begins_anew: self.audit_begins_anew,
        };
        Recover { issued_before: self.issued_before, event, ..asked.clone() }
    }
}

/// The recovery that is asked for. What follows from the store and its journal is not known
/// yet: see [`Recovered::act`].
pub(crate) fn asked(
    clock: Option<UnixTime>,
    successor: SigningKeyRow,
    lost: Vec<SigningKeyId>,
    audit_key_lost: bool,
    by: By,
) -> Recover {
    let event = StoreRecovered {
        epoch: 0,
        replayed: None,
        revoked_everything: false,
        issued_before: None,
        revoked: 0,
        audit_begins_anew: audit_key_lost,
    };
    Recover { issued_before: None, clock, successor, lost, audit_key_lost, event, by }
}

/// The epoch after `last` and those that were `seen` elsewhere, and not below the time `at`
/// in seconds. So two recoveries of copies that know nothing of each other begin different
/// epochs.
pub(crate) fn epoch_after(last: u64, seen: u64, at: UnixTime) -> u64 {
    (last.max(seen) + 1).max(u64::try_from(at.0).unwrap_or(0))
}

/// Tokens must be issued this many seconds before the last time written, since clocks may
/// differ.
pub(crate) const DOUBT: i64 = 5;
