//! A panic in the work of one request.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

/// A request's work has panicked.
pub(super) struct Panicked;

/// Runs `work` until it completes or panics: a panic in one request must not affect the
/// other requests of its connection.
pub(super) async fn without_panic<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_at_any_point_of_the_work() {
        let good = without_panic(async { 7 }).await;
        assert!(matches!(good, Ok(7)));
        let at_once = without_panic(async { panic!("at once") }).await;
        assert!(matches!(at_once, Err::<(), _>(Panicked)));
        let later = without_panic(async {
            tokio::task::yield_now().await;
            panic!("later");
        });
        assert!(matches!(later.await, Err::<(), _>(Panicked)));
    }
}
