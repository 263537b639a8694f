//! A token that is active, and the exceptions for others.

use pyo3::{prelude::*, sync::PyOnceLock, types::PyType};
use tegata_verifier::{NotAccepted, VerifiedToken};

/// A token that is active.
#[pyclass(frozen, module = "tegata")]
pub struct Token(VerifiedToken);

impl From<VerifiedToken> for Token {
    fn from(token: VerifiedToken) -> Self {
        Self(token)
    }
}

#[pymethods]
impl Token {
    /// Its id.
    #[getter]
    fn id(&self) -> String {
        self.0.claims.id.to_string()
    }

    /// Its kind.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.claims.kind.name()
    }

    /// The channel that it gives access to.
    #[getter]
    fn channel(&self) -> String {
        self.0.claims.channel.to_string()
    }

    /// The provider that owns the channel.
    #[getter]
    fn provider(&self) -> String {
        self.0.claims.provider.to_string()
    }

    /// The group within the channel that holds it.
    #[getter]
    fn group(&self) -> Option<String> {
        self.0.claims.group.as_ref().map(ToString::to_string)
    }

    /// When it was issued, in Unix seconds.
    #[getter]
    fn issued_at(&self) -> i64 {
        self.0.claims.issued_at.0
    }

    /// The first moment at which it is no longer active, as far as is known, in Unix seconds.
    #[getter]
    fn until(&self) -> i64 {
        self.0.until.0
    }

    /// Why the view is stale, which the verifier's settings allow.
    #[getter]
    fn stale(&self) -> Option<String> {
        self.0.stale.map(|it| it.to_string())
    }

    fn __repr__(&self) -> String {
        // The token's text is not kept, so that it is in no log.
        let claims = &self.0.claims;
        format!("<Token {} of channel {}>", claims.id, claims.channel)
    }
}

/// The exception for a token that is not accepted.
pub fn exception(py: Python<'_>, why: &NotAccepted) -> PyErr {
    static INVALID: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static UNKNOWN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (class, name) = match why {
        NotAccepted::Invalid(_) | NotAccepted::Inactive => (&INVALID, "Invalid"),
        NotAccepted::Unknown(_) => (&UNKNOWN, "Unknown"),
    };
    match class.import(py, "tegata.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), why.to_string()),
        Err(error) => error,
    }
}
