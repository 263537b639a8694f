//! The verifier.

use crate::{
    answers::Answers,
    token::{Token, exception},
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tegata_verifier::{BlockingVerifier, FollowSettings, NotAccepted, VerifiedToken};

/// Verifies tokens from memory; `tegata.Verifier` is its only subclass.
#[pyclass(frozen, subclass, module = "tegata")]
pub struct Verifier(pub(crate) Arc<BlockingVerifier>);

/// Time between two looks for signals, while a program waits for a view.
const SLICE: Duration = Duration::from_millis(100);

fn value_error(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn time(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(value_error)
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (
        authority, verifier_token, *, staleness=60.0, on_stale="deny", authority_ca=None,
        copy=None, report_uses=true, cached_tokens=10_000
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn new(
        authority: &str,
        verifier_token: &str,
        staleness: f64,
        on_stale: &str,
        authority_ca: Option<&[u8]>,
        copy: Option<PathBuf>,
        report_uses: bool,
        cached_tokens: usize,
    ) -> PyResult<Self> {
        let authority = authority.parse().map_err(value_error)?;
        let mut settings = FollowSettings::new(authority, verifier_token).map_err(value_error)?;
        settings.wanted.staleness = time(staleness)?;
        let on_stale = on_stale.parse().map_err(|it| value_error(format!("on_stale is {it}")))?;
        settings.wanted.on_stale = on_stale;
        settings.copy = copy;
        settings.usage_interval = settings.usage_interval.filter(|_| report_uses);
        settings.cached_tokens = cached_tokens;
        if let Some(pem) = authority_ca {
            settings.trust(pem).map_err(value_error)?;
        }
        BlockingVerifier::start(settings).map(Arc::new).map(Self).map_err(value_error)
    }

    /// Verifies a token; waits for the authority, for a second at most, only if memory does not
    /// answer. Counts a use of the token by the client with the address `source`, as all of these.
    #[pyo3(signature = (token, source=None))]
    fn verify(&self, py: Python<'_>, token: &str, source: Option<&str>) -> PyResult<Token> {
        let token = token.as_bytes();
        // The usual case keeps the interpreter's lock: to release it costs more than this takes.
        let found = self.0.recall(token);
        let found = found.unwrap_or_else(|| py.detach(|| self.0.verify(token)));
        result(py, counted(&self.0, found, address(source)))
    }

    /// Verifies a token from memory alone; `None` if that does not answer.
    #[pyo3(signature = (token, source=None))]
    fn recall(&self, py: Python<'_>, token: &str, source: Option<&str>) -> PyResult<Option<Token>> {
        let Some(found) = self.0.recall(token.as_bytes()) else { return Ok(None) };
        result(py, counted(&self.0, found, address(source))).map(Some)
    }

    /// Verifies a token without waiting: the result arrives among the answers, with this number.
    #[pyo3(signature = (answers, number, token, source=None))]
    fn ask(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        token: &str,
        source: Option<&str>,
    ) {
        let (inbox, verifier, source) = (answers.0.clone(), self.0.clone(), address(source));
        let done = move |found| {
            let found = counted(&verifier, found, source);
            inbox.put(number, Box::new(move |py: Python<'_>| shown(py, found)));
        };
        py.detach(|| self.0.verify_then(token.as_bytes().to_vec(), done));
    }

    /// Waits until there is a view.
    #[pyo3(signature = (timeout=1.0))]
    fn ready(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let mut rest = time(timeout)?;
        loop {
            let slice = rest.min(SLICE);
            if py.detach(|| self.0.ready(slice)) {
                return Ok(true);
            }
            // An interrupt at the terminal does not wait for the authority.
            py.check_signals()?;
            rest -= slice;
            if rest.is_zero() {
                return Ok(false);
            }
        }
    }

    /// The age of the view in seconds.
    fn age(&self) -> Option<f64> {
        self.0.age().map(|age| age.as_secs_f64())
    }

    /// The health at this moment.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let shown = PyDict::new(py);
        // After a fork this starts a follower.
        let Some(health) = py.detach(|| self.0.health()) else { return Ok(shown) };
        shown.set_item("age", health.age.map(|it| it.as_secs_f64()))?;
        shown.set_item("stale", health.stale.map(|it| it.to_string()))?;
        shown.set_item("rejected", health.rejected.map(|it| it.to_string()))?;
        shown.set_item("failure", health.failure.map(|it| it.to_string()))?;
        shown.set_item("cannot", health.cannot)?;
        shown.set_item("copy_problem", health.copy_problem)?;
        shown.set_item("position", health.position.map(|it| it.to_string()))?;
        shown.set_item("keys", health.keys)?;
        shown.set_item("channels", health.channels)?;
        shown.set_item("revocations", health.revocations)?;
        Ok(shown)
    }

    /// Stops; every later verification raises `Unknown`.
    #[pyo3(signature = (timeout=1.0))]
    fn close(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let limit = time(timeout)?;
        Ok(py.detach(|| self.0.stop(limit))?)
    }
}

/// Stops all of these for the exit of the interpreter: waits for at most `timeout` seconds for all
/// of them together.
#[pyfunction]
pub fn close_all(
    py: Python<'_>,
    verifiers: Vec<PyRef<'_, Verifier>>,
    timeout: f64,
) -> PyResult<()> {
    let limit = time(timeout)?;
    let all: Vec<_> = verifiers.iter().map(|it| it.0.clone()).collect();
    py.detach(|| BlockingVerifier::stop_all(all.iter().map(|it| &**it), limit));
    Ok(())
}

/// A client's address, if it is one.
pub fn address(source: Option<&str>) -> Option<IpAddr> {
    source.and_then(|it| it.parse().ok())
}

/// Counts a use of a token that is accepted, for the report to the authority.
fn counted(
    verifier: &BlockingVerifier,
    found: Result<VerifiedToken, NotAccepted>,
    source: Option<IpAddr>,
) -> Result<VerifiedToken, NotAccepted> {
    found.inspect(|token| verifier.record_use(&token.claims, source))
}

fn result(py: Python<'_>, found: Result<VerifiedToken, NotAccepted>) -> PyResult<Token> {
    found.map(Token::from).map_err(|why| exception(py, &why))
}

/// As [`result`], with the exception as an object.
fn shown(py: Python<'_>, found: Result<VerifiedToken, NotAccepted>) -> PyResult<Py<PyAny>> {
    Ok(match found {
        Ok(token) => Token::from(token).into_pyobject(py)?.into_any().unbind(),
        Err(why) => exception(py, &why).into_value(py).into_any(),
    })
}
