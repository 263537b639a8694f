//! Attempts of clients that are not authenticated: wrong secrets and codes, and reports of
//! leaked tokens.

use super::{
    GUESSERS, Limits,
    bucket::Bucket,
    guess::{GUESSES, Guesses, TooMany, network_of},
    table::{Table, TableEntry},
    wait::{LimitExceeded, SECOND},
    whole,
};
use crate::authority::source::Source;
use std::{net::IpAddr, num::NonZeroU32, time::Instant};
use tegata_token::id::{ChannelId, PersonId, TokenId};

/// Wrong ones that each server allows, however many there are.
const FEWEST: u32 = 3;

/// Reports without a signature from one source: so many at once, and as many per minute.
const REPORTS: u32 = 60;

/// For how long the leak of a token that stays active is not recorded again, in nanoseconds.
const KNOWN: u64 = 3_600 * SECOND;

/// Maximum number of tokens whose leaks are known.
const KNOWN_LEAKS: usize = 16_384;

/// What is counted of reports of leaked tokens.
pub(super) struct Reports {
    unsigned: Table<IpAddr, Bucket>,
    forged: Table<IpAddr, Guesses>,
    known: Table<TokenId, KnownLeak>,
}

/// When the leak of a token was recorded, and whether its reporter was authenticated.
struct KnownLeak(u64, bool);

impl TableEntry for KnownLeak {
    fn is_expired(&self, now: u64) -> bool {
        now.saturating_sub(self.0) >= KNOWN
    }

    fn weight(&self) -> u64 {
        self.0
    }
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            unsigned: Table::new(GUESSERS),
            forged: Table::new(GUESSERS),
            known: Table::new(KNOWN_LEAKS),
        }
    }
}

impl Reports {
    /// Drops expired entries.
    pub(super) fn tidy(&self, now: u64) {
        self.unsigned.tidy(now / 60);
        self.forged.tidy(now);
        self.known.tidy(now);
    }
}

impl Limits {
    /// How many wrong ones this server allows: its part. The servers count apart, so that a client
    /// who tries each of them has no more; but a mistake or two keep a person out of no server.
    fn guesses_here(&self) -> NonZeroU32 {
        self.part(whole(GUESSES)).max(whole(FEWEST))
    }

    /// Takes one report without a signature from the source's bucket.
    ///
    /// # Errors
    /// [`LimitExceeded`]: the bucket is empty.
    pub fn report(&self, source: Source, now: Instant) -> Result<(), LimitExceeded> {
        // A bucket whose time runs sixty times as slowly.
        let now = self.nanoseconds(now) / 60;
        let most = self.part(whole(REPORTS));
        let take = |bucket: &mut Bucket| bucket.take(most, now);
        let taken = self.reports.unsigned.with(network_of(source.0), now, Bucket::default, take);
        if taken.is_err() {
            self.throttled.report.inc();
        }
        taken
    }

    /// Counts a report with a wrong signature or a wrong token.
    ///
    /// # Errors
    /// [`TooMany`] from one source within a minute.
    pub fn forged_report(&self, source: Source, now: Instant) -> Result<(), TooMany> {
        let (most, now) = (self.guesses_here(), self.nanoseconds(now));
        let name = network_of(source.0);
        let added =
            self.reports.forged.with(name, now, || Guesses::new(now), |it| it.add(most, now));
        if added.is_err() {
            self.throttled.report.inc();
        }
        added
    }

    /// Whether the leak of this token was recorded within the last hour, by this server. An
    /// unsigned report hides no signed one, which has more to record.
    #[must_use]
    pub fn is_known_leak(&self, token: TokenId, is_signed: bool, now: Instant) -> bool {
        let now = self.nanoseconds(now);
        let is_known = |it: &mut KnownLeak| !it.is_expired(now) && (it.1 || !is_signed);
        self.reports.known.with_existing(&token, is_known).unwrap_or(false)
    }

    /// Notes that the leak of this token is recorded.
    pub fn note_leak(&self, token: TokenId, is_signed: bool, now: Instant) {
        let now = self.nanoseconds(now);
        let new = || KnownLeak(now, is_signed);
        self.reports.known.with(token, now, new, |it| *it = new());
    }

    /// Counts a wrong secret for a channel that exists or not. The error states whether
    /// throttling begins with this one.
    ///
    /// # Errors
    /// [`TooMany`] wrong secrets.
    pub fn guess(
        &self,
        source: Source,
        channel: ChannelId,
        is_known: bool,
        now: Instant,
    ) -> Result<(), TooMany> {
        let (most, now) = (self.guesses_here(), self.nanoseconds(now));
        let table = if is_known { &self.guesses } else { &self.made_up };
        let name = (network_of(source.0), channel);
        let added = table.with(name, now, || Guesses::new(now), |it| it.add(most, now));
        if added.is_err() {
            self.throttled.guess.inc();
        }
        added
    }

    /// Counts a wrong administrator's token; returns true for the first one in a window
    /// that exceeds what mistakes explain.
    pub fn guess_administrator(&self, source: Source, now: Instant) -> bool {
        let (most, now) = (self.guesses_here(), self.nanoseconds(now));
        let name = network_of(source.0);
        let added =
            self.administrators.with(name, now, || Guesses::new(now), |it| it.add(most, now));
        added.is_err_and(|it| it.begins)
    }

    /// Counts an attempt to sign in.
    ///
    /// # Errors
    /// [`TooMany`] from one source within a minute.
    pub fn sign_in(&self, source: Source, now: Instant) -> Result<(), TooMany> {
        let (most, now) = (self.guesses_here(), self.nanoseconds(now));
        let name = network_of(source.0);
        self.sign_ins.with(name, now, || Guesses::new(now), |it| it.add(most, now))
    }

    /// Counts a code of a person's second factor, if it is wrong: ten within an hour on all servers together. Codes
    /// of six digits can be guessed; only those who know the password get so far.
    ///
    /// # Errors
    /// [`TooMany`], also for a right code.
    pub fn code(&self, person: PersonId, is_right: bool, now: Instant) -> Result<(), TooMany> {
        // A window whose time runs sixty times as slowly.
        let (most, now) = (self.guesses_here(), self.nanoseconds(now) / 60);
        let checked =
            self.codes.with(person, now, || Guesses::new(now), |it| it.check(most, now, is_right));
        checked.map_err(|it| TooMany { wait: LimitExceeded(it.wait.0 * 60), ..it })
    }
}
