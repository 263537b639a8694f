//! Schemas of this API's OpenAPI document for ids, times and enumerated words.
//!
//! A request's or a response's own type derives its description; these types describe the
//! members whose types are from crates that know nothing of OpenAPI.

use std::borrow::Cow;
use tegata_policy::rules::RULES;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A kind of text: its description, an example, and its pattern.
macro_rules! text {
    ($(#[doc = $doc:literal])* $name:ident, $example:literal, $pattern:literal) => {
        $(#[doc = $doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc,)*).trim()))
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

/// An enumeration of a few words.
macro_rules! word {
    ($(#[doc = $doc:literal])* $name:ident, $words:expr) => {
        $(#[doc = $doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc,)*).trim()))
                    .enum_values(Some($words))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

text! {
    /// The id of a provider: exactly ten digits.
    ProviderId, "2345678901", "^[0-9]{10}$"
}
text! {
    /// The id of a channel: exactly ten digits. Ids are never reused.
    ChannelId, "1234567890", "^[0-9]{10}$"
}
text! {
    /// The name of a group.
    Group, "kitchen", "^[A-Za-z0-9._-]{1,64}$"
}
text! {
    /// The id of a token. Not a secret: knowing it gives no access.
    TokenId, "AAECAwQFBgcICQoLDA0ODw", "^[A-Za-z0-9_-]{22}$"
}
text! {
    /// The `kid` of an assertion signing key: a UUID in lower case.
    AssertionKeyId, "536e453c-aa93-4449-8e90-add2608783c6",
    "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
}
text! {
    /// The `kid` of one of the authority's own signing keys.
    SigningKeyId, "AAECAwQFBgc", "^[A-Za-z0-9_-]{11}$"
}
text! {
    /// The id of a verifier: exactly ten digits.
    VerifierId, "3456789012", "^[0-9]{10}$"
}
text! {
    /// The id of an instance: a running copy of a program that uses a verifier.
    InstanceId, "AAECAwQFBgcICQoLDA0ODw", "^[A-Za-z0-9_-]{22,64}$"
}
text! {
    /// The id of a person: exactly ten digits.
    PersonId, "4567890123", "^[0-9]{10}$"
}
text! {
    /// The id of a personal administrator's token: exactly ten digits. Not a secret.
    AdminTokenId, "5678901234", "^[0-9]{10}$"
}
text! {
    /// The name that a person signs in with.
    Login, "mika@example.com", "^[a-z0-9._@+-]{1,64}$"
}
text! {
    /// A position in the change log.
    Position, "0-42", "^[0-9]+-[0-9]+$"
}
text! {
    /// A time in UTC (RFC 3339).
    Time, "2026-11-26T09:00:00Z", "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
}
text! {
    /// A name for people: 1 to 100 characters, not only blanks, none that controls a
    /// terminal or the direction of writing.
    Name, "My shop",
    "^[^\\x00-\\x1F\\x7F-\\x9F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069\\uFEFF\\uFFF9-\\uFFFB]{1,100}$"
}
text! {
    /// The start of the next page of a list: the `next` of the previous page.
    Cursor, "17", "^.+$"
}

word! {
    /// One of the four kinds of channel access token.
    Kind, RULES.map(|rule| rule.name)
}
word! {
    /// The type of the channel at LINE; it decides which kinds of token the channel can
    /// have.
    ChannelType, ["messaging-api", "line-login", "mini-app"]
}
word! {
    /// The token rules that a channel's tokens follow.
    TokenRules, ["current", "legacy-2020"]
}
word! {
    /// What happens when a token is issued in a full group.
    WhenFull, ["evict-oldest", "deny"]
}
word! {
    /// What a report of a leaked token does: the token is revoked, or stays active and is
    /// named in a warning.
    OnLeak, ["revoke", "flag"]
}
word! {
    /// Whether a channel is active or suspended.
    ChannelState, ["active", "suspended"]
}
word! {
    /// The state of a token. `suspended`: it would be active, but its channel is
    /// suspended. A predecessor that was reissued with a delay is `active` until the end
    /// of the delay.
    TokenState, ["active", "suspended", "expired", "revoked"]
}
word! {
    /// Why a token is in its state.
    TokenReason, crate::authority::admin::Why::CODES
}
word! {
    /// Why it is not known whether a token is idle. `reports-missing`: an instance of a
    /// verifier has not reported uses since the server's start; `reports-too-old`: one has
    /// reported none for minutes; `uses-left-out`: reports were incomplete lately, or an
    /// instance stopped without one.
    IdleUnknown, tegata_policy::idle::IdleUnknown::ALL.map(tegata_policy::idle::IdleUnknown::code)
}
word! {
    /// The cause of a revocation.
    RevocationCause, ["requested", "evicted", "reissued"]
}
word! {
    /// A role in the whole authority. `administrator`: everything; `on-call`: reads
    /// everything and takes away what may be in wrong hands; `auditor`: reads everything.
    OperatorRole, ["administrator", "on-call", "auditor"]
}
word! {
    /// A role in a provider. It gives no access to the provider's channels.
    ProviderRole, ["admin", "member"]
}
word! {
    /// A role in a channel. Mini-app channels have no `member`.
    ChannelRole, ["admin", "member", "tester"]
}
word! {
    /// The state of a person: without a password yet (`invited`), or able to sign in unless
    /// `disabled`.
    PersonState, ["invited", "active", "disabled"]
}
word! {
    /// Whether a person may sign in.
    Access, ["active", "disabled"]
}
word! {
    /// How far a personal token reaches within the roles of its person: it reads (`read`),
    /// takes away as well (`revoke`), or does everything but manage the person's own account
    /// (`full`).
    Rights, ["read", "revoke", "full"]
}
word! {
    /// What an instance does with a view that is older than its staleness.
    OnStale, ["deny", "ask", "allow"]
}
word! {
    /// The state of a signing key: published but not signing yet (`pending`), signing
    /// (`active`), only verifying (`retired`), or not valid any more (`revoked`).
    SigningKeyState, ["pending", "active", "retired", "revoked"]
}

word! {
    /// The order of warnings: by the channels' ids, or by time, newest first.
    WarningOrder, ["channel", "time"]
}
word! {
    /// The state of a receipt: `complete` if no instance of a verifier is left that could
    /// accept what was taken away.
    ReceiptState, ["pending", "complete"]
}
word! {
    /// Whether an instance of a verifier can still accept what was taken away.
    /// `acknowledged`: it has applied the position; `waiting`: it may not have;
    /// `lease-expired`: it has not asked for so long that it treats its own view as stale;
    /// `may-still-accept`: the same, but it may use a stale view; `cannot-apply`: it
    /// reported that; `stopped`: it reported its end; `removed`: an operator removed it.
    InstanceState, [
        "acknowledged", "waiting", "lease-expired", "may-still-accept", "cannot-apply",
        "stopped", "removed",
    ]
}
word! {
    /// Which tokens are revoked with a secret: `none`, those issued for a secret of the
    /// channel (`by-secret`), or `all`. Tokens issued for assertion keys stay with
    /// `by-secret`, and so does the long-lived one, which an administrator issues.
    RevokeTokens, ["none", "by-secret", "all"]
}
word! {
    /// The scope of a cooldown: a group, requests without a group, or all groups beyond
    /// the hundred that a channel can have.
    Whose, ["group", "no-group", "other-groups"]
}
