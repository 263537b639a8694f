//! The root administrator's token where servers share a store: one is in force for all of
//! them, and the store says which. What a server has from its file or its environment counts
//! only as far as it is that one.

use super::TokenSource;
use crate::authority::record;
use data_encoding::HEXLOWER;
use std::sync::PoisonError;
use tegata_policy::secret::PlainSecret;
use tegata_store::{By, Error, ReplaceRootToken, Result, RootTokenHash, RootTokens, Store};
use tegata_token::time::UnixTime;

/// How a server's own token stands to the one that is in force for all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is that one.
    InForce,
    /// It replaces that one, or is the first.
    Replaces,
    /// It was in force, until then.
    Ended(UnixTime),
    /// It is another one.
    Other,
}

/// Decides it for the server's token `own`; `held` is the one that it had before. Only a
/// server that had the token in force can replace it by another one in its file or its
/// environment: to start a server with some token of its own must not end that of all
/// others. One that has ended never comes back.
fn standing(own: &RootTokenHash, held: Option<&RootTokenHash>, known: &RootTokens) -> Standing {
    if known.in_force.as_ref() == Some(own) {
        return Standing::InForce;
    }
    if let Some((_, at)) = known.ended.iter().find(|(ended, _)| ended == own) {
        return Standing::Ended(*at);
    }
    match &known.in_force {
        None => Standing::Replaces,
        Some(in_force) if held == Some(in_force) => Standing::Replaces,
        Some(_) => Standing::Other,
    }
}

impl Standing {
    /// What is wrong with the token.
    fn problem(self) -> Option<String> {
        match self {
            Self::InForce | Self::Replaces => None,
            Self::Ended(at) => Some(format!(
                "the administrator's token of this server was replaced at {}",
                moment(at)
            )),
            // One of a database that was recovered may have been.
            Self::Other => {
                Some("the administrator's token of this server is not the one in force".to_owned())
            }
        }
    }
}

/// What is wrong with the token of a server that does not run, by what the store has.
#[must_use]
pub fn problem_of(own: &PlainSecret, known: &RootTokens) -> Option<String> {
    standing(&record::hash(own.reveal()), None, known).problem()
}

/// Where the token in force is, for people.
pub const PLACE_IN_FORCE: &str = "on the machine on which `tegata admin reset` or `tegata recover \
                                  --revoke-everything` was run last, or of the first server";

/// How often a token is put in force that another server overtakes.
const OVERTAKEN: usize = 3;

impl TokenSource {
    /// Compares this server's token with the one that is in force for all servers that share
    /// the store, and replaces that one, in the name of `by`, where this is meant.
    ///
    /// # Errors
    /// [`Error::Unavailable`](tegata_store::Error::Unavailable).
    pub async fn agree(&self, store: &dyn Store, by: &By) -> Result<()> {
        let Some(own) = self.own() else {
            self.differ("this server has no administrator's token of its own".into());
            return Ok(());
        };
        for _ in 0..OVERTAKEN {
            let known = store.root_tokens().await?;
            let standing = standing(&own, self.held().as_ref(), &known);
            if standing != Standing::Replaces {
                match standing.problem() {
                    None => self.hold(own),
                    Some(why) => self.differ(why),
                }
                return Ok(());
            }
            let act = ReplaceRootToken { new: own, instead_of: known.in_force, by: by.clone() };
            if store.replace_root_token(act).await? {
                self.hold(own);
                // For the request that is handled now; the next one catches up itself.
                let _ = store.catch_up().await;
                return Ok(());
            }
        }
        Err(Error::Unavailable("others replace the administrator's token at the same time".into()))
    }

    /// Whether the token in force, `in_force`, is another one than when this server compared its
    /// own with it.
    #[must_use]
    pub fn is_to_compare(&self, in_force: RootTokenHash) -> bool {
        let is_own = self.own() == Some(in_force);
        is_own != self.difference().is_none()
    }

    /// Why this server's own token is not the one that is in force, with the next step.
    #[must_use]
    pub fn difference(&self) -> Option<String> {
        self.agreement().differs.clone()
    }

    fn agreement(&self) -> std::sync::MutexGuard<'_, Agreement> {
        self.agreement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Option<RootTokenHash> {
        self.agreement().held
    }

    /// Notes that this server has the token in force.
    fn hold(&self, own: RootTokenHash) {
        let was =
            std::mem::replace(&mut *self.agreement(), Agreement { held: Some(own), differs: None });
        if was.differs.is_some() {
            tracing::info!("this server's administrator's token is the one in force again");
        }
    }

    fn differ(&self, why: String) {
        let place = self.place();
        let text = format!(
            "{why}. The one in force, which this server accepts, is {PLACE_IN_FORCE}; copy it to \
             {place}. If none has it, run `tegata admin reset`"
        );
        let mut agreement = self.agreement();
        if agreement.differs.as_ref() != Some(&text) {
            tracing::warn!("{text}");
        }
        // A token that was refused replaces none.
        *agreement = Agreement { held: self.own(), differs: Some(text) };
    }
}

/// What a server knows of the token in force.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// The token that this server had before.
    pub held: Option<RootTokenHash>,
    /// Why its own one is not in force.
    pub differs: Option<String>,
}

/// The hash that a record of an earlier run has in hex digits.
pub(super) fn hash_of(fingerprint: &str) -> Option<RootTokenHash> {
    HEXLOWER.decode(fingerprint.as_bytes()).ok()?.try_into().ok().map(RootTokenHash)
}

fn moment(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at.0).map_or_else(|_| at.0.to_string(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn token(n: u8) -> RootTokenHash {
        RootTokenHash([n; 32])
    }

    #[test]
    fn a_token_is_in_force_or_replaces_the_one_that_its_server_had_or_counts_for_nothing() {
        let (a, b, c) = (token(1), token(2), token(3));
        let at = UnixTime(7);
        let known = RootTokens { in_force: Some(b), ended: vec![(a, at)] };
        for held in [None, Some(&a), Some(&b), Some(&c)] {
            assert_eq!(standing(&b, held, &known), Standing::InForce);
            assert_eq!(standing(&a, held, &known), Standing::Ended(at), "it never comes back");
            let replaces = held == Some(&b);
            let wanted = if replaces { Standing::Replaces } else { Standing::Other };
            assert_eq!(standing(&c, held, &known), wanted);
        }
        assert_eq!(standing(&a, None, &RootTokens::default()), Standing::Replaces, "the first");
    }
}
