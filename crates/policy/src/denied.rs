//! Every reason for which a request can be refused, in one closed list.
//!
//! A refusal says what is so, in words that name the way out. It knows no
//! protocol: each face of the server turns it into its own dialect in one match.

use crate::assertion::BadAssertion;
use tegata_token::kind::Kind;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No channel has this id.
    #[error("there is no channel with this id")]
    UnknownChannel,
    /// The secret is not the channel's.
    #[error("the secret is not this channel's")]
    WrongSecret,
    /// The channel is suspended.
    #[error("the channel is suspended; an administrator can resume it")]
    Suspended,
    /// The assertion names a key that is not registered on the channel that it names.
    #[error("no assertion key with this `kid` is registered on the channel that `iss` names")]
    UnknownAssertionKey,
    /// The assertion breaks a rule.
    #[error("{0}")]
    Assertion(#[from] BadAssertion),
    /// The channel takes each assertion once, and this one was taken.
    #[error("this assertion was used before, and the channel takes each one once; sign a new one")]
    AssertionUsed,
    /// Channels of this type have no tokens of this kind.
    #[error("channels of this type have no {0} tokens")]
    KindNotForChannel(Kind),
    /// This kind is not had by this sort of proof.
    #[error("{0} tokens are not had this way")]
    AuthenticationNotForKind(Kind),
    /// The group asked for is not the one that the assertion key is bound to.
    #[error("the assertion key is bound to another group; leave `group` out")]
    OtherGroupsKey,
    /// The channel has all the tokens of this kind that it may have.
    #[error("the channel has as many live {0} tokens as it may have; revoke one first")]
    Full(Kind),
    /// The group has all the tokens of this kind that it may have.
    #[error("the group has as many live {0} tokens as it may have; revoke one first")]
    GroupFull(Kind),
    /// The channel has all the groups that it may have.
    #[error(
        "the channel has as many groups as it may have; one without live tokens, keys or settings frees its place"
    )]
    TooManyGroups,
    /// The delay of a reissue is out of range.
    #[error("the delay is a whole number of seconds from 0 to 86400")]
    DelayOutOfRange,
    /// The legacy law knows no delay.
    #[error("under the legacy-2020 rules a reissue has no delay")]
    DelayUnderLegacyRules,
    /// The idempotency key was used with other parameters.
    #[error("this Idempotency-Key was used with other parameters; take a new one")]
    IdempotencyMismatch,
    /// The token that the idempotency key stands for has ended.
    #[error("the token issued under this Idempotency-Key has ended; take a new one")]
    IdempotencyInactive,
    /// Too many single endings of stateless tokens are held already.
    #[error(
        "too many single stateless tokens of this channel were ended in a short time; end a group, the kind or the whole channel instead"
    )]
    TooManyStatelessRevocations,
    /// The channel asks faster than it may, or what it asks for rests.
    #[error("this is asked for too fast; try again in {seconds} s")]
    TooFast {
        /// When to try again.
        seconds: u64,
    },
    /// No token, key or group of that name is the channel's.
    #[error("the channel has nothing of that name")]
    NotFound,
}
