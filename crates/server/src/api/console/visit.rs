//! Who sends a request, from which page, and how the answer looks.

use super::{CONSOLE, Console, cookie, failure::Failure};
use crate::authority::{Authority, admin::Admin, random, source::Source};
use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use http::{HeaderValue, StatusCode, header, request::Parts};
use std::sync::{Arc, Mutex, PoisonError};
use tegata_console::{Dev, FormToken, Frame, Language, Section, Theme, User, html::Html};
use tegata_policy::{
    acts::PersonRow,
    permission::{Access, Permission},
};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// A request of a browser.
#[derive(Clone)]
pub struct Visit {
    pub language: Language,
    pub theme: Theme,
    /// The host that the browser asked.
    pub host: String,
    /// The path and query of the page.
    pub here: String,
    /// The scheme and host of the page that sent a form, as the browser names them; else empty.
    pub origin: String,
    /// Whether the request shows that the browser uses TLS.
    pub tls: bool,
    pub source: Option<Source>,
    pub now: UnixTime,
    pub dev: Option<Dev>,
    /// The session, if the request has one.
    pub session: Option<(Admin, Arc<PersonRow>)>,
    /// What the request before has done.
    pub notice: Option<Html>,
    form_token: FormToken,
    /// Cookies to set, whatever the answer is.
    cookies: Arc<Mutex<Vec<HeaderValue>>>,
}

impl Visit {
    /// What a request shows, which is for a page `here`.
    pub fn of(authority: &Arc<Authority>, dev: bool, parts: &Parts, here: String) -> Self {
        let headers = &parts.headers;
        let text = |name: http::HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
        let accepted = text(header::ACCEPT_LANGUAGE).map_or(Language::En, Language::accepted);
        let language = cookie::get(headers, cookie::LANGUAGE).and_then(Language::of);
        let theme = cookie::get(headers, cookie::THEME).and_then(Theme::of);
        let host = parts.uri.authority().map(|it| it.as_str()).or_else(|| text(header::HOST));
        let origin = text(header::ORIGIN).unwrap_or_default().to_owned();
        let tls = origin.starts_with("https://");
        let source = parts.extensions.get::<Source>().copied();
        let session = cookie::session(headers, tls)
            .and_then(|token| authority.admin_in_session(&token, source))
            .and_then(|admin| Some((admin.clone(), admin.own().ok()?)));
        let language = language.unwrap_or(accepted);
        Self {
            language,
            theme: theme.unwrap_or_default(),
            host: host.unwrap_or_default().to_owned(),
            here,
            origin,
            tls,
            source,
            now: authority.now(),
            dev: dev.then(|| Dev { ahead: authority.clock().offset() }),
            session,
            notice: None,
            form_token: FormToken::new(form_token),
            cookies: Arc::default(),
        }
    }

    /// The same once its session has ended, which the browser forgets.
    pub fn signed_out(self) -> Self {
        self.forget_session();
        Self { session: None, ..self }
    }

    /// Lets the browser forget its session under either name: it may have both, for instance if
    /// the server has begun to use TLS, and only a form shows which one counts.
    pub fn forget_session(&self) {
        for tls in [false, true] {
            self.set_cookie(cookie::of_session("", 0, tls));
        }
    }

    /// Sets a cookie with the answer.
    pub fn set_cookie(&self, cookie: Option<HeaderValue>) {
        let mut all = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(cookie);
    }

    /// The cookies to set.
    pub fn cookies(&self) -> Vec<HeaderValue> {
        std::mem::take(&mut self.cookies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether its page shows something that the same request would not show again.
    pub fn shows_own_request(&self) -> bool {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        self.notice.is_some() || self.form_token.is_used() || !cookies.is_empty()
    }

    /// What its page has in common with all pages.
    pub fn frame(&self) -> Frame {
        let person = self.session.as_ref().map(|(_, person)| person);
        Frame {
            language: self.language,
            theme: self.theme,
            now: self.now,
            host: self.host.clone(),
            here: self.here.clone(),
            user: person.map(|it| User { name: it.name.clone(), role: it.operator }),
            sections: person.map(|it| sections(it)).unwrap_or_default(),
            dev: self.dev,
            notice: self.notice.clone(),
            form_token: self.form_token.clone(),
        }
    }
}

/// The token of a page's forms. Without randomness, a form is carried out as often as it is
/// sent.
fn form_token() -> String {
    random::bytes::<16>().map(|it| HEXLOWER.encode(&it)).unwrap_or_default()
}

/// The path and query of a request, which the router has shortened.
pub fn here(parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.chars().next() {
        None => CONSOLE.to_owned(),
        Some('?') => format!("{CONSOLE}{path}"),
        Some(_) => format!("{CONSOLE}/{path}"),
    }
}

/// The sections that a person may see: operators all of them, others those of their channels.
fn sections(person: &PersonRow) -> Vec<Section> {
    let all = Section::BAR.into_iter();
    let of_others = [Section::Overview, Section::LeakDesk, Section::Audit];
    all.filter(|it| person.operator.is_some() || of_others.contains(it)).collect()
}

/// A request that is made in a session.
pub struct SignedIn {
    /// Administration on behalf of the person.
    pub admin: Admin,
    /// The person.
    pub person: Arc<PersonRow>,
    /// The request.
    pub visit: Visit,
    /// When the person used a code in this session, if the browser has the proof.
    pub proven: Option<UnixTime>,
    /// The secret that its page shows once, encrypted.
    pub once: Option<String>,
}

impl FromRequestParts<Arc<Console>> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Console>) -> Result<Self, Failure> {
        let visit = parts.extensions.get::<Visit>().cloned();
        let mut visit = visit.ok_or_else(|| Failure::internal(&"a request without a visit"))?;
        let (admin, person) = visit.session.clone().ok_or(Failure::SignedOut)?;
        if let Some(notice) = cookie::get(&parts.headers, cookie::NOTICE) {
            visit.notice = super::notice::shown(notice, visit.language);
            visit.set_cookie(cookie::of_notice(""));
        }
        let proof = cookie::proof(&parts.headers, visit.tls);
        let proven = proof.and_then(|it| admin.proven_at(it));
        let once = cookie::get(&parts.headers, cookie::ONCE).map(str::to_owned);
        Ok(Self { admin, person, visit, proven, once })
    }
}

impl SignedIn {
    /// What its page has in common with all pages.
    pub fn frame(&self) -> Frame {
        self.visit.frame()
    }

    /// Goes on to a page, which shows what was done.
    pub fn done(&self, notice: super::notice::Notice, path: &str) -> Response {
        self.visit.set_cookie(cookie::of_notice(&notice.encoded()));
        redirect(path)
    }
}

/// Goes on to a page of the console, by `GET`.
pub fn redirect(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static(CONSOLE));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Whether a page offers an act to the person: what the table of permissions says. Whether
/// the act is done is decided by the façade.
pub fn may(
    who: &SignedIn,
    act: Permission,
    provider: Option<ProviderId>,
    channel: Option<ChannelId>,
) -> bool {
    act.verdict(&who.person.roles(provider, channel)) == Access::Allowed
}
