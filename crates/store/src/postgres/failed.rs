//! Why a statement or a transaction has no result.

use super::tls;
use crate::Error;
use std::{error::Error as _, fmt, sync::Arc, time::Duration};
use tokio_postgres::error::SqlState;

/// Why a statement has no result. None of these says whether a transaction was committed:
/// what the failure of a COMMIT means is decided where it is sent.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// A unique name exists already.
    Taken,
    /// The transaction met another one; it may be run again from its beginning.
    Retry(Arc<str>),
    /// A result that is an answer to the caller.
    Answer(Error),
    /// The database cannot answer, or what it holds cannot be read.
    Unavailable(Arc<str>),
}

impl Failed {
    /// A row that cannot be read: it was written by a newer version, or damaged.
    pub fn row(what: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("a row of the database cannot be read: {what}").into())
    }

    /// The database has not answered within `time`.
    pub fn slow(time: Duration) -> Self {
        let why = format!("the database has not answered within {} ms", time.as_millis());
        Self::Unavailable(why.into())
    }

    /// Another reason why the database cannot answer.
    pub fn unavailable(why: impl Into<Arc<str>>) -> Self {
        Self::Unavailable(why.into())
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Self::Taken,
            Some(code)
                if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED]
                    .contains(code) =>
            {
                Self::Retry(text(&error))
            }
            _ => Self::Unavailable(text(&error)),
        }
    }
}

/// The message without the values of statements, which the driver's messages do not hold:
/// of the server's own error only the code and the primary message.
fn text(error: &tokio_postgres::Error) -> Arc<str> {
    match (error.as_db_error(), error.source()) {
        (Some(it), _) => format!("the database: {} ({})", it.message(), it.code().code()).into(),
        (None, Some(cause)) => match tls::next_step(cause) {
            Some(next_step) => format!("the database: {error}: {cause}; {next_step}").into(),
            None => format!("the database: {error}: {cause}").into(),
        },
        (None, None) => format!("the database: {error}").into(),
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("this id exists already"),
            Self::Answer(answer) => answer.fmt(f),
            Self::Retry(why) | Self::Unavailable(why) => f.write_str(why),
        }
    }
}

impl From<Error> for Failed {
    fn from(answer: Error) -> Self {
        Self::Answer(answer)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Taken => Self::Taken,
            Failed::Answer(answer) => answer,
            Failed::Retry(why) | Failed::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// Waits for an answer of the database for at most `time`, by this process's own clock.
pub(super) async fn within<T, E: Into<Failed>>(
    time: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failed> {
    match tokio::time::timeout(time, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Failed::slow(time)),
    }
}
