//! Reads request bodies whole, within a maximum length, time and memory.

use super::room::{self, BodyRoom, TakenRoom};
use crate::api;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Body;
use tegata_gateway::ext_authz;
use tokio::time::{Instant, timeout_at};

/// Maximum length of a body, in bytes, unless its sender is known by the head of the request.
pub const LONGEST: usize = 64 * 1024;

/// What a body may take.
pub struct Allowed<'a> {
    /// By when it must be here.
    pub due: Instant,
    /// Selects the API whose error form is used.
    pub path: &'a str,
    /// Its maximum length, in bytes.
    pub longest: usize,
    /// The memory of all bodies; `None`: another limit bounds these.
    pub room: Option<&'a BodyRoom>,
    /// The length that takes nothing of the room, in bytes.
    pub free: usize,
}

impl<'a> Allowed<'a> {
    /// Of a request whose sender its head does not show.
    pub fn of(parts: &'a Parts, due: Instant, room: &'a BodyRoom) -> Self {
        let free = room::free(parts.version);
        Self { due, path: parts.uri.path(), longest: LONGEST, room: Some(room), free }
    }

    /// Of a request with a check of Envoy's.
    pub fn of_check(parts: &'a Parts, due: Instant, room: &'a BodyRoom) -> Self {
        Self { longest: ext_authz::LONGEST_BODY, ..Self::of(parts, due, room) }
    }
}

/// Reads `body` whole. What it takes of the room is given back when the second value is dropped,
/// so that is kept as long as the body.
///
/// # Errors
/// The response to a request whose body was not read.
pub async fn read(
    body: impl Body<Data = Bytes> + Unpin,
    allowed: Allowed<'_>,
) -> Result<(Bytes, TakenRoom), Response<axum::body::Body>> {
    if body.is_end_stream() {
        return Ok(Default::default());
    }
    let unread = match timeout_at(allowed.due, collect(body, &allowed)).await {
        Ok(Ok(whole)) => return Ok(whole),
        Ok(Err(unread)) => unread,
        Err(_) => api::Unread::TooSlow,
    };
    Err(self::unread(api::refuse(allowed.path, unread)))
}

/// A response to a request whose body was not read: the connection is closed after it.
pub fn unread<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn collect<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    allowed: &Allowed<'_>,
) -> Result<(Bytes, TakenRoom), api::Unread> {
    let longest = allowed.longest;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut taken = TakenRoom::default();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| api::Unread::BrokeOff)?.into_data() else { continue };
        length += data.len();
        if length > longest {
            return Err(api::Unread::TooLong(longest));
        }
        if let Some(room) = allowed.room.filter(|_| length > allowed.free)
            && !taken.grow(room, length)
        {
            return Err(api::Unread::NoRoom);
        }
        if first.is_empty() && rest.is_empty() {
            // Most bodies arrive in one piece, which need not be copied.
            first = data;
        } else {
            if rest.is_empty() {
                // It is not kept beside its copy.
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.freeze() }, taken))
}
