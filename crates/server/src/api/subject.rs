//! What a request is about, for the access log and the request's span: its channel and the
//! token that it verifies. The handler of a request without a channel in its path sets it as
//! soon as it has read the channel's id, so that refused requests have it as well.

use crate::authority::source::Source;
use std::cell::{Cell, RefCell};
use tegata_token::{claims::Claims, id::ChannelId};
use tokio::task_local;
use uuid::Uuid;

/// The id of a request, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(pub Uuid);

/// What a request is about.
#[derive(Default)]
struct Noted {
    channel: Cell<Option<ChannelId>>,
    verified: RefCell<Option<VerifiedToken>>,
    source: Cell<Option<Source>>,
}

/// What a request was about.
pub struct Subject {
    /// Its channel.
    pub channel: Option<ChannelId>,
    /// The token that it verified.
    pub verified: Option<VerifiedToken>,
    /// The client that the verified token came from, if the request names it in its body.
    pub source: Option<Source>,
}

/// A token that was verified.
pub struct VerifiedToken {
    /// The result, in a word.
    pub result: &'static str,
    /// Its claims, if this authority signed it.
    pub claims: Option<Claims>,
}

task_local! {
    static SUBJECT: Noted;
}

/// Sets the channel of the request that this task handles.
pub fn set(channel: ChannelId) {
    // Tests call handlers without a request.
    let _ = SUBJECT.try_with(|it| it.channel.set(Some(channel)));
}

/// Sets the token that the request verifies.
pub fn set_verified(token: VerifiedToken) {
    let _ = SUBJECT.try_with(|it| it.verified.replace(Some(token)));
}

/// Sets the client that the verified token came from.
pub fn set_source(source: Source) {
    let _ = SUBJECT.try_with(|it| it.source.set(Some(source)));
}

/// Does the work of a request, and returns what it was about as far as the handler has set
/// it.
pub async fn during<T>(work: impl Future<Output = T>) -> (T, Subject) {
    let work = async {
        let done = work.await;
        let subject = SUBJECT.with(|it| Subject {
            channel: it.channel.get(),
            verified: it.verified.take(),
            source: it.source.get(),
        });
        (done, subject)
    };
    SUBJECT.scope(Noted::default(), work).await
}
