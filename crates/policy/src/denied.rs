//! Every reason for which a request can be denied, in one closed list.
//!
//! The messages state what is wrong and how to proceed. They know no protocol: each API
//! of the server maps the list to its own errors in one match.

use crate::{
    assertion::BadAssertion,
    rules::{CAP, GROUPS, LONGEST_DELAY, MAX_SCOPE_REVOCATIONS},
    text::{LOGIN_RULE, counted},
};
use tegata_token::{
    id::{ChannelId, ProviderId},
    kind::Kind,
};

/// Why a request is denied.
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
    /// The assertion is invalid.
    #[error("{0}")]
    Assertion(#[from] BadAssertion),
    /// The channel accepts each assertion once, and this one was used.
    #[error(
        "this assertion was used before, and the channel accepts each one once; sign a new one"
    )]
    AssertionUsed,
    /// Channels of this type cannot have tokens of this kind.
    #[error("channels of this type have no {0} tokens")]
    KindNotForChannel(Kind),
    /// This kind is not issued for this credential.
    #[error("{0} tokens are not issued for this credential; {next}", next = credential_of(*.0))]
    AuthenticationNotForKind(Kind),
    /// The requested group is not the one that the assertion key is bound to.
    #[error("the assertion key is bound to another group; leave `group` out")]
    OtherGroupsKey,
    /// The channel has reached its cap for this kind.
    #[error("the channel has reached its cap of active {0} tokens; revoke one first")]
    Full(Kind),
    /// The group has reached its cap for this kind.
    #[error("the group has reached its cap of active {0} tokens; revoke one first")]
    GroupFull(Kind),
    /// The channel has reached its maximum number of groups.
    #[error(
        "the channel has reached its maximum of {GROUPS} groups; delete one that is not used any more (`tegata group delete`). One without active tokens, keys and settings counts for up to a day after its last stateless token has expired"
    )]
    TooManyGroups,
    /// The delay of a reissue is out of range.
    #[error("the delay must be a whole number of seconds from 0 to {LONGEST_DELAY}")]
    DelayOutOfRange,
    /// The cap of a group is out of range.
    #[error("the cap of a group must be a whole number from 1 to {CAP}")]
    GroupCapOutOfRange,
    /// The name cannot be one to sign in with.
    #[error("a sign-in name is {LOGIN_RULE}")]
    NotALogin,
    /// The legacy token rules have no delay.
    #[error("under the legacy-2020 rules a reissue has no delay")]
    DelayUnderLegacyRules,
    /// The idempotency key was used with other parameters.
    #[error("this Idempotency-Key was used with other parameters; use a new one")]
    IdempotencyMismatch,
    /// The token that was issued under the idempotency key is not active any more.
    #[error("the token issued under this Idempotency-Key is not active any more; use a new one")]
    IdempotencyInactive,
    /// The channel has reached its maximum of single revocations of stateless tokens.
    #[error(
        "too many single stateless tokens of this channel were revoked in a short time; revoke a group, the kind or the whole channel instead"
    )]
    TooManyStatelessRevocations,
    /// The channel has reached its maximum of revoked groups and assertion keys.
    #[error(
        "the tokens of {MAX_SCOPE_REVOCATIONS} groups and assertion keys of this channel were revoked and may not have expired yet; revoke all tokens of the channel (`tegata token revoke --channel {0} --all`), which replaces these revocations by one"
    )]
    TooManyScopeRevocations(ChannelId),
    /// The provider still has channels.
    #[error(
        "the provider has {}; delete {} first (`tegata channel list --provider {provider}` lists {})",
        counted(*channels, "channel that is not deleted", "channels that are not deleted"),
        if *channels == 1 { "it" } else { "them" },
        if *channels == 1 { "it" } else { "them" }
    )]
    ProviderHasChannels {
        /// The provider.
        provider: ProviderId,
        /// The number of its channels.
        channels: usize,
    },
    /// A rate limit or a cooldown of the channel applies.
    #[error("too many requests of this channel; try again in {seconds} s")]
    LimitExceeded {
        /// After how many seconds to try again.
        seconds: u64,
    },
    /// The channel has no token, key or group of this name.
    #[error("the channel has no token, group or assertion key of this name")]
    NotFound,
}

/// The credential for which tokens of a kind are issued.
fn credential_of(kind: Kind) -> &'static str {
    match kind {
        Kind::V21 => "send an assertion, signed with an assertion key",
        Kind::Stateless => "send an assertion, or the channel's id and secret",
        Kind::ShortLived => "send the channel's id and secret",
        Kind::LongLived => "an administrator issues them: `tegata token reissue`",
    }
}
