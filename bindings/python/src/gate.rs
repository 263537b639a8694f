//! The decision about a request.

use crate::{
    answers::Answers,
    token::Token,
    verifier::{Verifier, address},
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use tegata_gateway::decision::Refusal;
use tegata_verifier::{VerifiedToken, gate::BlockingGate};

/// Decides about requests by their `Authorization` headers.
#[pyclass(frozen, module = "tegata")]
pub struct Gate(BlockingGate);

/// The response to a request that is not let through.
#[pyclass(frozen, module = "tegata")]
pub struct Refused(Refusal);

/// What a decision results in.
#[derive(IntoPyObject)]
pub enum Decision {
    /// The request is let through.
    LetThrough(Token),
    /// It is not.
    Refused(Refused),
}

impl From<Result<VerifiedToken, Refusal>> for Decision {
    fn from(result: Result<VerifiedToken, Refusal>) -> Self {
        match result {
            Ok(token) => Self::LetThrough(token.into()),
            Err(refusal) => Self::Refused(Refused(refusal)),
        }
    }
}

#[pymethods]
impl Gate {
    #[new]
    fn new(verifier: &Verifier, conditions: Vec<(String, String)>) -> PyResult<Self> {
        let pairs = conditions.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let gate = BlockingGate::new(verifier.0.clone(), pairs);
        gate.map(Self).map_err(|bad| PyValueError::new_err(bad.to_string()))
    }

    /// Decides from memory alone; `None` if that does not answer.
    #[pyo3(signature = (authorization, source=None))]
    fn recall(&self, authorization: Vec<Vec<u8>>, source: Option<&str>) -> Option<Decision> {
        self.0.recall(&slices(&authorization), address(source)).map(Decision::from)
    }

    /// Decides; waits for the authority, for a second at most, if memory does not answer.
    #[pyo3(signature = (authorization, source=None))]
    fn verify(
        &self,
        py: Python<'_>,
        authorization: Vec<Vec<u8>>,
        source: Option<&str>,
    ) -> Decision {
        let (sent, source) = (slices(&authorization), address(source));
        // As in `Verifier::verify`.
        let found = self.0.recall(&sent, source);
        found.unwrap_or_else(|| py.detach(|| self.0.verify(&sent, source))).into()
    }

    /// Decides without waiting: the result arrives among the answers, with this number.
    #[pyo3(signature = (answers, number, authorization, source=None))]
    fn ask(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        authorization: Vec<Vec<u8>>,
        source: Option<&str>,
    ) {
        let (sent, source) = (slices(&authorization), address(source));
        let inbox = answers.0.clone();
        let done = move |found| {
            inbox.put(number, Box::new(move |py: Python<'_>| shown(py, found)));
        };
        py.detach(|| self.0.verify_then(&sent, source, done));
    }
}

fn shown(py: Python<'_>, found: Result<VerifiedToken, Refusal>) -> PyResult<Py<PyAny>> {
    Ok(Decision::from(found).into_pyobject(py)?.unbind())
}

fn slices(headers: &[Vec<u8>]) -> Vec<&[u8]> {
    headers.iter().map(Vec::as_slice).collect()
}

#[pymethods]
impl Refused {
    /// Its status.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Its headers.
    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        let response = self.0.response::<String>();
        let shown = response.headers().iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        shown.collect()
    }

    /// Its body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body().as_bytes())
    }
}
