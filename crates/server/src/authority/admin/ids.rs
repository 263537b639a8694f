//! Random ids.

use crate::authority::random;
use tegata_store::{Error, Result};

/// A random number of ten digits without a leading zero, which spreadsheets would drop.
pub(super) fn ten_digits() -> Result<u64> {
    Ok(1_000_000_000 + random::below(9_000_000_000)?)
}

/// The error for a number without ten digits, which [`ten_digits`] rules out.
pub(super) fn no_id() -> Error {
    Error::Unavailable("no id was found".into())
}
