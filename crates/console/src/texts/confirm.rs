//! The pages before acts that take something away.

#[derive(Debug)]
pub struct ConfirmTexts {
    pub confirmation: &'static str,
    pub nothing_yet: &'static str,
    pub reason: &'static str,
    pub reason_hint: &'static str,
    pub reason_hint_short: &'static str,
    pub reason_wrong: &'static str,
    pub wait: &'static str,
    pub wait_option: fn(&u64) -> String,
    pub again_hint: &'static str,
    pub again_wrong: &'static str,
    pub aside: &'static str,
    pub alternatives: &'static str,
    pub tokens: &'static str,
    pub no_tokens: &'static str,
    pub token_id: &'static str,
    pub channel: &'static str,
    pub kind: &'static str,
    pub group: &'static str,
    pub issued: &'static str,
    pub expires: &'static str,
    pub more: fn(usize) -> String,
    pub stateless_too: &'static str,
    pub in_use: fn(usize) -> String,
    pub in_use_why: &'static str,
}
