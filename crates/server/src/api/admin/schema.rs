//! Schemas of this API's OpenAPI document for ids, times and enumerated words.
//!
//! The responses are described in `show`, where they are written; the requests beside
//! their readers. A test compares both with the real ones.

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
    /// The cause of a revocation.
    RevocationCause, ["requested", "evicted", "reissued"]
}
word! {
    /// The state of a signing key: published but not signing yet (`pending`), signing
    /// (`active`), only verifying (`retired`), or not valid any more (`revoked`).
    SigningKeyState, ["pending", "active", "retired", "revoked"]
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

/// The rate and surge limits of a channel; null: the server's limit applies.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes `ChannelLimits`, and what is read of them")]
pub struct Limits {
    /// Short-lived tokens per second.
    #[schema(minimum = 1, maximum = 1000000)]
    issue_rate_short_lived: Option<u32>,
    /// Requests per second for each operation but LINE's two verifications.
    #[schema(minimum = 1, maximum = 1000000)]
    issue_rate: Option<u32>,
    /// Requests per second for each of LINE's two verifications.
    #[schema(minimum = 1, maximum = 1000000)]
    verify_rate: Option<u32>,
    /// Tokens of one kind that can be issued per window before a cooldown begins; 0
    /// disables the limit.
    surge_limit: Option<u32>,
    /// The length of the window.
    #[schema(minimum = 1, maximum = 86400)]
    surge_window_seconds: Option<u32>,
    /// The length of the cooldown.
    #[schema(minimum = 1, maximum = 86400)]
    surge_cooldown_seconds: Option<u32>,
}

/// Changes to a channel; absent members leave their settings unchanged.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what `FromMembers for ChannelPatch` reads")]
pub struct ChannelChange {
    #[schema(value_type = Option<Name>, nullable = false)]
    name: Option<String>,
    #[schema(value_type = Option<TokenRules>, nullable = false)]
    rules: Option<String>,
    #[schema(value_type = Option<ChannelState>, nullable = false)]
    state: Option<String>,
    /// The maximum number of active tokens of a kind in a group.
    #[schema(minimum = 1, maximum = 30, nullable = false)]
    group_cap: Option<u8>,
    #[schema(value_type = Option<WhenFull>, nullable = false)]
    group_when_full: Option<String>,
    /// Whether an assertion's audience must be this server, not LINE.
    #[schema(nullable = false)]
    own_audience_only: Option<bool>,
    /// Whether each assertion is accepted only once.
    #[schema(nullable = false)]
    single_use_assertions: Option<bool>,
    /// Absent limits stay unchanged; null sets the server's limit.
    #[schema(nullable = false)]
    limits: Option<Limits>,
}

/// Changes to a group's settings; absent members leave them unchanged, null sets the
/// channel's setting.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what `FromMembers for GroupPatch` reads")]
pub struct GroupChange {
    /// The maximum number of active tokens of a kind in the group.
    #[schema(minimum = 1, maximum = 30)]
    cap: Option<u8>,
    #[schema(value_type = Option<WhenFull>)]
    when_full: Option<String>,
    /// Whom to contact about the group.
    #[schema(min_length = 1, max_length = 200)]
    contact: Option<String>,
}

/// What to revoke within a channel: exactly one of the first six members.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it describes what `FromMembers for RevocationRequest<InChannel>` reads"
)]
pub struct RevocationInChannel {
    /// The token of this text.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// The stored token with this id.
    #[schema(value_type = Option<TokenId>, nullable = false)]
    token_id: Option<String>,
    /// All tokens of this group.
    #[schema(value_type = Option<Group>, nullable = false)]
    group: Option<String>,
    /// All tokens of this kind.
    #[schema(value_type = Option<Kind>, nullable = false)]
    kind: Option<String>,
    /// All tokens issued for this assertion key.
    #[schema(value_type = Option<AssertionKeyId>, nullable = false)]
    assertion_key: Option<String>,
    /// True: all tokens of the channel.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// The reason, for the audit.
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    reason: Option<String>,
    /// Maximum time to wait until every verifier has acknowledged the revocation.
    #[schema(minimum = 0, maximum = 60, default = 0, nullable = false)]
    wait_seconds: Option<u8>,
    /// Revoke nothing; report how many tokens would be revoked.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}

/// What to revoke in any channel: exactly one of the first four members.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it describes what `FromMembers for RevocationRequest<Anywhere>` reads"
)]
pub struct RevocationAnywhere {
    /// The token of this text.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// All tokens of this provider's channels.
    #[schema(value_type = Option<ProviderId>, nullable = false)]
    provider_id: Option<String>,
    /// All tokens signed by this key; the key is revoked.
    #[schema(value_type = Option<SigningKeyId>, nullable = false)]
    signing_key: Option<String>,
    /// True: all tokens; all signing keys are revoked.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// The reason, for the audit.
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    reason: Option<String>,
    /// Maximum time to wait until every verifier has acknowledged the revocation.
    #[schema(minimum = 0, maximum = 60, default = 0, nullable = false)]
    wait_seconds: Option<u8>,
    /// Revoke nothing; report how many tokens would be revoked.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}
