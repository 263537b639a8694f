//! QR codes, as SVG.

use crate::html::Html;
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// Number of white modules around the code, which readers need.
const QUIET: i32 = 4;

/// The QR code of a text, with this description for those who do not see it; `None` if the
/// text is too long for one.
#[must_use]
pub fn svg(text: &str, description: &str) -> Option<Html> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let whole = size + 2 * QUIET;
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            // Writing to a string cannot fail.
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    let label = Html::text(description);
    Some(Html::trusted(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {whole} {whole}\" role=\"img\" aria-label=\"{label}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{whole}\" height=\"{whole}\" \
         fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_white_border_and_three_corners() {
        let svg = svg("otpauth://totp/a?secret=ABC", "a \"code\"").unwrap_or_default();
        let svg = svg.as_str();
        assert!(svg.contains("aria-label=\"a &quot;code&quot;\""));
        // The top row of the first corner, and of the one to its right.
        assert!((4..11).all(|x| svg.contains(&format!("M{x} 4h1"))), "{svg}");
        assert!(!svg.contains("M3 ") && !svg.contains(" 3h1"));
    }

    #[test]
    fn a_text_that_fits_no_code_has_none() {
        assert_eq!(svg(&"a".repeat(4_000), "long"), None);
    }
}
