//! What verifications that wait for the authority are answered, for an event loop of asyncio.
//!
//! No thread of the program waits for an answer, and the follower's thread runs no Python: a busy
//! interpreter does not delay it, nor does it delay an exit. It puts the answer here, and writes a
//! byte into a pipe that the event loop reads.

use pyo3::prelude::*;
use std::{
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{Arc, Mutex, PoisonError},
};

/// The answers for one event loop.
#[pyclass(frozen, module = "tegata")]
pub struct Answers(pub(crate) Arc<Inbox>);

/// Both ends of the pipe are kept until the last answer is in: a write without a reader would be a
/// signal that ends some programs.
pub struct Inbox {
    arrived: Mutex<Vec<(u64, Answer)>>,
    pipe: (UnixStream, UnixStream),
}

/// An answer, which becomes an object of Python where the interpreter's lock is held: a `Token`, a
/// `Refused` or an exception.
pub type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

impl Inbox {
    /// Takes the answer to the question with this number.
    pub fn put(&self, number: u64, answer: Answer) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.push((number, answer));
        drop(arrived);
        // If the pipe is full, the event loop has not read it yet and will.
        let _noticed = (&self.pipe.1).write(&[0]);
    }

    fn take(&self) -> Vec<(u64, Answer)> {
        // Read first: what arrives from now on writes another byte.
        while (&self.pipe.0).read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {}
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Answers {
    #[new]
    fn new() -> io::Result<Self> {
        let pipe = UnixStream::pair()?;
        pipe.0.set_nonblocking(true)?;
        pipe.1.set_nonblocking(true)?;
        Ok(Self(Arc::new(Inbox { arrived: Mutex::default(), pipe })))
    }

    /// The descriptor that is readable once there are answers.
    fn fileno(&self) -> i32 {
        self.0.pipe.0.as_raw_fd()
    }

    /// The answers since the last call, each with its number.
    fn take(&self, py: Python<'_>) -> PyResult<Vec<(u64, Py<PyAny>)>> {
        let all = self.0.take().into_iter();
        all.map(|(number, answer)| Ok((number, answer(py)?))).collect()
    }
}
