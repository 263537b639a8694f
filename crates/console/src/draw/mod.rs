//! Drawings as inline SVG: positions are in per cent, so that text keeps its size at every
//! width, and each drawing has a sentence that says the same.

mod bars;
mod tablets;
mod timeline;

pub use bars::{Amount, bars};
pub use tablets::tablets;
pub use timeline::{Axis, Bar, SOON, timeline};
