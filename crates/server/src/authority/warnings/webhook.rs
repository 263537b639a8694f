//! Delivers warnings to the operator's address, signed and retried, in the form of the
//! Standard Webhooks specification (headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`), for which receivers have libraries.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use serde_json::value::RawValue;
use std::{fmt, time::Duration};
use tegata_policy::secret::sha256;
use tegata_store::DueWarning;
use tegata_token::time::UnixTime;

/// A response that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 6 * 3_600;

/// Where warnings are sent, and what they are signed with.
#[derive(Clone)]
pub struct WebhookSettings {
    /// The address, http or https.
    pub url: Url,
    /// The secret shared with the receiver.
    pub secret: WebhookSecret,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address can contain a password or token.
        write!(f, "Webhook({})", self.url.host_str().unwrap_or("?"))
    }
}

/// The key that signs warnings. It cannot be printed.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

/// The webhook's secret is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a webhook's secret is `whsec_` and base64 of 24 to 64 random bytes; make one with \
     `echo whsec_$(openssl rand -base64 32)`"
)]
pub struct BadSecret;

impl WebhookSecret {
    /// Parses the secret.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let base64 = text.strip_prefix("whsec_").ok_or(BadSecret)?;
        let bytes = STANDARD.decode(base64).map_err(|_| BadSecret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(BadSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// The client for the operator's webhook.
pub struct Webhook {
    settings: WebhookSettings,
    http: Client,
}

/// The result of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver accepted it.
    Taken,
    /// The receiver did not accept it; try again at this time.
    TryAgain(UnixTime),
    /// The receiver did not accept it, and it is obsolete.
    GivenUp,
}

/// The result of sending a test warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestDelivery {
    /// The receiver's host.
    pub host: String,
    /// The status that it answered with.
    pub status: Option<u16>,
    /// Why there is no status.
    pub error: Option<String>,
}

impl TestDelivery {
    /// Whether the receiver accepted it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Webhook {
    /// Creates the client without opening a connection.
    ///
    /// # Errors
    /// The system has no trusted certificates.
    pub fn new(settings: WebhookSettings) -> reqwest::Result<Self> {
        let http = tegata_system::http::client_for(&settings.url).timeout(PATIENCE).build()?;
        Ok(Self { settings, http })
    }

    /// The receiver's host, without the rest of its address, which may contain a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.settings.url.host_str().unwrap_or("?")
    }

    /// Sends a test warning, once. It is like the others but for its type, `test`.
    pub async fn test(&self, now: UnixTime) -> TestDelivery {
        let body = serde_json::json!({
            "type": "test",
            "advice": "this tests the delivery of warnings; nothing is to be done",
        });
        let sent = self.send(&format!("test/{}", now.0), &body.to_string(), now).await;
        TestDelivery {
            host: self.host().to_owned(),
            status: sent.as_ref().ok().map(StatusCode::as_u16),
            error: sent.err(),
        }
    }

    /// Sends one warning; any 2xx counts as accepted.
    pub async fn deliver(&self, warning: &DueWarning, now: UnixTime) -> Delivery {
        match self.send(&warning.name, &warning.body, now).await {
            Ok(status) if status.is_success() => return Delivery::Taken,
            Ok(status) => log_failure(warning, Some(status), "the response was not 2xx"),
            Err(why) => log_failure(warning, None, &why),
        }
        let next = now.plus(pause(warning.attempts));
        if next < warning.keep_until { Delivery::TryAgain(next) } else { Delivery::GivenUp }
    }

    /// Posts a warning; the receiver's status, or why there is none.
    async fn send(&self, name: &str, body: &str, now: UnixTime) -> Result<StatusCode, String> {
        // Retries have the same id, so that a receiver can drop duplicates.
        let digest = sha256(&[name.as_bytes()]);
        let id = format!("msg_{}", HEXLOWER.encode(&digest[..16]));
        let at = Timestamp::from_second(now.0).map(|at| at.to_string()).unwrap_or_default();
        let body = envelope(body, &at);
        let sent = self
            .http
            .post(self.settings.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", now.0)
            .header("webhook-signature", self.settings.secret.sign(&id, now.0, &body))
            .body(body)
            .send()
            .await;
        // Without the address, which may contain a secret. Of the response only the status is
        // read, however long its body is.
        sent.map(|response| response.status()).map_err(|error| cause(&error.without_url()))
    }
}

/// The innermost cause of an error, such as `connection refused`.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

fn log_failure(warning: &DueWarning, status: Option<StatusCode>, why: &str) {
    let status = status.map(|status| status.as_u16());
    tracing::warn!(warning = %warning.name, attempts = warning.attempts + 1, status, why,
        "the webhook did not accept a warning");
}

/// `{"type", "timestamp", "data"}`, as the specification recommends.
fn envelope(body: &str, at: &str) -> String {
    let (kind, data) = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(mut data) => {
            let members = data.as_object_mut();
            let kind = members.and_then(|it| it.remove("type")).unwrap_or_default();
            (kind, data.to_string())
        }
        Err(_) => (serde_json::Value::Null, "{}".to_owned()),
    };
    let data = RawValue::from_string(data).ok();
    serde_json::json!({ "type": kind, "timestamp": at, "data": data }).to_string()
}

/// Seconds until the next attempt: a minute, 4, 16, 64, … and at most six hours.
fn pause(attempts: u32) -> i64 {
    let growing = 4_i64.saturating_pow(attempts).saturating_mul(60);
    growing.min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_marked_as_one() {
        let good = format!("whsec_{}", STANDARD.encode([7; 32]));
        assert!(WebhookSecret::parse(&good).is_ok());
        for bad in ["", "whsec_", "whsec_AAAA", &good[6..], "whsec_not base64!"] {
            assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
        }
    }

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn a_signature_is_the_specifications() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn pauses_grow_up_to_six_hours() {
        let pauses: Vec<i64> = (0..9).map(pause).collect();
        assert_eq!(pauses, [60, 240, 960, 3_840, 15_360, 21_600, 21_600, 21_600, 21_600]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
