//! The channel that a request is about, for the access log and the request's span. The
//! handler of a request without a channel in its path sets it as soon as it has read the
//! channel's id, so that refused requests have it as well.

use std::cell::Cell;
use tegata_token::id::ChannelId;
use tokio::task_local;

task_local! {
    static CHANNEL: Cell<Option<ChannelId>>;
}

/// Sets the channel of the request that this task handles.
pub fn set(channel: ChannelId) {
    // Tests call handlers without a request.
    let _ = CHANNEL.try_with(|it| it.set(Some(channel)));
}

/// Does the work of a request, and returns its channel if the handler has set it.
pub async fn during<T>(work: impl Future<Output = T>) -> (T, Option<ChannelId>) {
    let work = async { (work.await, CHANNEL.with(Cell::get)) };
    CHANNEL.scope(Cell::new(None), work).await
}
