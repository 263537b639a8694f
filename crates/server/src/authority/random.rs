//! The only module that generates random bytes.
//!
//! Secrets come directly from the generator. Ids come from a buffer per thread: they must be
//! distinct and are not secret, and a call of the generator costs more than its bytes.

#![expect(clippy::disallowed_methods, reason = "this is the source that the lint sends others to")]

use std::cell::RefCell;
use tegata_store::Error;
use uuid::Uuid;

/// Random bytes, suitable for secrets.
///
/// # Errors
/// [`Error::Unavailable`] if the system returns none.
pub fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Error::Unavailable("the system returned no random bytes".into())),
    }
}

/// The bytes of an id that is written in base64url. It does not begin with a hyphen, which a
/// command line would read as an option.
///
/// # Errors
/// As [`bytes`].
pub fn id<const N: usize>() -> Result<[u8; N], Error> {
    const HYPHEN: u8 = 62;
    loop {
        let bytes = buffered::<N>()?;
        if bytes.first().is_none_or(|it| it >> 2 != HYPHEN) {
            return Ok(bytes);
        }
    }
}

/// A random number below `bound`, uniformly distributed.
///
/// # Errors
/// As [`bytes`].
pub fn below(bound: u64) -> Result<u64, Error> {
    // 128 bits over a bound of 64 bits leave a bias too small to measure.
    let wide = u128::from_le_bytes(bytes()?);
    Ok(u64::try_from(wide % u128::from(bound.max(1))).unwrap_or(0))
}

/// A UUID (RFC 9562, version 4) for one response.
#[must_use]
pub fn request_id() -> Uuid {
    // Without random bytes ids repeat, which only makes logs ambiguous.
    buffered().map_or(Uuid::nil(), |bytes| uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Length of the buffer. Short, since copies of a machine that is halted and resumed draw the
/// same ids from what is left in it.
const BUFFERED: usize = 2048;

/// Random bytes that are not secret.
fn buffered<const N: usize>() -> Result<[u8; N], Error> {
    thread_local! {
        static BUFFER: RefCell<([u8; BUFFERED], usize)> = const { RefCell::new(([0; BUFFERED], 0)) };
    }
    BUFFER.with_borrow_mut(|(buffer, left)| {
        if *left < N {
            *buffer = bytes()?;
            *left = BUFFERED;
        }
        *left -= N;
        let mut drawn = [0; N];
        drawn.copy_from_slice(&buffer[*left..*left + N]);
        Ok(drawn)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_id_begins_with_a_hyphen() {
        for _ in 0..2_000 {
            let text = tegata_token::id::TokenId(id().unwrap()).to_string();
            assert!(!text.starts_with('-'), "{text}");
        }
    }

    #[test]
    fn ids_do_not_repeat_across_refills() {
        let ids: HashSet<[u8; 16]> = (0..1_000).map(|_| id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn request_ids_do_not_repeat_across_refills() {
        let ids: HashSet<_> = (0..1_000).map(|_| request_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let drawn: HashSet<_> = (0..500).map(|_| below(3).unwrap()).collect();
        assert_eq!(drawn, HashSet::from([0, 1, 2]));
    }
}
