//! The settings of an object on which a client decided, by their tag.

use super::ActError;
use crate::secret::sha256;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt::{self, Debug};

/// A tag: equal for equal settings of one object, and different otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsTag([u8; 15]);

impl SettingsTag {
    pub(super) fn of(settings: &impl Debug) -> Self {
        let digest = sha256(&[format!("{settings:?}").as_bytes()]);
        let mut tag = [0; 15];
        tag.copy_from_slice(&digest[..15]);
        Self(tag)
    }

    /// Reads a tag; `None`: no object has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Display for SettingsTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The settings on which the actor decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExpectedSettings {
    /// Whichever; the object need not exist yet.
    #[default]
    Unstated,
    /// Whichever, of an object that exists.
    Present,
    /// Those with one of these tags.
    OneOf(Vec<SettingsTag>),
}

impl ExpectedSettings {
    /// Compares with the object's present settings; `None`: it does not exist, or has none.
    ///
    /// # Errors
    /// [`ActError::Changed`].
    pub fn check(&self, present: Option<SettingsTag>) -> Result<(), ActError> {
        let fits = match self {
            Self::Unstated => true,
            Self::Present => present.is_some(),
            Self::OneOf(tags) => present.is_some_and(|tag| tags.contains(&tag)),
        };
        if fits { Ok(()) } else { Err(ActError::Changed) }
    }
}
