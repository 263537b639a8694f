//! The cookies: the session, a proof that its person is there, the settings, the notice of the
//! request before, a secret that is shown once, and the ticket of a browser that signs in by an
//! identity provider.

use http::{HeaderMap, HeaderValue, header};
use tegata_policy::secret::PlainSecret;

/// The session of a browser that uses TLS. Browsers accept this name only with `Secure`, from
/// this host, and for every path; so no other host and no one on the network can set it.
const SECURE_SESSION: &str = "__Host-tegata-session";
/// The session without TLS, as on loopback.
const SESSION: &str = "tegata-session";
/// The ticket, by the same rules.
#[cfg(feature = "openid-connect")]
const SECURE_TICKET: &str = "__Host-tegata-ticket";
#[cfg(feature = "openid-connect")]
const TICKET: &str = "tegata-ticket";
/// The proof that the person is there, apart from the session, by the same rules.
const SECURE_PROOF: &str = "__Host-tegata-proof";
const PROOF: &str = "tegata-proof";
/// The colours.
pub const THEME: &str = "tegata-theme";
/// The language.
pub const LANGUAGE: &str = "tegata-language";
/// What the request before has done.
pub const NOTICE: &str = "tegata-notice";
/// A secret that the page shows once, encrypted.
pub const ONCE: &str = "tegata-once";

/// How long the settings are kept, in seconds.
const YEAR: i64 = 31_536_000;

/// The value of a cookie.
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let pairs = texts.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

/// The session of a request; `tls`: whether the request shows that the browser uses TLS.
pub fn session(headers: &HeaderMap, tls: bool) -> Option<PlainSecret> {
    let plain = || (!tls).then(|| get(headers, SESSION)).flatten();
    let found = get(headers, SECURE_SESSION).or_else(plain)?;
    Some(PlainSecret::from_caller(found.to_owned()))
}

/// The cookie of a session for so many seconds; at 0 it is deleted.
pub fn of_session(token: &str, seconds: i64, tls: bool) -> Option<HeaderValue> {
    let (name, secure) = if tls { (SECURE_SESSION, "; Secure") } else { (SESSION, "") };
    let text = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok().map(sensitive)
}

/// The ticket of a browser that signs in by an identity provider; `tls`: whether browsers reach
/// the console by TLS. It returns with a link of the provider, so `SameSite` is not strict.
#[cfg(feature = "openid-connect")]
pub fn ticket(headers: &HeaderMap, tls: bool) -> Option<&str> {
    get(headers, if tls { SECURE_TICKET } else { TICKET })
}

/// The cookie of a ticket for so many seconds; at 0 it is deleted.
#[cfg(feature = "openid-connect")]
pub fn of_ticket(ticket: &str, seconds: i64, tls: bool) -> Option<HeaderValue> {
    let (name, secure) = if tls { (SECURE_TICKET, "; Secure") } else { (TICKET, "") };
    let text =
        format!("{name}={ticket}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok().map(sensitive)
}

/// The proof of a request; `tls`: whether the request shows that the browser uses TLS.
pub fn proof(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let plain = || (!tls).then(|| get(headers, PROOF)).flatten();
    get(headers, SECURE_PROOF).or_else(plain)
}

/// The cookie of a proof for so many seconds.
pub fn of_proof(proof: &str, seconds: i64, tls: bool) -> Option<HeaderValue> {
    let (name, secure) = if tls { (SECURE_PROOF, "; Secure") } else { (PROOF, "") };
    let text = format!("{name}={proof}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok().map(sensitive)
}

/// The cookie of a setting, whose value is a word.
pub fn of_setting(name: &str, value: &str) -> Option<HeaderValue> {
    let text = format!("{name}={value}; Path=/console; Max-Age={YEAR}; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).ok()
}

/// The cookie of a notice, for the page that follows; an empty one deletes it.
pub fn of_notice(value: &str) -> Option<HeaderValue> {
    let seconds = if value.is_empty() { 0 } else { 30 };
    let text =
        format!("{NOTICE}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).ok()
}

/// The cookie of an encrypted secret for so many seconds; at 0 it is deleted. Browsers send it
/// to its page, so that several pages can wait for theirs.
pub fn of_once(page: &str, ticket: &str, seconds: i64, tls: bool) -> Option<HeaderValue> {
    let secure = if tls { "; Secure" } else { "" };
    let text = format!(
        "{ONCE}={ticket}; Path={page}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).ok().map(sensitive)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
