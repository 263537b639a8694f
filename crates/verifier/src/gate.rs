//! Decides whether a request is let through, by the bearer token in its header.

use crate::driver::{NotAccepted, VerifiedToken};
use tegata_gateway::{conditions::Conditions, decision::Refusal};
use tegata_token::wire::LONGEST;

/// Rejects a token that is longer than any.
///
/// # Errors
/// [`Refusal::TooLong`].
pub(crate) fn fits(token: &[u8]) -> Result<&[u8], Refusal> {
    if token.len() > LONGEST { Err(Refusal::TooLong) } else { Ok(token) }
}

/// Applies the conditions to the result of a verification.
///
/// # Errors
/// Why the request is not let through.
pub(crate) fn admit(
    verified: Result<VerifiedToken, NotAccepted>,
    conditions: &Conditions,
) -> Result<VerifiedToken, Refusal> {
    let verified = verified.map_err(|denied| match denied {
        NotAccepted::Invalid(_) | NotAccepted::Inactive => Refusal::Invalid,
        NotAccepted::Unknown(_) => Refusal::Unknown,
    })?;
    if conditions.are_met_by(&verified.claims) { Ok(verified) } else { Err(Refusal::Denied) }
}

#[cfg(feature = "blocking")]
mod blocking {
    use super::{admit, fits};
    use crate::driver::{BlockingVerifier, NotAccepted, VerifiedToken};
    use std::{net::IpAddr, sync::Arc};
    use tegata_gateway::{
        bearer,
        conditions::{BadConditions, Conditions},
        decision::Refusal,
    };

    /// Verifies the bearer token of each request, in a program without a Tokio runtime.
    #[derive(Clone)]
    pub struct BlockingGate {
        verifier: Arc<BlockingVerifier>,
        conditions: Arc<Conditions>,
    }

    impl BlockingGate {
        /// Lets requests through whose tokens meet the conditions: pairs of the name `kind`,
        /// `channel` or `group` and a value of which one is required.
        ///
        /// # Errors
        /// A condition is not understood.
        pub fn new<'a>(
            verifier: Arc<BlockingVerifier>,
            conditions: impl IntoIterator<Item = (&'a str, &'a str)>,
        ) -> Result<Self, BadConditions> {
            let conditions = Arc::new(Conditions::of_lists(conditions)?);
            Ok(Self { verifier, conditions })
        }

        /// Decides from memory alone about a request with these `Authorization` headers.
        /// `None`: that needs a response of the authority, for which [`BlockingGate::verify`]
        /// waits.
        #[must_use]
        pub fn recall(
            &self,
            authorization: &[&[u8]],
            source: Option<IpAddr>,
        ) -> Option<Result<VerifiedToken, Refusal>> {
            match token(authorization) {
                Ok(token) => Some(self.conclude(self.verifier.recall(token)?, source)),
                Err(refusal) => Some(Err(refusal)),
            }
        }

        /// Decides about a request; waits as [`BlockingVerifier::verify`] does.
        ///
        /// # Errors
        /// Why the request is not let through.
        pub fn verify(
            &self,
            authorization: &[&[u8]],
            source: Option<IpAddr>,
        ) -> Result<VerifiedToken, Refusal> {
            self.conclude(self.verifier.verify(token(authorization)?), source)
        }

        /// Decides about a request, but no thread waits: `done` is called as by
        /// [`BlockingVerifier::verify_then`].
        pub fn verify_then(
            &self,
            authorization: &[&[u8]],
            source: Option<IpAddr>,
            done: impl FnOnce(Result<VerifiedToken, Refusal>) + Send + 'static,
        ) {
            let gate = self.clone();
            match token(authorization) {
                Ok(token) => self.verifier.verify_then(token.to_vec(), move |verified| {
                    done(gate.conclude(verified, source));
                }),
                Err(refusal) => done(Err(refusal)),
            }
        }

        fn conclude(
            &self,
            verified: Result<VerifiedToken, NotAccepted>,
            source: Option<IpAddr>,
        ) -> Result<VerifiedToken, Refusal> {
            let verified = admit(verified, &self.conditions)?;
            self.verifier.record_use(&verified.claims, source);
            Ok(verified)
        }
    }

    /// The token of the only header.
    fn token<'a>(authorization: &[&'a [u8]]) -> Result<&'a [u8], Refusal> {
        match authorization {
            [only] => fits(bearer::token(only).ok_or(Refusal::NoToken)?),
            _ => Err(Refusal::NoToken),
        }
    }
}

#[cfg(feature = "blocking")]
pub use blocking::BlockingGate;
