//! Pages of errors.

use crate::html::Html;

#[derive(Debug)]
pub struct ErrorTexts {
    /// What begins the title of a page whose form was not accepted.
    pub in_title: &'static str,
    pub mistakes: &'static str,
    pub not_found: &'static str,
    pub not_found_why: &'static str,
    pub forbidden: &'static str,
    pub forbidden_why: &'static str,
    pub foreign: &'static str,
    pub foreign_why: &'static str,
    pub bad_request: &'static str,
    pub bad_request_why: &'static str,
    pub conflict: &'static str,
    pub conflict_why: &'static str,
    pub too_many: &'static str,
    pub too_many_why: fn(&str) -> String,
    pub not_now: &'static str,
    pub not_now_why: &'static str,
    pub unavailable: &'static str,
    pub unavailable_why: &'static str,
    pub unavailable_strong: &'static str,
    pub unavailable_next: &'static str,
    pub sent_before_why: &'static str,
    pub again: &'static str,
    pub again_why: &'static str,
    pub admins: fn(Html) -> Html,
    pub on_the_server: &'static str,
    pub internal: &'static str,
    pub internal_why: &'static str,
    pub back: &'static str,
    pub overview: &'static str,
    pub request: fn(Html) -> Html,
}
