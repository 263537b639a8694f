//! Which call fails, and how.

use std::ffi::c_int;

use rusqlite::ffi;

/// A kind of call on a watched file that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `xWrite`. A failing write still writes its first half, as a disk that fills up
    /// does.
    Write,
    /// `xSync`. What a failing sync did not save is not saved by a later one either, as
    /// on Linux, unless it is written again.
    Sync,
    /// `xTruncate`. A failing truncation does nothing.
    Truncate,
    /// `xDelete`. A failing deletion does nothing.
    Delete,
    /// `xRead`. A failing read reads nothing.
    Read,
}

impl Call {
    /// The error that SQLite's own VFS returns for such a call.
    fn natural_error(self) -> c_int {
        match self {
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
            Self::Read => ffi::SQLITE_IOERR_READ,
        }
    }
}

/// A future failure: of the n-th counted call from [`inject`](crate::FaultyVfs::inject)
/// on.
///
/// By default it counts writes, syncs and truncations, fails one of them once, and
/// returns the error natural to the call (`SQLITE_IOERR_WRITE`, `SQLITE_IOERR_FSYNC`,
/// ...).
#[derive(Debug, Clone)]
pub struct Fault {
    nth: u64,
    calls: Vec<Call>,
    code: Option<c_int>,
    lasting: bool,
}

impl Fault {
    /// Fails the `nth` counted call; the next one is 1.
    #[must_use]
    pub fn nth(nth: u64) -> Self {
        Self {
            nth,
            calls: vec![Call::Write, Call::Sync, Call::Truncate],
            code: None,
            lasting: false,
        }
    }

    /// Counts, and so fails, only these kinds of calls.
    #[must_use]
    pub fn on(mut self, calls: &[Call]) -> Self {
        self.calls = calls.to_vec();
        self
    }

    /// Fails with this result code, such as `rusqlite::ffi::SQLITE_FULL`.
    #[must_use]
    pub fn with(mut self, code: c_int) -> Self {
        self.code = Some(code);
        self
    }

    /// Also fails every counted call after the `nth`, until healed.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Counts `call`; returns the error code if this one fails.
    pub(crate) fn strike(&self, call: Call, tally: &mut Tally) -> Option<c_int> {
        if !self.calls.contains(&call) {
            return None;
        }
        tally.calls += 1;
        let fails = tally.calls == self.nth || (self.lasting && tally.calls > self.nth);
        tally.failed += u64::from(fails);
        fails.then(|| self.code.unwrap_or(call.natural_error()))
    }
}

/// What an injected [`Fault`] has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Calls counted since the fault was injected.
    pub calls: u64,
    /// How many of them failed; 0 means that `n` exceeds the number of calls.
    pub failed: u64,
}
