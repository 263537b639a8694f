//! Drawings as inline SVG: positions are in per cent, so that text keeps its size at every
//! width, and each drawing has a sentence that says the same.

mod tablets;
mod timeline;

pub use tablets::tablets;
pub use timeline::{Axis, Bar, timeline};

use askama::filters::HtmlSafe;
use std::fmt::{self, Write};

/// A drawing: markup that a template inserts as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

/// Text for the value of an attribute in double quotes, or for an element's content.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
