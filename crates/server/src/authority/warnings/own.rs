//! Warnings about what belongs to the authority itself, and to no channel.

use super::Policy;
use tegata_store::SigningKeyRow;
use tegata_token::{
    id::SigningKeyId,
    key::KeyState,
    time::{DAY, UnixTime},
};

/// How long before its expiry a TLS certificate is a warning, in seconds.
const CERTIFICATE: i64 = 7 * DAY;

/// How old the newest backup may be, in seconds.
const BACKUP: i64 = 7 * DAY;

/// A warning about the authority itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnWarning {
    /// The active signing key should have been replaced.
    SigningKeyOverdue {
        /// The key.
        kid: SigningKeyId,
        /// Since when it signs.
        active_since: UnixTime,
        /// When its replacement was due.
        due_at: UnixTime,
    },
    /// The TLS certificate expires, or has expired.
    CertificateExpires {
        /// Its expiry.
        expires_at: UnixTime,
    },
    /// The newest file of `tegata backup` is old: who makes them has stopped to.
    BackupOld {
        /// When it was made.
        backed_up_at: UnixTime,
    },
    /// A verifier knows a later position than the store: the store is an older copy.
    StoreWentBackwards {
        /// When a verifier last asked after such a position.
        seen_at: UnixTime,
    },
}

/// What the warnings depend on beside the signing keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnFacts {
    /// The expiry of the TLS certificate.
    pub certificate: Option<UnixTime>,
    /// The time of the newest backup. A store without any is no warning: other programs make
    /// copies, too.
    pub backup: Option<UnixTime>,
    /// When a verifier last asked after a position beyond the end of the log.
    pub beyond_head: Option<UnixTime>,
}

/// The warnings at `now`.
#[must_use]
pub fn find_own(
    keys: &[SigningKeyRow],
    seen: OwnFacts,
    policy: &Policy,
    now: UnixTime,
) -> Vec<OwnWarning> {
    let age = i64::from(policy.signing_key_days).saturating_mul(DAY);
    let active = keys.iter().filter(|it| it.state == KeyState::Active);
    let overdue = active.filter_map(|it| {
        let (kid, active_since, due_at) = (it.id, it.changed_at, it.changed_at.plus(age));
        (due_at < now).then_some(OwnWarning::SigningKeyOverdue { kid, active_since, due_at })
    });
    let soon = seen.certificate.filter(|at| at.since(now) < CERTIFICATE);
    let expires = soon.map(|expires_at| OwnWarning::CertificateExpires { expires_at });
    let old = seen.backup.filter(|at| now.since(*at) > BACKUP);
    let old = old.map(|backed_up_at| OwnWarning::BackupOld { backed_up_at });
    let beyond = seen.beyond_head.filter(|at| now.since(*at) < DAY);
    let went_back = beyond.map(|seen_at| OwnWarning::StoreWentBackwards { seen_at });
    overdue.chain(expires).chain(old).chain(went_back).collect()
}

impl OwnWarning {
    /// The name of the type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SigningKeyOverdue { .. } => "signing-key.overdue",
            Self::CertificateExpires { .. } => "certificate.expiring",
            Self::BackupOld { .. } => "backup.old",
            Self::StoreWentBackwards { .. } => "store.went-backwards",
        }
    }

    /// Since when it applies.
    #[must_use]
    pub fn since(&self) -> UnixTime {
        match self {
            Self::SigningKeyOverdue { due_at, .. } => *due_at,
            Self::CertificateExpires { expires_at } => expires_at.plus(-CERTIFICATE),
            Self::BackupOld { backed_up_at } => backed_up_at.plus(BACKUP),
            Self::StoreWentBackwards { seen_at } => *seen_at,
        }
    }

    /// What to do, for people.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::SigningKeyOverdue { .. } => {
                "replace the signing key: `tegata signing-key rotate`; no token becomes invalid"
            }
            Self::CertificateExpires { .. } => {
                "renew the certificate in its file; the server reads it again by itself"
            }
            Self::BackupOld { .. } => {
                "make a backup: `tegata backup FILE` on the server's machine; then find out why \
                 no other was made"
            }
            Self::StoreWentBackwards { .. } => {
                "find out whether the store was replaced by an older copy, in which revoked tokens \
                 are active again; then recover it with the revocation journal"
            }
        }
    }

    /// The name of its page of the runbooks.
    #[must_use]
    pub const fn runbook(&self) -> &'static str {
        match self {
            Self::SigningKeyOverdue { .. } => "signing-key-overdue",
            Self::CertificateExpires { .. } => "certificate",
            Self::BackupOld { .. } | Self::StoreWentBackwards { .. } => "restore",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_store::WrappedKey;

    const NOW: UnixTime = UnixTime(1_790_000_000);

    fn key(id: u8, state: KeyState, days: i64) -> SigningKeyRow {
        SigningKeyRow {
            id: SigningKeyId([id; 8]),
            public: [0; 32],
            wrapped: WrappedKey(vec![]),
            state,
            created_at: NOW.plus(-days * DAY),
            changed_at: NOW.plus(-days * DAY),
        }
    }

    #[test]
    fn only_an_active_key_is_overdue_and_a_certificate_is_named_a_week_before() {
        let policy = Policy::default();
        let retired = KeyState::Retired { issued_before: None };
        let of = |keys: &[SigningKeyRow], certificate| {
            let found =
                find_own(keys, OwnFacts { certificate, ..OwnFacts::default() }, &policy, NOW);
            found.iter().map(|it| (it.kind(), it.since())).collect::<Vec<_>>()
        };
        let keys = [key(1, retired, 400), key(2, KeyState::Active, 91)];
        assert_eq!(of(&keys, None), [("signing-key.overdue", NOW.plus(-DAY))]);
        assert_eq!(of(&[key(2, KeyState::Active, 90)], None), []);
        assert_eq!(of(&[], Some(NOW.plus(7 * DAY))), []);
        let soon = NOW.plus(7 * DAY - 1);
        assert_eq!(of(&[], Some(soon)), [("certificate.expiring", NOW.plus(-1))]);
        assert_eq!(of(&[], Some(NOW.plus(-1))).len(), 1, "expired");
    }

    #[test]
    fn a_backup_is_old_after_a_week() {
        let of = |at| {
            find_own(
                &[],
                OwnFacts { backup: Some(at), ..OwnFacts::default() },
                &Policy::default(),
                NOW,
            )
        };
        assert_eq!(of(NOW.plus(-7 * DAY)), []);
        let found = of(NOW.plus(-7 * DAY - 1));
        let found: Vec<_> = found.iter().map(|it| (it.kind(), it.since())).collect();
        assert_eq!(found, [("backup.old", NOW.plus(-1))]);
    }

    #[test]
    fn a_store_that_a_verifier_knows_more_than_is_a_warning_for_a_day() {
        let of = |at| {
            let seen = OwnFacts { beyond_head: Some(at), ..OwnFacts::default() };
            find_own(&[], seen, &Policy::default(), NOW)
        };
        let seen_at = NOW.plus(-DAY + 1);
        assert_eq!(of(seen_at), [OwnWarning::StoreWentBackwards { seen_at }]);
        assert_eq!(of(NOW.plus(-DAY)), []);
    }
}
