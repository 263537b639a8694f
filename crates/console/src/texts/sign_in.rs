//! Signing in.

#[derive(Debug)]
pub struct SignInTexts {
    pub title: &'static str,
    pub login: &'static str,
    pub password: &'static str,
    pub code: &'static str,
    pub code_hint: &'static str,
    pub sign_in: &'static str,
    pub wrong: &'static str,
    pub too_many: fn(&str) -> String,
    pub busy: &'static str,
    pub invited: &'static str,
    pub invited_link: &'static str,
    pub locked_out: &'static str,
    pub invite: &'static str,
    pub signed_out: &'static str,
}
