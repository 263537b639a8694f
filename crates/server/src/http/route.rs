//! Records which route a request took, for the log and the traces, and reads its body
//! after routing, so that the error for a body is logged with its route.

use super::{
    body,
    room::{self, BodyRoom, TakenRoom},
};
use crate::api::{self, Shows, app::App, feed::CHANGES, leaks};
use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath, RawPathParams, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, Request, Uri};
use std::sync::{Arc, OnceLock};
use tegata_gateway::ext_authz;
use tegata_token::{feed::LONGEST_USAGE, id::ChannelId};
use tokio::time::Instant;

/// An operation that is handled without the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortcut {
    VerifyJws,
    VerifyOpaque,
    Gateway,
    IssueV21,
    Changes,
    ExtAuthz,
}

impl Shortcut {
    /// The operation that a request to a listener with these APIs is for, if any.
    pub fn of_request(shows: Shows, method: &Method, path: &str) -> Option<Self> {
        let public =
            [Self::VerifyJws, Self::Gateway, Self::VerifyOpaque, Self::IssueV21, Self::Changes];
        let public = public.into_iter().filter(|_| shows.public);
        let mut all = public.chain(shows.ext_authz.then_some(Self::ExtAuthz));
        all.find(|it| it.template() == path && it.method() == *method)
    }

    fn method(self) -> Method {
        match self {
            Self::VerifyJws | Self::Gateway | Self::Changes => Method::GET,
            Self::VerifyOpaque | Self::IssueV21 | Self::ExtAuthz => Method::POST,
        }
    }

    pub const fn template(self) -> &'static str {
        match self {
            Self::VerifyJws => "/oauth2/v2.1/verify",
            Self::VerifyOpaque => "/v2/oauth/verify",
            Self::Gateway => "/gateway/verify",
            Self::IssueV21 => "/oauth2/v2.1/token",
            Self::Changes => CHANGES,
            Self::ExtAuthz => ext_authz::PATH,
        }
    }
}

/// Replaces doubled slashes in the path of `uri` by one: clients append a path to a base
/// address that has a slash at its end.
pub(super) fn merge_slashes(uri: &mut Uri) {
    if !uri.path().contains("//") {
        return;
    }
    let mut merged = String::with_capacity(uri.path().len());
    for part in uri.path().split_inclusive('/') {
        if part != "/" || merged.is_empty() {
            merged.push_str(part);
        }
    }
    if let Some(query) = uri.query() {
        merged.push('?');
        merged.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = merged.parse().ok();
    if let Ok(merged) = Uri::from_parts(parts) {
        *uri = merged;
    }
}

/// The route of a request.
#[derive(Clone)]
pub(super) enum Route {
    Shortcut(Shortcut),
    /// The router's route, which is set once the router has matched it, even if the
    /// handler panics then.
    Routed(Arc<OnceLock<Routed>>),
}

/// The route that the router matched.
pub(super) struct Routed {
    path: MatchedPath,
    channel: Option<ChannelId>,
}

impl Routed {
    /// A route with the channel that its path names.
    pub fn new(path: MatchedPath, channel: Option<ChannelId>) -> Self {
        Self { path, channel }
    }
}

impl Route {
    /// The path with a name for each id, such as `/admin/v1/channels/{channel}`; `None`
    /// if the path is unknown.
    pub fn template(&self) -> Option<&str> {
        match self {
            Self::Shortcut(shortcut) => Some(shortcut.template()),
            Self::Routed(routed) => routed.get().map(|it| it.path.as_str()),
        }
    }

    /// The channel that the path names.
    pub fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Shortcut(_) => None,
            Self::Routed(routed) => routed.get()?.channel,
        }
    }
}

/// Data that the server attaches to a request for [`arrive`].
#[derive(Clone)]
pub(super) struct Arriving {
    pub routed: Arc<OnceLock<Routed>>,
    pub due: Instant,
    pub room: BodyRoom,
}

/// Records the route of a request, and reads its body.
pub(super) async fn arrive(
    State(app): State<Arc<App>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (mut parts, mut body) = request.into_parts();
    // Held until the request was handled.
    let mut _taken = TakenRoom::default();
    if let Some(Arriving { routed, due, room }) = parts.extensions.remove() {
        let path = parts.extensions.get::<MatchedPath>().cloned();
        let is_known = path.is_some() && parts.method == Method::POST;
        if let Some(path) = path {
            let ids = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
            let mut ids = ids.iter().flatten();
            let channel = ids.find(|(name, _)| *name == "channel");
            let channel = channel.and_then(|(_, id)| id.parse().ok());
            // It is set only here, once.
            let _ = routed.set(Routed { path, channel });
        }
        let (mut longest, mut room) = (body::LONGEST, Some(&room));
        match parts.uri.path() {
            path if is_known && leaks::takes_reports(path) => {
                match leaks::admit(&app, &parts) {
                    Ok(admitted) => drop(parts.extensions.insert(admitted)),
                    Err(reply) => return body::unread(*reply).into_response(),
                }
                // Their number is bounded.
                (longest, room) = (leaks::LONGEST, None);
            }
            api::USAGE if is_known => {
                if let Err(refused) = api::feed::authenticate(&app, &parts.headers).await {
                    return body::unread(refused).into_response();
                }
                longest = LONGEST_USAGE;
            }
            api::console::LEAK_DESK
                if is_known && api::console::is_signed_in(&app, &parts).await =>
            {
                longest = api::console::LONGEST_LEAK;
            }
            _ => {}
        }
        let (path, free) = (parts.uri.path(), room::free(parts.version));
        let read = body::read(body, body::Allowed { due, path, longest, room, free }).await;
        (body, _taken) = match read {
            Ok((body, taken)) => (body.into(), taken),
            Err(refused) => return refused,
        };
    }
    next.run(Request::from_parts(parts, body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_slashes_are_merged_in_the_path_alone() {
        for (from, to) in [
            ("//oauth2/v3/token", "/oauth2/v3/token"),
            ("///v2//oauth///verify", "/v2/oauth/verify"),
            ("//gateway/verify?a=//b", "/gateway/verify?a=//b"),
            ("/gateway/verify//", "/gateway/verify/"),
            ("http://a.example//livez", "http://a.example/livez"),
            ("/livez?next=//x", "/livez?next=//x"),
            ("//", "/"),
            ("*", "*"),
        ] {
            let mut uri: Uri = from.parse().unwrap();
            merge_slashes(&mut uri);
            assert_eq!(uri.to_string(), to);
        }
    }
}
