//! The native module of the Python package: the verifier of the crate `tegata-verifier` with
//! its follower, as Python objects. It has no rule of its own.

mod answers;
mod gate;
mod token;
mod verifier;

use pyo3::prelude::*;

/// What `tegata/_tegata.pyi` describes.
#[pymodule]
mod _tegata {
    #[pymodule_export]
    use super::answers::Answers;
    #[pymodule_export]
    use super::gate::{Gate, Refused};
    #[pymodule_export]
    use super::token::Token;
    #[pymodule_export]
    use super::verifier::{Verifier, close_all};
}
