//! Fields of forms, with what was entered and what is wrong with it.

use crate::html::Html;
use askama::Template;

/// A field of a form that was sent back: what was entered, and why it was not accepted.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// What was entered; never a secret.
    pub value: String,
    /// What is wrong, and the next step.
    pub wrong: Option<String>,
}

impl Field {
    /// A field with a value.
    pub fn of(value: impl Into<String>) -> Self {
        Self { value: value.into(), wrong: None }
    }

    /// The same, with what is wrong.
    #[must_use]
    pub fn wrong(self, why: impl Into<String>) -> Self {
        Self { wrong: Some(why.into()), ..self }
    }
}

/// A field that was not accepted, for the summary at the top of its page.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// The id of the field.
    pub id: &'static str,
    /// The label of the field, and what is wrong with it.
    pub text: String,
}

/// A line to enter, with its label, its hint and what is wrong with it.
#[derive(Debug, Clone, Template)]
#[template(path = "input.html")]
pub struct Input<'a> {
    name: &'static str,
    label: &'static str,
    field: &'a Field,
    hint: Option<&'static str>,
    kind: &'static str,
    autocomplete: &'static str,
    longest: usize,
    required: bool,
}

impl<'a> Input<'a> {
    /// A line that must be filled in.
    #[must_use]
    pub fn new(name: &'static str, label: &'static str, field: &'a Field) -> Self {
        let (hint, kind, autocomplete) = (None, "text", "off");
        Self { name, label, field, hint, kind, autocomplete, longest: 0, required: true }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// The same for a password; browsers fill in the present one or propose a new one.
    #[must_use]
    pub fn password(self, autocomplete: &'static str) -> Self {
        Self { kind: "password", autocomplete, ..self }
    }

    /// The same for a code of an authenticator.
    #[must_use]
    pub fn code(self) -> Self {
        Self { autocomplete: "one-time-code", ..self }
    }

    /// The same with a maximum number of characters.
    #[must_use]
    pub fn longest(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// The same, which may be left empty.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// The line as HTML.
    #[must_use]
    pub fn html(&self) -> Html {
        Html::trusted(self.render().unwrap_or_default())
    }

    /// The ids of what describes it.
    fn described(&self) -> String {
        let hint = self.hint.map(|_| format!("{}-h", self.name));
        let wrong = self.field.wrong.as_ref().map(|_| format!("{}-e", self.name));
        [hint, wrong].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// The hidden field with the tag of the settings that a form shows, so that settings that were
/// changed meanwhile are not overwritten.
#[must_use]
pub fn seen(tag: &str) -> Html {
    crate::html!("<input type=\"hidden\" name=\"seen\" value=\"{}\">", Html::text(tag))
}

/// A secret that is shown once.
#[derive(Debug, Clone)]
pub struct Once {
    /// What it is.
    pub heading: &'static str,
    /// What to do with it.
    pub lead: Html,
    /// The secret.
    pub secret: String,
    /// The page without it.
    pub hide: String,
}
