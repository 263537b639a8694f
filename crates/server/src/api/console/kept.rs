//! Pages that are kept in memory as they were sent, so that one that is asked for again costs
//! little more than sending its bytes. Why: `docs/decisions/0032`.
//!
//! The rule, which is here alone: a kept page answers a request of the same person, for the
//! same address, in the same language and colours, [as of](AsOf) the same moment. A page is
//! kept if its type is [`Keepable`], unless it shows something of its own request: what the
//! request before has done, the token of a form, or a cookie that is set.

use super::{
    Answer, cookie,
    failure::Failure,
    visit::{SignedIn, Visit},
};
use crate::authority::as_of::AsOf;
use axum::{
    body::Bytes,
    extract::MatchedPath,
    response::{IntoResponse, Response},
};
use http::{Method, header, request::Parts};
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;
use tegata_console::{Frame, Language, Template, Theme, pages::TokensPage};
use tegata_token::id::{ChannelId, PersonId};

/// A page that may be kept: what it shows besides its frame depends on the person and the
/// address, and on what [`AsOf`] covers. None that shows a secret is one.
pub trait Keepable: Template {
    /// The channel that it is about, for the log.
    fn channel(&self) -> Option<ChannelId>;
}

impl Keepable for TokensPage {
    fn channel(&self) -> Option<ChannelId> {
        Some(self.channel_id())
    }
}

/// Maximum number of bytes of all kept pages.
const BYTES: u64 = 16 * 1024 * 1024;
/// About as many pages as fit.
const PAGES: usize = 256;
/// What a page takes besides its texts.
const EACH: usize = 512;

/// The kept pages.
pub struct KeptPages(Cache<Arc<PageName>, Kept, Weight>);

/// Whose page it is, where, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PageName {
    person: PersonId,
    language: Language,
    theme: Theme,
    host: String,
    here: String,
}

#[derive(Clone)]
struct Kept {
    as_of: AsOf,
    html: Bytes,
    route: MatchedPath,
    channel: Option<ChannelId>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Arc<PageName>, Kept> for Weight {
    fn weight(&self, name: &Arc<PageName>, page: &Kept) -> u64 {
        (page.html.len() + name.host.len() + name.here.len() + EACH) as u64
    }
}

impl Default for KeptPages {
    fn default() -> Self {
        Self(Cache::with_weighter(PAGES, BYTES, Weight))
    }
}

/// A page that was kept, with what the log says of its request.
pub struct KeptPage {
    /// The response, without the headers that all pages have.
    pub response: Response,
    /// The route of the page.
    pub route: MatchedPath,
    /// The channel that it is about.
    pub channel: Option<ChannelId>,
}

/// Where the page of a request is kept.
#[derive(Clone)]
pub struct Place {
    pages: Arc<KeptPages>,
    name: Arc<PageName>,
    as_of: AsOf,
}

impl Place {
    /// The place of the page of a request, if it may have one. `as_of` is from before the
    /// session was looked up.
    pub fn of(
        pages: &Arc<KeptPages>,
        as_of: Option<AsOf>,
        visit: &Visit,
        parts: &Parts,
    ) -> Option<Self> {
        let (_, person) = visit.session.as_ref()?;
        let has_notice = cookie::get(&parts.headers, cookie::NOTICE).is_some();
        if parts.method != Method::GET || has_notice {
            return None;
        }
        // Whatever else a frame shows must be in the name, or covered by `AsOf`.
        let Frame {
            language,
            theme,
            host,
            here,
            now: _,
            user: _,
            sections: _,
            dev: _,
            notice: _,
            form_token: _,
        } = visit.frame();
        let name = PageName { person: person.id, language, theme, host, here };
        Some(Self { pages: pages.clone(), name: Arc::new(name), as_of: as_of? })
    }

    /// The page, if it is kept and still the same.
    pub fn shown(&self) -> Option<KeptPage> {
        let kept = self.pages.0.get(&self.name).filter(|it| it.as_of == self.as_of)?;
        let Kept { as_of: _, html, route, channel } = kept;
        Some(KeptPage { response: response(html), route, channel })
    }

    fn keep(&self, html: Bytes, route: MatchedPath, channel: Option<ChannelId>) {
        self.pages.0.insert(self.name.clone(), Kept { as_of: self.as_of, html, route, channel });
    }
}

/// Renders a page, and keeps it at its place unless it shows something of its own request.
pub fn render(
    who: &SignedIn,
    place: Option<Place>,
    route: MatchedPath,
    page: &impl Keepable,
) -> Answer {
    let html = page.render().map_err(|error| Failure::internal(&error))?;
    // Without the room that the text had for growing.
    let html = Bytes::from(html.into_bytes().into_boxed_slice());
    if let Some(place) = place
        && !who.visit.shows_own_request()
    {
        place.keep(html.clone(), route, page.channel());
    }
    Ok(response(html))
}

fn response(html: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::time::UnixTime;

    fn place(pages: &Arc<KeptPages>, person: &str, here: &str, second: i64) -> Place {
        let name = PageName {
            person: person.parse().unwrap(),
            language: Language::En,
            theme: Theme::System,
            host: "tokens.example".to_owned(),
            here: here.to_owned(),
        };
        let as_of = AsOf::at(UnixTime(second));
        Place { pages: pages.clone(), name: Arc::new(name), as_of }
    }

    /// The route of a page, which only the router makes.
    async fn route() -> MatchedPath {
        let (found, mut finds) = tokio::sync::mpsc::channel(1);
        let handler = async move |route: MatchedPath| drop(found.send(route).await);
        let router = axum::Router::new().route("/{page}", axum::routing::get(handler));
        let request = http::Request::get("/a").body(axum::body::Body::empty()).unwrap();
        let _ = tower::ServiceExt::oneshot(router, request).await;
        finds.recv().await.unwrap()
    }

    #[tokio::test]
    async fn a_page_is_shown_to_its_person_at_its_address_as_of_the_same_moment() {
        let (pages, route) = (Arc::new(KeptPages::default()), route().await);
        let own = |here, second| place(&pages, "1000000001", here, second);
        let keep = |here, second| {
            own(here, second).keep(Bytes::from_static(b"<p>"), route.clone(), None);
        };
        keep("/a", 7);
        assert!(own("/a", 7).shown().is_some_and(|it| it.route.as_str() == "/{page}"));
        for other in [own("/b", 7), own("/a", 8), place(&pages, "1000000002", "/a", 7)] {
            assert!(other.shown().is_none());
        }
        // The newer one replaces it.
        keep("/a", 8);
        assert!(own("/a", 8).shown().is_some() && own("/a", 7).shown().is_none());
        assert_eq!(pages.0.len(), 1);
    }

    #[tokio::test]
    async fn kept_pages_take_a_bounded_number_of_bytes() {
        let (pages, route) = (Arc::new(KeptPages::default()), route().await);
        for (size, count) in [(20_000_000, 2), (100, 40_000), (60_000, 1_000)] {
            for number in 0..count {
                let here = format!("/{size}/{number}");
                let html = vec![b'x'; size].into();
                place(&pages, "1000000001", &here, 7).keep(html, route.clone(), None);
            }
            let weight = pages.0.weight();
            assert!(weight <= BYTES, "{weight} bytes of {count} pages of {size}");
        }
        assert!(pages.0.weight() > BYTES / 2, "and most of them are used");
    }
}
