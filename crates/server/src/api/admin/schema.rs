//! How the values of this API are described in its OpenAPI document: the forms of
//! ids, times and words, once each.
//!
//! What is written to callers is described where it is written, in `show`; what is
//! read from them beside its reader. A test holds both against the real thing.

use std::borrow::Cow;
use tegata_policy::rules::RULES;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A kind of text: its description, an example, and the pattern that it follows.
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

/// One of a few words.
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
    /// The id of a channel: exactly ten digits. Never used again.
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
    /// A place in the change log.
    Position, "0-42", "^[0-9]+-[0-9]+$"
}
text! {
    /// A moment, after RFC 3339, in UTC.
    Time, "2026-11-26T09:00:00Z", "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
}
text! {
    /// What people call a thing: 1 to 100 characters, no control characters.
    Name, "My shop", "^[^\\x00-\\x1F\\x7F]{1,100}$"
}
text! {
    /// Where the next page of a list begins: what the page before gave as `next`.
    Cursor, "17", "^.+$"
}

word! {
    /// One of the four kinds of channel access token.
    Kind, RULES.map(|rule| rule.name)
}
word! {
    /// What a channel belongs to at LINE; it decides which kinds of token it may have.
    ChannelType, ["messaging-api", "line-login", "mini-app"]
}
word! {
    /// By which law a channel's tokens are counted.
    TokenRules, ["current", "legacy-2020"]
}
word! {
    /// What the next token of a full group does.
    WhenFull, ["evict-oldest", "deny"]
}
word! {
    /// Whether a channel is in use.
    ChannelState, ["active", "suspended"]
}
word! {
    /// Whether a token lives. One that a newer token replaced with a delay is
    /// `active` to the delay's end.
    TokenState, ["active", "expired", "revoked"]
}
word! {
    /// How a token's life ended early.
    RevocationCause, ["requested", "evicted", "reissued"]
}
word! {
    /// What a signing key is good for: it is published and not used yet (`coming`),
    /// signs (`active`), only verifies (`retired`), only verifies what was issued
    /// until some moment (`bounded`), or verifies nothing any more (`removed`).
    SigningKeyState, ["pending", "active", "retired", "bounded", "revoked"]
}

word! {
    /// Whose issuing rests: a group's, that of requests without a group, or that of
    /// all groups beyond the hundred that a channel can have.
    Whose, ["group", "no-group", "other-groups"]
}

/// How fast a channel may be used; null is what the server was set to.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes `ChannelLimits`, and what is read of them")]
pub struct Limits {
    /// Short-lived tokens a second.
    #[schema(minimum = 1, maximum = 1000000)]
    issue_rate_short_lived: Option<u32>,
    /// Of each other operation but the checks, a second.
    #[schema(minimum = 1, maximum = 1000000)]
    issue_rate: Option<u32>,
    /// Of each of LINE's two checks, a second.
    #[schema(minimum = 1, maximum = 1000000)]
    verify_rate: Option<u32>,
    /// So many tokens of a kind in a window, before issuing of it rests; 0 is no bound.
    surge_limit: Option<u32>,
    /// How long the window is.
    #[schema(minimum = 1, maximum = 86400)]
    surge_window_seconds: Option<u32>,
    /// How long issuing rests then.
    #[schema(minimum = 1, maximum = 86400)]
    surge_cooldown_seconds: Option<u32>,
}

/// Changes of a channel; what is absent stays.
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
    /// How many live tokens of a kind a group may have.
    #[schema(minimum = 1, maximum = 30, nullable = false)]
    group_cap: Option<u8>,
    #[schema(value_type = Option<WhenFull>, nullable = false)]
    group_when_full: Option<String>,
    /// Whether assertions must be meant for this server, not for LINE.
    #[schema(nullable = false)]
    own_audience_only: Option<bool>,
    /// Whether each assertion is taken once.
    #[schema(nullable = false)]
    single_use_assertions: Option<bool>,
    /// Of these, too, what is absent stays; what is null goes back to the server's.
    #[schema(nullable = false)]
    limits: Option<Limits>,
}

/// Changes of a group's rules; what is absent stays, what is null goes back to the
/// channel's rule.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what `FromMembers for GroupPatch` reads")]
pub struct GroupChange {
    /// How many live tokens of a kind it may have.
    #[schema(minimum = 1, maximum = 30)]
    cap: Option<u8>,
    #[schema(value_type = Option<WhenFull>)]
    when_full: Option<String>,
    /// Whom to tell of what concerns it.
    #[schema(min_length = 1, max_length = 200)]
    contact: Option<String>,
}

/// What to end within a channel: exactly one of the first six members.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what `FromMembers for Asked<InChannel>` reads")]
pub struct RevocationInChannel {
    /// This token.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// The stored token of this id.
    #[schema(value_type = Option<TokenId>, nullable = false)]
    token_id: Option<String>,
    /// All tokens of this group.
    #[schema(value_type = Option<Group>, nullable = false)]
    group: Option<String>,
    /// All tokens of this kind.
    #[schema(value_type = Option<Kind>, nullable = false)]
    kind: Option<String>,
    /// All tokens asked for with this key.
    #[schema(value_type = Option<AssertionKeyId>, nullable = false)]
    assertion_key: Option<String>,
    /// True: all tokens of the channel.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// Why, for the audit.
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    reason: Option<String>,
    /// How long to wait until every verifier knows.
    #[schema(minimum = 0, maximum = 60, default = 0, nullable = false)]
    wait_seconds: Option<u8>,
    /// End nothing; say how many tokens would end.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}

/// What to end anywhere: exactly one of the first four members.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what `FromMembers for Asked<Anywhere>` reads")]
pub struct RevocationAnywhere {
    /// This token.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// All tokens of this provider's channels.
    #[schema(value_type = Option<ProviderId>, nullable = false)]
    provider_id: Option<String>,
    /// All tokens that this key signed; the key is removed.
    #[schema(value_type = Option<SigningKeyId>, nullable = false)]
    signing_key: Option<String>,
    /// True: everything; all signing keys are removed.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// Why, for the audit.
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    reason: Option<String>,
    /// How long to wait until every verifier knows.
    #[schema(minimum = 0, maximum = 60, default = 0, nullable = false)]
    wait_seconds: Option<u8>,
    /// End nothing; say how many tokens would end.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}
