//! Accepting an invitation.

use crate::html::Html;

#[derive(Debug)]
pub struct InvitationTexts {
    pub title: &'static str,
    pub lead: &'static str,
    pub invitation: &'static str,
    pub invitation_hint: &'static str,
    pub unknown: &'static str,
    pub open: &'static str,
    pub accept: &'static str,
    pub expires: fn(Html) -> Html,
    pub name: &'static str,
    pub password: &'static str,
    pub password_hint: &'static str,
    pub password_wrong: &'static str,
    pub second_factor: &'static str,
    pub second_factor_hint: &'static str,
    pub qr: &'static str,
    pub secret: &'static str,
    pub code_hint: &'static str,
    pub code_wrong: &'static str,
    pub strength_label: &'static str,
    /// From 0 to 4.
    pub strength: fn(u8) -> &'static str,
    pub codes: &'static str,
    pub codes_lead: &'static str,
    pub then: &'static str,
    pub own: &'static str,
    pub own_lead: &'static str,
}
