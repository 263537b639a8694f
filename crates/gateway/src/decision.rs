//! The decision about a request, whatever the proxy's protocol is.

use crate::conditions::{BadConditions, Conditions};
use http::{HeaderValue, Response, StatusCode, header};
use std::{borrow::Cow, future::Future, net::IpAddr, sync::Arc};
use tegata_token::{verify::VerifiedClaims, wire::LONGEST};

/// Something that verifies tokens: the authority, or a follower of its feed.
pub trait Verify: Sync {
    /// Takes note of the client whose request is decided about.
    fn note_client(&self, _address: IpAddr) {}

    /// Verifies a token that came from this address, and counts the result unless the token
    /// is active.
    fn verify(
        &self,
        token: &[u8],
        source: IpAddr,
    ) -> impl Future<Output = Result<ActiveToken, NotActive>> + Send;

    /// Counts an active token whose request is let through.
    fn count_let_through(&self, token: &ActiveToken, source: IpAddr);

    /// Counts an active token that does not meet the conditions.
    fn count_denied(&self, token: &ActiveToken);
}

/// A token that is active.
#[derive(Debug, Clone)]
pub struct ActiveToken {
    /// Its claims.
    pub claims: Arc<VerifiedClaims>,
    /// Seconds until it is no longer active, as far as is known now.
    pub expires_in: i64,
    /// Whether it is only known to have been active at an earlier time.
    pub is_stale: bool,
}

/// Why a token is not known to be active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotActive {
    /// It is known not to be active.
    Invalid,
    /// Its state is not known.
    Unknown,
}

/// Why a request is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The proxy's configuration has conditions that are not understood.
    Conditions(BadConditions),
    /// The request has no bearer token.
    NoToken,
    /// The token is longer than any token.
    TooLong,
    /// The token is not active.
    Invalid,
    /// The token does not meet the conditions.
    Denied,
    /// The state of the token is not known.
    Unknown,
}

/// The challenge of a 401 (RFC 6750, section 3).
pub const CHALLENGE: &str = r#"Bearer error="invalid_token""#;
/// Seconds after which a request with a token of unknown state may be repeated.
pub const RETRY_AFTER: &str = "1";

impl Refusal {
    /// The status of the response to the API's client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Conditions(_) | Self::TooLong => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::Invalid => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The message of its body. It has no character that JSON escapes.
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        let words = match self {
            Self::Conditions(bad) => {
                let may = "the query may narrow by kind, channel and group, each of which may be \
                    repeated";
                return format!("{bad}; {may}").into();
            }
            Self::NoToken => {
                "Authorization header required. Must follow the scheme, 'Authorization: Bearer <ACCESS TOKEN>'"
            }
            Self::TooLong => "The access token is longer than 8192 bytes",
            Self::Invalid => {
                "Authentication failed. Confirm that the access token in the authorization header is valid."
            }
            Self::Denied => "Access Denied",
            Self::Unknown => "The service is temporarily unavailable. Try again later.",
        };
        words.into()
    }

    /// The response to the client.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() = self.status();
        let mut add = |name, value| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        add(header::CONTENT_TYPE, "application/json");
        if self.has_challenge() {
            add(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        if self.may_be_repeated() {
            add(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }

    /// LINE's body.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::json!({ "message": self.message() }).to_string()
    }

    /// Whether the response has a [`CHALLENGE`].
    #[must_use]
    pub fn has_challenge(&self) -> bool {
        matches!(self, Self::NoToken | Self::Invalid)
    }

    /// Whether the response has [`RETRY_AFTER`].
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        *self == Self::Unknown
    }
}

/// Decides about a request with this token, if it has one.
///
/// # Errors
/// Why the request is not let through.
pub async fn decide(
    verifier: &impl Verify,
    conditions: Result<Conditions, BadConditions>,
    token: Option<&[u8]>,
    source: IpAddr,
) -> Result<ActiveToken, Refusal> {
    verifier.note_client(source);
    let conditions = conditions.map_err(Refusal::Conditions)?;
    let token = token.ok_or(Refusal::NoToken)?;
    if token.len() > LONGEST {
        return Err(Refusal::TooLong);
    }
    let active = verifier.verify(token, source).await.map_err(|not_active| match not_active {
        NotActive::Invalid => Refusal::Invalid,
        NotActive::Unknown => Refusal::Unknown,
    })?;
    if !conditions.are_met_by(&active.claims) {
        verifier.count_denied(&active);
        return Err(Refusal::Denied);
    }
    verifier.count_let_through(&active, source);
    Ok(active)
}

impl ActiveToken {
    /// The headers that describe the token to the API: names in small letters, values of
    /// visible ASCII. The group is empty if there is none, so that a proxy that copies it
    /// overwrites what the client sent. `x-tegata-stale` is there only for a token that was
    /// verified by a stale view.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let claims = &self.claims;
        let group = claims.group.as_ref().map_or("", |group| group.as_str());
        let stale = self.is_stale.then(|| ("x-tegata-stale", "1".to_owned()));
        [
            ("x-tegata-channel", claims.channel.to_string()),
            ("x-tegata-kind", claims.kind.name().to_owned()),
            ("x-tegata-token-id", claims.id.to_string()),
            ("x-tegata-expires-in", self.expires_in.max(0).to_string()),
            ("x-tegata-group", group.to_owned()),
        ]
        .into_iter()
        .chain(stale)
    }
}
