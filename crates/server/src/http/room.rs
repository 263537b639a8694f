//! The memory that the bodies of all requests may take together: they are read before most of
//! their senders are known, and one connection can send 128 of them at once.

use http::Version;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes in a piece of the room.
const PIECE: usize = 1024;
/// The pieces. A body that arrives in parts grows by doubling, so this is 64 MiB at the most.
const PIECES: usize = 32 * 1024;
/// The length up to which a body may take the last half of the room, in bytes. No request for a
/// token, for a verification or for a revocation is longer, so long bodies cannot keep them out.
const SHORT: usize = 4 * 1024;

/// Memory for the bodies of requests that are being read or handled.
#[derive(Clone)]
pub struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PIECES)))
    }
}

/// What a body takes of the room, until this is dropped.
#[derive(Default)]
pub struct TakenRoom(Option<OwnedSemaphorePermit>);

/// The length of a body that takes nothing of the room, in bytes: a connection of HTTP/1 has one
/// body at a time, one of HTTP/2 has many.
pub fn free(version: Version) -> usize {
    if version == Version::HTTP_2 { 0 } else { SHORT }
}

impl TakenRoom {
    /// Takes what a body of that length needs; `false`: there is not so much.
    pub fn grow(&mut self, room: &BodyRoom, length: usize) -> bool {
        let (pieces, room) = (length.div_ceil(PIECE), &room.0);
        let has = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from(pieces.saturating_sub(has)) else { return false };
        if length > SHORT && room.available_permits() < PIECES / 2 {
            return false;
        }
        let Ok(more) = room.clone().try_acquire_many_owned(more) else { return false };
        match &mut self.0 {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bodies_leave_half_of_the_room_to_short_ones() {
        let room = BodyRoom::default();
        let take = |length| {
            let mut taken = TakenRoom::default();
            taken.grow(&room, length).then_some(taken)
        };
        let long: Vec<_> = std::iter::from_fn(|| take(64 * 1024)).collect();
        assert_eq!(long.len(), 257, "16 MiB, and the one that passes them");
        let short: Vec<_> = std::iter::from_fn(|| take(2_000)).collect();
        assert!(short.len() > 8_000, "{}", short.len());
        assert!(take(1).is_none(), "nothing is left");
        drop(long);
        assert!(take(64 * 1024).is_some());
    }

    #[test]
    fn a_body_that_grows_takes_only_what_it_lacks() {
        let room = BodyRoom::default();
        let mut taken = TakenRoom::default();
        for length in [1, 1_000, 1_025, 4_096, 60_000, 60_001] {
            assert!(taken.grow(&room, length));
            assert_eq!(room.0.available_permits(), PIECES - length.div_ceil(PIECE));
        }
        drop(taken);
        assert_eq!(room.0.available_permits(), PIECES);
    }
}
