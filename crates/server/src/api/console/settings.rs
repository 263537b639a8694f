//! The colours and the language of a browser.

use super::{
    Answer, CONSOLE, cookie,
    sent::Sent,
    visit::{Visit, redirect},
};
use axum::Extension;
use tegata_console::{Language, Theme};

/// Sets one of them, and returns to the page.
pub async fn set(Extension(visit): Extension<Visit>, sent: Sent) -> Answer {
    let form = sent.form()?;
    if let Some(theme) = form.get("theme").and_then(Theme::of) {
        visit.set_cookie(cookie::of_setting(cookie::THEME, theme.name()));
    }
    if let Some(language) = form.get("language").and_then(Language::of) {
        visit.set_cookie(cookie::of_setting(cookie::LANGUAGE, language.code()));
    }
    Ok(redirect(within(form.get("next"))))
}

/// The path to go on to: a page of the console, never another site.
pub fn within(next: Option<&str>) -> &str {
    let fits = |it: &&str| {
        let rest = it.strip_prefix(CONSOLE);
        let below = rest.is_some_and(|it| it.is_empty() || it.starts_with(['/', '?']));
        below && it.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') && !it.contains("//")
    };
    next.filter(fits).unwrap_or(CONSOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_console_is_returned_to() {
        for good in ["/console", "/console/a/b?c=d", "/console?q=x"] {
            assert_eq!(within(Some(good)), good);
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/consoles",
            "/console.evil.example",
            "https://evil.example",
            "/console//evil",
            "/console\\..\\",
            "/console/\r\nx: y",
            "/console/\u{202e}",
            "\\\\evil",
            "javascript:alert(1)",
            "/console/ x",
        ] {
            assert_eq!(within(Some(bad)), "/console", "{bad:?}");
        }
        assert_eq!(within(None), "/console");
    }
}
