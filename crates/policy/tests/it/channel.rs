//! The channel that most cases are about, and requests to it.

use crate::signer::{OWN, Signer};
use std::{collections::BTreeMap, sync::Arc};
use tegata_policy::{
    admit::Live,
    assertion::{AssertionRules, Audience, UnverifiedAssertion},
    authorize::{Credential, Grant, IssueRequest, authorize},
    channel::{Channel, GroupRule, RegisteredKey, Secret},
    denied::Denied,
    rules::{ChannelType, TokenRules},
    secret::PlainSecret,
};
use tegata_token::{
    id::{ChannelId, Group, ProviderId, Serial},
    kind::Kind,
    time::UnixTime,
    view::ChannelState,
};

/// The time at which the cases take place.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// The channel's id.
pub const ID: &str = "1234567890";
/// The channel's secret.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The server's public address.
pub const OWN_URL: &str = "https://tokens.example";

/// A Messaging API channel with one secret and the assertion key [`OWN`].
pub fn channel() -> Channel {
    Channel {
        id: ID.parse().unwrap(),
        provider: ProviderId::from_number(77).unwrap(),
        name: "Shop".into(),
        channel_type: ChannelType::MessagingApi,
        created_at: NOW,
        state: ChannelState::Active,
        rules: TokenRules::Current,
        group_rule: GroupRule::default(),
        own_audience_only: false,
        single_use_assertions: false,
        on_leak: Default::default(),
        limits: Default::default(),
        secrets: vec![Secret { hash: secret(SECRET).hash(), until: None }],
        assertion_keys: vec![registered(&OWN, None)],
        groups: BTreeMap::new(),
        used_groups: Default::default(),
        revision: 1,
        bulk_serial: Serial(0),
    }
}

/// A secret as a client sends it.
pub fn secret(text: &str) -> PlainSecret {
    PlainSecret::from_caller(text.to_owned())
}

/// The key as the channel registers it, bound to a group or not.
pub fn registered(signer: &Signer, group: Option<Group>) -> RegisteredKey {
    RegisteredKey { id: signer.id, group, key: signer.key(), created_at: NOW }
}

/// The channel's id.
pub fn id() -> ChannelId {
    ID.parse().unwrap()
}

/// The group of that name.
pub fn group(name: &str) -> Group {
    name.parse().unwrap()
}

/// The server's addresses that assertions may name as audience.
pub fn audience() -> Arc<Audience> {
    Arc::new(Audience::of(OWN_URL))
}

/// A valid assertion by [`OWN`] for a token with a lifetime of a day.
pub fn assertion() -> Credential {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, OWN.id);
    let claims = format!(
        r#"{{"iss":"{ID}","sub":"{ID}","aud":"https://api.line.me/","exp":{},"token_exp":86400}}"#,
        NOW.0 + 1800
    );
    Credential::Assertion(
        UnverifiedAssertion::parse(&OWN.jws(&header, &claims), AssertionRules::Line).unwrap(),
    )
}

/// The usual credential for a token of the kind.
pub fn usual_credential(kind: Kind) -> Credential {
    match kind {
        Kind::V21 => assertion(),
        Kind::Stateless | Kind::ShortLived => Credential::Secret(secret(SECRET)),
        Kind::LongLived => Credential::Administrator { delay: 0 },
    }
}

/// A request for a token.
pub fn request(kind: Kind, credential: Credential, group: Option<Group>) -> IssueRequest {
    IssueRequest { kind, credential, group, idempotency: None, lifetime: None }
}

/// Authorizes the request with the channel.
pub fn authorized(request: IssueRequest, channel: Channel) -> Result<Grant, Denied> {
    authorize(request, Arc::new(channel), audience(), NOW)
}

/// A grant of the kind for the group, with the usual credential.
pub fn grant(kind: Kind, group: Option<&str>, channel: Channel) -> Grant {
    let request = request(kind, usual_credential(kind), group.map(self::group));
    authorized(request, channel).unwrap()
}

/// An active token of the kind with that serial.
pub fn live(kind: Kind, serial: u64, group: Option<&str>) -> Live {
    Live {
        kind,
        serial: Serial(serial),
        group: group.map(self::group),
        expires_at: NOW.plus(86_400),
    }
}
