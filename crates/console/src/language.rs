//! The languages of the pages.

use crate::texts::{self, Texts};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Ja];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// Its own name for itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ja => "日本語",
        }
    }

    /// The language with this code.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }

    /// The first language of ours that an `Accept-Language` header prefers.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let weight = |it: &str| {
            let (range, parameter) = it.split_once(';').unwrap_or((it, "q=1"));
            let weight = parameter.trim().strip_prefix("q=").and_then(|it| it.parse().ok());
            let code = range.trim().split('-').next().unwrap_or("").to_ascii_lowercase();
            Some((Self::of(&code)?, weight.unwrap_or(0.0)))
        };
        let ranges = header.split(',').filter_map(weight).filter(|(_, it): &(_, f32)| *it > 0.0);
        let first = ranges.fold(None, |best: Option<(Self, f32)>, it| match best {
            Some(best) if best.1 >= it.1 => Some(best),
            _ => Some(it),
        });
        first.map_or(Self::En, |(language, _)| language)
    }

    /// All texts of the language.
    #[must_use]
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::En => &texts::en::TEXTS,
            Self::Ja => &texts::ja::TEXTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_of_ours_is_taken() {
        for (header, language) in [
            ("", Language::En),
            ("ja", Language::Ja),
            ("ja-JP,ja;q=0.9,en;q=0.8", Language::Ja),
            ("en-US,en;q=0.9,ja;q=0.8", Language::En),
            ("de,ja;q=0.5,en;q=0.7", Language::En),
            ("fr, ja;q=0.1", Language::Ja),
            ("ja;q=0, en;q=0.1", Language::En),
            ("jav;q=x,,;", Language::En),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }
}
