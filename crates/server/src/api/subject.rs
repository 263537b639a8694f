//! What a request is about, for the access log and the request's span: its channel and the
//! token that it verifies. The handler of a request without a channel in its path sets it as
//! soon as it has read the channel's id, so that refused requests have it as well.

use std::cell::{Cell, RefCell};
use tegata_token::{claims::Claims, id::ChannelId};
use tokio::task_local;

/// What a request is about.
#[derive(Default)]
struct Subject {
    channel: Cell<Option<ChannelId>>,
    verified: RefCell<Option<VerifiedToken>>,
}

/// A token that was verified.
pub struct VerifiedToken {
    /// The result, in a word.
    pub result: &'static str,
    /// Its claims, if this authority signed it.
    pub claims: Option<Claims>,
}

task_local! {
    static SUBJECT: Subject;
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

/// Does the work of a request, and returns its channel and the verified token if the
/// handler has set them.
pub async fn during<T>(
    work: impl Future<Output = T>,
) -> (T, Option<ChannelId>, Option<VerifiedToken>) {
    let work = async {
        let done = work.await;
        let (channel, verified) = SUBJECT.with(|it| (it.channel.get(), it.verified.take()));
        (done, channel, verified)
    };
    SUBJECT.scope(Subject::default(), work).await
}
