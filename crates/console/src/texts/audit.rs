//! Who did what.

#[derive(Debug)]
pub struct AuditTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub verify: &'static str,
    pub verify_why: &'static str,
    pub verified: &'static str,
    pub broken: &'static str,
    pub stamp: &'static str,
    /// Events, checkpoints, and events that wait for one.
    pub counts: fn(u64, u64, u64) -> String,
    pub public_key: &'static str,
    pub events: &'static str,
    pub any: &'static str,
    pub filter: &'static str,
    pub time: &'static str,
    pub actor: &'static str,
    pub target: &'static str,
    pub details: &'static str,
    pub number: &'static str,
    pub kept: &'static str,
}
