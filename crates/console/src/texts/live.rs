//! Parts of the overview that show the present: expiries and activity.

#[derive(Debug)]
pub struct LiveTexts {
    pub expiries: &'static str,
    pub expiries_none: &'static str,
    /// How many tokens expire, and when the first one does.
    pub expiries_words: fn(usize, &str) -> String,
    pub at_least: fn(usize) -> String,
    pub next: &'static str,
    pub activity: &'static str,
    /// How many were verified, rejected and issued within the last hour.
    pub activity_words: fn(u64, u64, u64) -> String,
    pub verified: &'static str,
    pub issued: &'static str,
    pub here_only: &'static str,
}
