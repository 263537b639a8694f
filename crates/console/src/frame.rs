//! What all pages have in common: who looks at it, in which language, when and where.

use crate::{
    assets,
    html::{Bdi, Html},
    named::{Language, Theme},
    texts::Texts,
    times::PageTimes,
};
use std::sync::{Arc, OnceLock};
use tegata_token::time::UnixTime;

/// The person who is signed in.
#[derive(Debug, Clone)]
pub struct User {
    /// The display name.
    pub name: String,
    /// What the bar shows after it: the role in the whole authority, if any.
    pub role: Option<tegata_policy::permission::OperatorRole>,
}

/// That the server is for trials only.
#[derive(Debug, Clone, Copy)]
pub struct Dev {
    /// By how many seconds its clock is ahead.
    pub ahead: i64,
}

/// A section of the bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What needs attention; providers and channels.
    Overview,
    /// What to do with a leaked token.
    LeakDesk,
    /// The services that verify tokens.
    Verifiers,
    /// The keys that sign tokens.
    SigningKeys,
    /// Who did what.
    Audit,
    /// People and their roles.
    People,
    /// The own account; it is not in the bar.
    Account,
}

/// A step of the path to a page.
#[derive(Debug, Clone)]
pub struct Crumb {
    /// Its address.
    pub href: String,
    /// Its name.
    pub name: String,
}

impl Crumb {
    /// A step.
    pub fn new(href: impl Into<String>, name: impl Into<String>) -> Self {
        Self { href: href.into(), name: name.into() }
    }
}

/// A random text for the forms of one page, made when the first of them is rendered. Its clones
/// are the same one.
#[derive(Debug, Clone)]
pub struct FormToken {
    text: Arc<OnceLock<String>>,
    make: fn() -> String,
}

impl FormToken {
    /// A text that `make` makes once it is needed.
    #[must_use]
    pub fn new(make: fn() -> String) -> Self {
        Self { text: Arc::default(), make }
    }

    /// Whether a form has it: each rendering of the page differs then.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.text.get().is_some()
    }

    fn text(&self) -> &str {
        self.text.get_or_init(self.make)
    }
}

/// What all pages have in common.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The language.
    pub language: Language,
    /// The colours.
    pub theme: Theme,
    /// When the page is made.
    pub now: UnixTime,
    /// The host that the browser asked, as it named it.
    pub host: String,
    /// The path and query of the page itself, where the settings return to.
    pub here: String,
    /// The person who is signed in.
    pub user: Option<User>,
    /// The sections that the person may see.
    pub sections: Vec<Section>,
    /// Set under `--dev`.
    pub dev: Option<Dev>,
    /// What the request before has done.
    pub notice: Option<Html>,
    /// For the forms of the page that create something, so that one that is sent twice creates
    /// one thing.
    pub form_token: FormToken,
}

impl Frame {
    /// The texts of its language.
    #[must_use]
    pub fn t(&self) -> &'static Texts {
        self.language.texts()
    }

    /// Times, as this page shows them.
    #[must_use]
    pub fn times(&self) -> PageTimes {
        PageTimes { now: self.now, language: self.language }
    }

    /// The hidden field with the page's token, for a form that creates something.
    #[must_use]
    pub fn once(&self) -> Html {
        crate::html!(
            "<input type=\"hidden\" name=\"request\" value=\"{}\">",
            Html::text(self.form_token.text())
        )
    }

    /// The role of the person in the whole authority.
    #[must_use]
    pub fn role(&self) -> Option<&'static str> {
        let user = self.user.as_ref()?;
        // A person who is named as the role is shown once.
        user.role.map(self.t().frame.role).filter(|it| *it != user.name)
    }

    /// The sentences of a development server.
    #[must_use]
    pub fn dev_lines(&self) -> Option<String> {
        let (ahead, t) = (self.dev?.ahead, &self.t().frame);
        let ahead = (ahead > 0).then(|| (t.ahead)(&self.times().length(ahead)));
        Some(format!("{} {}", t.dev, ahead.unwrap_or_default()).trim_end().to_owned())
    }

    /// What the footer shows: the program, the zone of the times and the page's age.
    #[must_use]
    pub fn server(&self) -> Html {
        let t = &self.t().frame;
        let server = (t.server)(env!("CARGO_PKG_VERSION"), Bdi(&self.host));
        let updated = (t.updated)(self.times().clock(self.now));
        crate::html!("{} {} {}", server, Html::from(t.zone), updated)
    }

    /// The name of the style sheet.
    #[must_use]
    pub fn style(&self) -> &'static str {
        assets::STYLE.name
    }

    /// The name of the script.
    #[must_use]
    pub fn script(&self) -> &'static str {
        assets::SCRIPT.name
    }

    /// The name of the icon.
    pub fn icon(&self) -> &'static str {
        assets::ICON.name
    }

    /// Whether this is the page's language.
    #[must_use]
    pub fn is_language(&self, language: &Language) -> bool {
        self.language == *language
    }

    /// Whether these are the page's colours.
    #[must_use]
    pub fn is_theme(&self, theme: &Theme) -> bool {
        self.theme == *theme
    }
}

impl Section {
    /// The sections of the bar, in its order.
    pub const BAR: [Self; 6] = [
        Self::Overview,
        Self::LeakDesk,
        Self::Verifiers,
        Self::SigningKeys,
        Self::Audit,
        Self::People,
    ];

    /// Its address.
    #[must_use]
    pub const fn href(&self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::LeakDesk => "/console/leak-desk",
            Self::Verifiers => "/console/verifiers",
            Self::SigningKeys => "/console/signing-keys",
            Self::Audit => "/console/audit",
            Self::People => "/console/people",
            Self::Account => "/console/account",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self, t: &Texts) -> &'static str {
        match self {
            Self::Overview => t.frame.overview,
            Self::LeakDesk => t.frame.leak_desk,
            Self::Verifiers => t.frame.verifiers,
            Self::SigningKeys => t.frame.signing_keys,
            Self::Audit => t.frame.audit,
            Self::People => t.frame.people,
            Self::Account => t.frame.account,
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
