//! Whether a token is idle: its clients use a newer token of its group instead.

use tegata_token::time::UnixTime;

/// How long after its end a minute must be reported by every verifier, in seconds. Verifiers
/// report once a minute, each minute once it is over.
pub const REPORTS_WITHIN: i64 = 180;

/// Whether a token is idle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Idle {
    /// It is in use, not replaced, or not active.
    #[default]
    No,
    /// It was not used since then, and a newer one was.
    Since(UnixTime),
    /// Not all uses are known.
    Unknown(IdleUnknown),
}

impl Idle {
    /// Since when it is idle.
    #[must_use]
    pub const fn since(self) -> Option<UnixTime> {
        match self {
            Self::Since(at) => Some(at),
            Self::No | Self::Unknown(_) => None,
        }
    }

    /// Why it is not known whether it is idle.
    #[must_use]
    pub const fn unknown(self) -> Option<IdleUnknown> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::No | Self::Since(_) => None,
        }
    }
}

/// Why it is not known whether a token is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleUnknown {
    /// An instance of a verifier has not reported any uses to this process yet.
    ReportsMissing,
    /// The last report of an instance of a verifier is too old.
    ReportsTooOld,
    /// Uses were lost or left out of a report lately, or an instance stopped without a report.
    UsesLeftOut,
}

impl IdleUnknown {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ReportsMissing, Self::ReportsTooOld, Self::UsesLeftOut];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ReportsMissing => "reports-missing",
            Self::ReportsTooOld => "reports-too-old",
            Self::UsesLeftOut => "uses-left-out",
        }
    }
}

/// When a token was issued and last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUse {
    /// When it was issued.
    pub issued_at: UnixTime,
    /// The last use that is known. Verifiers report the start of the minute.
    pub last_used_at: Option<UnixTime>,
}

/// Which uses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownUses {
    /// Whether an instance has not reported yet.
    pub is_missing: bool,
    /// Until when every instance has reported.
    pub through: UnixTime,
    /// The last time when uses could be lost.
    pub left_out: Option<UnixTime>,
}

impl KnownUses {
    /// All uses until now.
    #[must_use]
    pub const fn all(now: UnixTime) -> Self {
        Self { is_missing: false, through: now, left_out: None }
    }

    /// What is known with another source of uses.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            is_missing: self.is_missing || other.is_missing,
            through: self.through.min(other.through),
            left_out: self.left_out.max(other.left_out),
        }
    }
}

/// Decides whether an active token is idle at `now`: it was not used for `after` seconds, and
/// in that time one of the `newer` active tokens of its group was.
#[must_use]
pub fn idle(
    token: LastUse,
    newer: &[LastUse],
    known: KnownUses,
    after: i64,
    now: UnixTime,
) -> Idle {
    let used = token.last_used_at.unwrap_or(token.issued_at);
    if newer.is_empty() || now.since(used) < after {
        return Idle::No;
    }
    if known.is_missing {
        return Idle::Unknown(IdleUnknown::ReportsMissing);
    }
    if now.since(known.through) > REPORTS_WITHIN {
        return Idle::Unknown(IdleUnknown::ReportsTooOld);
    }
    // A use that was lost can be one of this token.
    let quiet_from = known.left_out.map_or(used, |at| at.max(used));
    if known.through.since(quiet_from) < after {
        return match quiet_from == used {
            true => Idle::No,
            false => Idle::Unknown(IdleUnknown::UsesLeftOut),
        };
    }
    // Uses within one minute have no order.
    let is_later = |at: UnixTime| at.0.div_euclid(60) > quiet_from.0.div_euclid(60);
    match newer.iter().filter_map(|it| it.last_used_at).any(is_later) {
        true => Idle::Since(quiet_from),
        false => Idle::No,
    }
}
