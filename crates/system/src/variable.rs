//! Reads environment variables; an empty one counts as unset. The command line's own
//! arguments are read by `clap`, by the same rule.

/// A variable whose value is not UTF-8.
#[derive(Debug, thiserror::Error)]
#[error("the variable {0} is not text in UTF-8")]
pub struct NotText(pub String);

/// The value of a variable; `None` if it is unset or empty.
///
/// # Errors
/// [`NotText`].
pub fn text(name: &str) -> Result<Option<String>, NotText> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|it| !it.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(NotText(name.to_owned())),
    }
}
