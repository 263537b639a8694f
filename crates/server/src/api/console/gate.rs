//! What is in front of every route of the console.

use super::{
    CONSOLE, Console,
    failure::{Failure, status},
    kept::{KeptPage, KeptPages, Place},
    visit::{Visit, here, redirect},
};
use crate::api::{app::App, form::pairs, subject::RequestId};
use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use form_urlencoded::byte_serialize;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use std::sync::Arc;
use tegata_console::{
    FormToken, Frame, Language, Template, Theme,
    pages::{ErrorPage, FormAgain, Trouble},
};
use tegata_token::time::UnixTime;

/// What a page may load and do: nothing but this server's own style sheet, script and
/// images, and forms to this server. No page may be shown in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    connect-src 'self'";

/// Handles a request: a form of another site is rejected, an error becomes a page, and each
/// response gets the headers of the console.
pub async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // What a page before has done may be known to another server only.
    let caught_up = console.authority.catch_up().await;
    let as_of = console.authority.as_of();
    let visit = Visit::of(&console.authority, console.dev, &parts, here(&parts));
    let place = Place::of(&console.kept, as_of, &visit, &parts);
    let id = parts.extensions.get::<RequestId>().map(|it| it.0.to_string());
    let (body, sent) = kept(&parts, body).await;
    let method = parts.method.clone();
    let response = match (caught_up, is_own(&console, &visit, &parts)) {
        (Ok(()), true) => {
            parts.extensions.insert(visit.clone());
            parts.extensions.insert(place);
            next.run(Request::from_parts(parts, body)).await
        }
        (Ok(()), false) => Failure::Trouble(Trouble::Foreign).into_response(),
        (Err(error), _) => Failure::from(error).into_response(),
    };
    let mut response = shown(&console, &visit, &method, response, id, &sent).await;
    for cookie in visit.cookies() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    add_headers(response.headers_mut());
    response
}

/// The page that a request asks for, if it is kept. The HTTP server looks for it before it
/// calls the router, whose layers would cost more than to send the page.
pub fn kept_page(pages: &Arc<KeptPages>, app: &App, parts: &Parts) -> Option<KeptPage> {
    if !super::serves(parts.uri.path()) {
        return None;
    }
    let as_of = app.authority.as_of();
    let here = parts.uri.path_and_query()?.as_str().to_owned();
    let visit = Visit::of(&app.authority, app.dev, parts, here);
    let mut page = Place::of(pages, as_of, &visit, parts)?.shown()?;
    add_headers(page.response.headers_mut());
    Some(page)
}

/// Whether the head of a request has a session, before its body is read.
pub async fn is_signed_in(app: &App, parts: &Parts) -> bool {
    let is_current = app.authority.catch_up().await.is_ok();
    is_current && Visit::of(&app.authority, app.dev, parts, String::new()).session.is_some()
}

/// Whether a request comes from a page of this console, or changes nothing.
///
/// `Origin` must name the host that was asked, or that of the console's or the public address:
/// a proxy may have replaced `Host`. Browsers send it with every form.
fn is_own(console: &Console, visit: &Visit, parts: &Parts) -> bool {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return true;
    }
    let text = |name: &str| parts.headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|it| it != "same-origin") {
        return false;
    }
    let Some(origin) = text("origin") else { return false };
    let host = ["https://", "http://"].iter().find_map(|it| origin.strip_prefix(it));
    let is_host = host.is_some_and(|it| !it.is_empty() && it.eq_ignore_ascii_case(&visit.host));
    let addresses = [Some(console.authority.issuer()), console.authority.console()];
    is_host || addresses.into_iter().flatten().any(|it| is_origin_of(origin, it))
}

/// Whether this is the origin of an address.
fn is_origin_of(origin: &str, address: &str) -> bool {
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let end = address[scheme..].find('/').map_or(address.len(), |at| at + scheme);
    origin.eq_ignore_ascii_case(&address[..end])
}

/// The body, and a copy of one that could be sent again, which is empty if it is long.
async fn kept(parts: &Parts, body: Body) -> (Body, Bytes) {
    if parts.method != Method::POST || body.size_hint().exact().is_none_or(|it| it > AGAIN) {
        return (body, Bytes::new());
    }
    match to_bytes(body, usize::MAX).await {
        Ok(sent) => (Body::from(sent.clone()), sent),
        // The form is rejected as one that lacks fields.
        Err(_) => (Body::empty(), Bytes::new()),
    }
}

/// The longest form that can be sent again.
const AGAIN: u64 = 16_384;

