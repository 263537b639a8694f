//! What events about verifiers report.

use serde::{Deserialize, Serialize};
use tegata_token::{feed::InstanceId, id::VerifierId};

/// A verifier that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierCreated {
    /// Its id.
    pub verifier: VerifierId,
    /// Its name.
    pub name: String,
    /// The longest staleness that it may use, in milliseconds.
    pub max_staleness: u32,
    /// Whether it may accept tokens by a stale view.
    pub allow: bool,
}

/// The changed settings of a verifier; unchanged ones are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierChanged {
    /// Its id.
    pub verifier: VerifierId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The longest staleness that it may use, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_staleness: Option<u32>,
    /// Whether it may accept tokens by a stale view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<bool>,
}

/// A verifier and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierNamed {
    /// Its id.
    pub verifier: VerifierId,
    /// Its name.
    pub name: String,
}

/// Instances that an operator removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancesRemoved {
    /// Their verifier.
    pub verifier: VerifierId,
    /// The one that was named; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// How many were removed.
    pub removed: usize,
}
