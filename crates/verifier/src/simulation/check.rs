//! The invariants: what an answer may be, given what is true.

use super::{
    Answer,
    authority::{Authority, Moment, START, nanos},
};
use crate::standing::Use;
use std::{collections::BTreeSet, time::Duration};
use tegata_token::{feed::OnStale, id::ProviderId};

/// How much longer than the staleness a follower may accept: its clock may run slower by a
/// hundredth.
const DRIFT: f64 = 1.011;
/// A follower's time for expiry lags by what its last response took on its way.
const LAG: Duration = Duration::from_secs(6);
const SECOND: Moment = 1_000_000_000;

/// An answer of a follower.
pub(super) struct Given<'a> {
    pub host: usize,
    pub provider: Option<ProviderId>,
    pub wanted: Use,
    pub token: usize,
    /// When the verification began, and when it ended.
    pub began: Moment,
    pub now: Moment,
    pub answer: Answer,
    /// The tokens that this process has called invalid.
    pub refused: &'a mut BTreeSet<usize>,
}

/// Reports the invariant that an answer breaks.
pub(super) fn check(authority: &Authority, given: Given<'_>) -> Result<(), String> {
    let Given { host, provider, wanted, token: index, began, now, answer, refused } = given;
    let token = &authority.tokens[index];
    if token.lost {
        return Ok(());
    }
    let broken = |problem: String| Err(format!("host {host}, token {index}: {problem}"));
    let foreign = provider.is_some_and(|it| it != token.claims.provider);
    let seconds = |since: Moment| (now - since) as f64 / SECOND as f64;
    let expiry = (token.claims.expires_at.0 - START) * SECOND;
    match answer {
        Answer::Active if foreign => broken("accepts a token of another provider".to_owned()),
        Answer::Active => {
            if refused.contains(&index) {
                return broken("accepts a token that it has called invalid".to_owned());
            }
            if token.complete.is_some_and(|it| began > it) {
                return broken("accepts after the receipt was complete".to_owned());
            }
            if wanted.on_stale == OnStale::Allow {
                return Ok(());
            }
            let longest = nanos(wanted.staleness.mul_f64(DRIFT)) + SECOND / 100;
            let over = match (token.revoked, token.from) {
                (Some(at), None) => Some(at + longest),
                // A delayed revocation is in the view by then; its time lags.
                (Some(at), Some(from)) => {
                    let from = (from.0 - START) * SECOND;
                    Some((at + longest).max(from + nanos(LAG)))
                }
                (None, _) => None,
            };
            if let Some(revoked) = token.revoked.filter(|_| over.is_some_and(|it| now > it)) {
                return broken(format!(
                    "accepts {:.3} s after its revocation, with a staleness of {:?}",
                    seconds(revoked),
                    wanted.staleness
                ));
            }
            let lag = nanos(LAG + wanted.staleness);
            if now > expiry + lag {
                return broken(format!("accepts {:.3} s after its expiry", seconds(expiry)));
            }
            Ok(())
        }
        Answer::Invalid => {
            refused.insert(index);
            let known = expiry - SECOND - authority.clock.slack();
            let is_active = token.revoked.is_none() && now < known && !foreign;
            if is_active { broken("calls an active token invalid".to_owned()) } else { Ok(()) }
        }
        Answer::Suspended => {
            let channel = authority.channels.iter().find(|it| it.1 == token.claims.channel);
            // Without a question, a view of less than a second is enough.
            let young = (SECOND as f64 * DRIFT) as Moment;
            let resumed = channel.and_then(|it| it.2).is_some_and(|it| began > it + young);
            if resumed { broken("calls an active channel suspended".to_owned()) } else { Ok(()) }
        }
        Answer::UnknownKey => {
            let known = began > token.key_known;
            if known { broken("calls a published key unknown".to_owned()) } else { Ok(()) }
        }
        Answer::Stale | Answer::Question => Ok(()),
    }
}
