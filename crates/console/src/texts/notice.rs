//! What a request has done.

#[derive(Debug)]
pub struct NoticeTexts {
    pub saved: &'static str,
    pub created: &'static str,
    /// With so many tokens.
    pub deleted: fn(usize) -> String,
    pub revoked: fn(usize) -> String,
}
