//! Fields of forms, with what was entered and what is wrong with it.

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
