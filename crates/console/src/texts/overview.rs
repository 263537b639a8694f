//! What needs attention; providers and channels.

#[derive(Debug)]
pub struct OverviewTexts {
    pub title: &'static str,
    pub providers: &'static str,
    pub create_provider: &'static str,
}
