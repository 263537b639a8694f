//! What needs attention; providers and channels.

use super::Page;
use crate::{Frame, Section};
use askama::Template;

/// The first page after signing in.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    page: Page,
}

impl OverviewPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        let heading = frame.t().overview.title;
        Self { page: Page::new(frame, Some(Section::Overview), heading) }
    }
}