/// Fields that no page repeats.
const SECRETS: [&str; 8] =
    ["password", "old", "new", "code", "totp_secret", "invitation", "text", "key"];

/// The form, for a page from which it is sent again.
fn again(here: &str, sent: &[u8]) -> Option<FormAgain> {
    let fields = pairs(sent).ok().filter(|it| !it.is_empty())?;
    let is_secret = |name: &str| SECRETS.contains(&name);
    if fields.iter().any(|(name, value)| is_secret(name) && !value.is_empty()) {
        return None;
    }
    let owned = fields.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
    Some(FormAgain { action: here.to_owned(), fields: owned.collect() })
}

/// The names of the Admins of the channel or provider whose page was asked for.
async fn admins(visit: &Visit) -> Vec<String> {
    let Some((admin, _)) = &visit.session else { return Vec::new() };
    let mut parts = visit.here.split(['/', '?']).skip(2);
    let names = match (parts.next(), parts.next()) {
        (Some("channels"), Some(id)) => match id.parse() {
            Ok(id) => admin.admins_of_channel(id).await,
            Err(_) => return Vec::new(),
        },
        (Some("providers"), Some(id)) => match id.parse() {
            Ok(id) => admin.admins_of_provider(id),
            Err(_) => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    names.unwrap_or_default()
}

/// The response, or the page of the error that it is.
async fn shown(
    console: &Console,
    visit: &Visit,
    method: &Method,
    mut response: Response,
    id: Option<String>,
    sent: &[u8],
) -> Response {
    let trouble = match response.extensions_mut().remove::<Failure>() {
        None => return response,
        Some(Failure::SignedOut) => {
            visit.forget_session();
            let next: String = byte_serialize(visit.here.as_bytes()).collect();
            return redirect(&format!("/console/sign-in?next={next}"));
        }
        Some(Failure::Trouble(Trouble::Forbidden(_))) => Trouble::Forbidden(admins(visit).await),
        Some(Failure::Trouble(trouble)) => trouble,
    };
    let repeatable = matches!(trouble, Trouble::Unavailable | Trouble::NotNow(_));
    let again = repeatable.then(|| again(&visit.here, sent)).flatten();
    let code = status(&trouble);
    let back = console.form_pages.back(&visit.here, method);
    let here = if *method == Method::POST { back.clone() } else { visit.here.clone() };
    let leads_back = !matches!(
        trouble,
        Trouble::NotFound | Trouble::Forbidden(_) | Trouble::Internal | Trouble::TooMany(_)
    );
    let frame = Frame { here, ..visit.frame() };
    let page = ErrorPage::new(frame, trouble, id).again(again);
    let page = page.back(leads_back.then_some(back).filter(|it| it != CONSOLE));
    let page = page.render().unwrap_or_default();
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let mut page = (code, html, page).into_response();
    if let Some(after) = response.headers_mut().remove(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, after);
    }
    page
}

/// The page of an error that is met before the language of the browser is known.
pub fn bare_error(status: StatusCode, trouble: Trouble) -> Response {
    let frame = Frame {
        language: Language::En,
        theme: Theme::System,
        now: UnixTime(0),
        host: String::new(),
        here: CONSOLE.to_owned(),
        user: None,
        sections: Vec::new(),
        dev: None,
        notice: None,
        form_token: FormToken::new(String::new),
    };
    let page = ErrorPage::new(frame, trouble, None).render().unwrap_or_default();
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let mut response = (status, html, page).into_response();
    add_headers(response.headers_mut());
    response
}

fn add_headers(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` a browser would send `Origin: null` with a form.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_sent_again_with_its_fields_unless_one_is_a_secret() {
        let it = again("/console/x", b"name=a+b&request=0f&code=").unwrap();
        assert_eq!(it.action, "/console/x");
        let fields: Vec<_> = it.fields.iter().map(|(name, it)| (&**name, &**it)).collect();
        assert!(fields.contains(&("name", "a b")) && fields.contains(&("request", "0f")));
        for secret in SECRETS {
            assert!(again("/console/x", format!("name=a&{secret}=s").as_bytes()).is_none());
        }
        assert!(again("/console/x", b"").is_none());
    }

    #[test]
    fn the_origin_of_an_address_is_its_scheme_and_host() {
        let address = "https://tokens.example.com/line";
        assert!(is_origin_of("https://tokens.example.com", address));
        for other in ["http://tokens.example.com", "https://tokens.example.com.evil", "", "null"] {
            assert!(!is_origin_of(other, address), "{other}");
        }
        assert!(is_origin_of("http://127.0.0.1:8080", "http://127.0.0.1:8080"));
    }
}
