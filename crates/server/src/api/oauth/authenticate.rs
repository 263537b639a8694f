//! Authenticates the channel of a request.

use super::{
    client::ClientCredential,
    error::{Challenge, OAuthError, Presented},
};
use crate::api::{call::Call, subject};
use tegata_token::id::{ChannelId, Group};

/// The channel that a request is from.
pub struct Client {
    /// The channel.
    pub channel: ChannelId,
    /// The only group whose tokens it may ask about and revoke: that of its assertion key.
    pub group: Option<Group>,
}

/// Authenticates the channel of a request.
pub async fn authenticate(call: &Call, credential: ClientCredential) -> Result<Client, OAuthError> {
    match credential {
        ClientCredential::Secret { is_basic, id, secret } => {
            subject::set(id);
            let presented = Presented::Secret(is_basic.then_some(Challenge::Basic));
            let checked = call.app.check_secret(id, &secret, call.source).await;
            let channel = checked.map_err(|error| OAuthError::of(error, presented))?;
            Ok(Client { channel: channel.id, group: None })
        }
        ClientCredential::Assertion(assertion) => {
            subject::set(assertion.channel());
            let checked = call.app.authority.check_assertion(&assertion).await;
            let (channel, group) =
                checked.map_err(|error| OAuthError::of(error, Presented::Assertion))?;
            Ok(Client { channel: channel.id, group })
        }
        ClientCredential::None | ClientCredential::Bearer => Err(not_authenticated()),
    }
}

/// The error for a request without the credential of a channel.
pub fn not_authenticated() -> OAuthError {
    OAuthError::invalid_client(
        Some(Challenge::Basic),
        "authenticate as a channel: by client_id and client_secret, in Basic authentication or \
         in the form, or by client_assertion",
    )
}
