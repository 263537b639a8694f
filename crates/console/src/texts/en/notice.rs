//! Notice, in English.

use super::common::tokens;
use crate::texts::NoticeTexts;

pub const TEXTS: NoticeTexts = NoticeTexts {
    saved: "Saved.",
    created: "Created.",
    deleted: |count| match count {
        0 => "Deleted. No stored token was active.".to_owned(),
        _ => format!("Deleted. {} revoked.", tokens(count)),
    },
    revoked: |count| format!("{} revoked.", tokens(count)),
};
