//! What a request has done, for the page that follows.

use tegata_console::{Language, created::Created, html::Html};

/// What a request has done. A cookie holds it until the next page, as a name with a number or an
/// id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A setting was saved.
    Saved,
    /// This was created.
    Created(Created),
    /// Something was deleted, and so many tokens with it.
    Deleted(usize),
    /// So many tokens were revoked.
    Revoked(usize),
}

impl Notice {
    /// As a cookie holds it.
    pub fn encoded(&self) -> String {
        match self {
            Self::Saved => "saved".to_owned(),
            Self::Created(what) => format!("created.{}", what.encoded()),
            Self::Deleted(tokens) => format!("deleted.{tokens}"),
            Self::Revoked(tokens) => format!("revoked.{tokens}"),
        }
    }

    /// The notice that is encoded so.
    pub fn decoded(text: &str) -> Option<Self> {
        let (name, number) = text.split_once('.').unwrap_or((text, "0"));
        if name == "created" {
            return Created::decoded(number).map(Self::Created);
        }
        let number = number.parse().ok()?;
        Some(match name {
            "saved" => Self::Saved,
            "deleted" => Self::Deleted(number),
            "revoked" => Self::Revoked(number),
            _ => return None,
        })
    }
}

/// What the cookie says, in words.
pub fn shown(cookie: &str, language: Language) -> Option<Html> {
    let t = &language.texts().notice;
    Some(match Notice::decoded(cookie)? {
        Notice::Saved => t.saved.into(),
        Notice::Created(what) => what.html(language),
        Notice::Deleted(tokens) => (t.deleted)(tokens).into(),
        Notice::Revoked(tokens) => (t.revoked)(tokens).into(),
    })
}
