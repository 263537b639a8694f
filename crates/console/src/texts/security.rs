//! The token rules and the limits of a channel.

#[derive(Debug)]
pub struct SecurityTexts {
    pub rules_title: &'static str,
    pub rules: &'static str,
    pub current: &'static str,
    pub legacy: &'static str,
    pub group_cap: &'static str,
    pub when_full: &'static str,
    pub evict: &'static str,
    pub deny: &'static str,
    pub assertions: &'static str,
    pub own_audience_only: &'static str,
    pub own_audience_hint: &'static str,
    pub single_use: &'static str,
    pub on_leak: &'static str,
    pub leak_revoke: &'static str,
    pub leak_flag: &'static str,
    pub leak_hint: &'static str,
    pub limits_title: &'static str,
    pub limits_under: &'static str,
    pub limits: [&'static str; 6],
    pub limit_wrong: fn(u32, u32) -> String,
    pub servers: &'static str,
    pub yes: &'static str,
    pub no: &'static str,
    pub save: &'static str,
}
