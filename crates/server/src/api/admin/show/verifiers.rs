//! Verifiers and their instances, as the API shows them.

use super::time::time;
use crate::{
    api::admin::schema,
    authority::{admin::ListedVerifier, feed::ListedInstance},
};
use serde::Serialize;
use tegata_token::{
    feed::OnStale,
    id::{Position, ProviderId, TokenId, VerifierId},
};
use utoipa::ToSchema;

/// A verifier, without its token.
#[derive(Serialize, ToSchema)]
pub struct Verifier {
    #[schema(value_type = schema::VerifierId)]
    verifier_id: VerifierId,
    #[schema(value_type = schema::Name)]
    name: String,
    /// The only provider whose tokens it may verify; null: all.
    #[schema(required, value_type = Option<schema::ProviderId>)]
    provider_id: Option<ProviderId>,
    /// The longest staleness that its instances may use, in milliseconds.
    max_staleness: u32,
    /// Whether its instances may accept tokens by a stale view.
    allow: bool,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// Its instances, oldest first.
    instances: Vec<Instance>,
}

/// A running copy of a program that uses a verifier.
#[derive(Serialize, ToSchema)]
pub struct Instance {
    instance: String,
    /// The longest staleness that it was registered with, in milliseconds.
    staleness: u32,
    #[schema(value_type = schema::OnStale)]
    on_stale: OnStale,
    /// The position that it has acknowledged; null: it has not asked since the server
    /// started.
    #[schema(required, value_type = Option<schema::Position>)]
    position: Option<Position>,
    /// Milliseconds since it last asked, or since the server started.
    age: u64,
    /// Milliseconds until it can no longer be fresh unless it asks again.
    lease: u64,
    /// Why it cannot apply what it received.
    #[schema(required)]
    cannot: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    registered_at: Option<String>,
    /// The address from which it was registered; null: unknown.
    #[schema(required)]
    address: Option<String>,
}

page! {
    /// A page of verifiers.
    Verifiers, verifiers: Verifier
}

/// A new verifier.
#[derive(Serialize, ToSchema)]
pub struct NewVerifier {
    /// Its token. This is the only time that it is shown.
    #[schema(pattern = "^tgv_[0-9a-f]{64}$")]
    verifier_token: String,
    #[serde(flatten)]
    verifier: Verifier,
}

/// How many instances were removed.
#[derive(Serialize, ToSchema)]
pub struct RemovedInstances {
    /// Their number.
    pub removed: usize,
}

impl NewVerifier {
    pub fn new(verifier: tegata_store::VerifierRow, token: &str) -> Self {
        let verifier = &ListedVerifier { verifier, instances: Vec::new() };
        Self { verifier_token: token.to_owned(), verifier: verifier.into() }
    }
}

impl From<&ListedVerifier> for Verifier {
    fn from(ListedVerifier { verifier: it, instances }: &ListedVerifier) -> Self {
        Self {
            verifier_id: it.id,
            name: it.name.clone(),
            provider_id: it.provider,
            max_staleness: it.max_staleness,
            allow: it.allow,
            created_at: time(it.created_at),
            instances: instances.iter().map(Instance::from).collect(),
        }
    }
}

impl From<&ListedInstance> for Instance {
    fn from(it: &ListedInstance) -> Self {
        let ms = |it: std::time::Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        Self {
            instance: it.row.instance.to_string(),
            staleness: it.row.staleness,
            on_stale: it.row.on_stale,
            position: it.position,
            age: ms(it.silent),
            lease: ms(it.lease),
            cannot: it.cannot.clone(),
            registered_at: time(it.row.registered_at),
            address: it.row.address.map(|it| it.to_string()),
        }
    }
}

/// An instance of a verifier that does not follow any more, or is faulty.
#[derive(Serialize, ToSchema)]
pub struct VerifierWarning {
    /// The type: `verifier.accepted-revoked` if it accepted a token although it had learned
    /// that the token is revoked, `verifier.behind` if it does not follow, or
    /// `verifier.may-still-accept` if it may accept tokens by a stale view then.
    #[schema(example = "verifier.behind")]
    r#type: &'static str,
    #[schema(value_type = schema::VerifierId)]
    verifier_id: VerifierId,
    instance: String,
    /// Milliseconds since it last asked, or since the server started.
    age: u64,
    /// Why it cannot apply what it received.
    #[schema(required)]
    cannot: Option<String>,
    /// The revoked token that it accepted last.
    #[schema(required, value_type = Option<schema::TokenId>)]
    accepted_token_id: Option<TokenId>,
    /// What to do.
    advice: &'static str,
}

impl VerifierWarning {
    /// Whether it is of this type.
    pub fn is(&self, kind: &str) -> bool {
        self.r#type == kind
    }
}

impl From<&ListedInstance> for VerifierWarning {
    fn from(it: &ListedInstance) -> Self {
        let (r#type, advice) = match it.row.on_stale {
            _ if it.accepted.is_some() => (
                "verifier.accepted-revoked",
                "stop its program: it is faulty, or shares its instance id with another",
            ),
            OnStale::Allow => (
                "verifier.may-still-accept",
                "restore its connection; or stop its program, and then remove the instance",
            ),
            OnStale::Deny | OnStale::Ask => (
                "verifier.behind",
                "restore its connection, unless its program has stopped: it accepts nothing",
            ),
        };
        let shown = Instance::from(it);
        let (verifier_id, instance) = (it.row.verifier, shown.instance);
        let accepted_token_id = it.accepted.map(|it| it.token);
        let (age, cannot) = (shown.age, shown.cannot);
        Self { r#type, verifier_id, instance, age, cannot, accepted_token_id, advice }
    }
}
