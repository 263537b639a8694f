//! The channel that most cases are about.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tegata_token::{
    id::{ChannelId, Group},
    time::UnixTime,
};

/// The moment at which the cases take place.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// The server's public address.
pub const OWN_URL: &str = "https://tokens.example";

/// The channel's id.
pub fn id() -> ChannelId {
    "1234567890".parse().unwrap()
}

/// The group of that name.
pub fn group(name: &str) -> Group {
    name.parse().unwrap()
}

/// Base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
