//! Why a message cannot be read.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a message of the feed cannot be read, and so cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not a message of the feed.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It has an object of a type that this version does not speak.
    #[error("does not speak the type `{name}` of `{member}`")]
    UnknownType {
        /// The member with the object.
        member: &'static str,
        /// The object's type.
        name: String,
    },
    /// It is of another version of the feed.
    #[error("does not speak version {0} of the feed")]
    Version(u32),
    /// It is longer than allowed.
    #[error("{0} bytes, of which at most {1} are allowed")]
    TooLong(usize, usize),
}

/// The members whose objects have a `type`, and the types that this version speaks.
const TYPES: [(&str, &[&str]); 7] = [
    ("keys", &["ed25519"]),
    ("key", &["ed25519"]),
    ("channels", &["channel"]),
    (
        "cutoffs",
        &[
            "channel",
            "kind",
            "kind-group",
            "kind-without-group",
            "group",
            "assertion-key",
            "secret",
        ],
    ),
    ("revoked", &["token"]),
    ("revoked_ids", &["token-id"]),
    ("change", &["nothing", "revoked", "cutoff", "state", "forget", "signing-key"]),
];

/// Reads a message, and finds the reason if that fails.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let other_version = message.get("feed").and_then(Value::as_u64);
        let other_version = other_version.filter(|it| *it != u64::from(super::VERSION));
        if let Some(version) = other_version.and_then(|it| u32::try_from(it).ok()) {
            return Unreadable::Version(version);
        }
        unknown_type(&message).unwrap_or_else(|| Unreadable::Malformed(error.to_string()))
    })
}

/// The first object of a type that this version does not speak.
fn unknown_type(value: &Value) -> Option<Unreadable> {
    match value {
        Value::Array(items) => items.iter().find_map(unknown_type),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let here = TYPES.into_iter().find(|(member, _)| member == name);
            let other = here.and_then(|(member, known)| {
                let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                let mut types = items.iter().filter_map(|it| it.get("type")?.as_str());
                let name = types.find(|it| !known.contains(it))?.to_owned();
                Some(Unreadable::UnknownType { member, name })
            });
            other.or_else(|| unknown_type(value))
        }),
        _ => None,
    }
}
