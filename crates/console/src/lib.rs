//! The pages of the console, as values that render themselves to HTML.
//!
//! A page is a struct with a template: [`pages`]. What all pages have is a [`Frame`], and
//! all sentences of a language are one value, [`texts::Texts`], so that a sentence that is
//! missing in a language does not compile. This crate knows no request and no store: the
//! server fills a page's value and sends what it renders.

pub mod assets;
pub mod created;
pub mod draw;
pub mod forms;
pub mod frame;
pub mod html;
pub mod named;
pub mod pages;
pub mod pieces;
pub mod qr;
pub mod texts;
pub mod times;

pub use askama::Template;
pub use frame::{Crumb, Dev, FormToken, Frame, Section, User};
pub use named::{Language, Theme};
