//! Pieces of HTML that are escaped already.

use askama::filters::HtmlSafe;
use std::fmt;

/// A piece of HTML, which a template does not escape again.
///
/// It is made of the texts of this crate and of values that escape themselves: [`Bdi`],
/// [`Code`], numbers and other pieces. See [`html!`](crate::html!).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// A piece from text that this crate wrote, or that is escaped.
    #[doc(hidden)]
    #[must_use]
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// A piece that shows this text as it is.
    #[must_use]
    pub fn text(text: &str) -> Self {
        match special(text) {
            None => Self(text.to_owned()),
            Some(_) => Self(Escaped(text).to_string()),
        }
    }

    /// The text alone, without its markup and not escaped; for the title of a window, which
    /// a template escapes.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        let mut in_tag = false;
        for it in self.0.chars() {
            match it {
                '<' => in_tag = true,
                '>' => in_tag = false,
                it if !in_tag => text.push(it),
                _ => {}
            }
        }
        // `&amp;` last: it is what the others are escaped with.
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
            .into_iter()
            .fold(text, |text, (escaped, plain)| text.replace(escaped, plain))
    }

    /// The piece as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// A text of this crate, which has no markup.
impl From<&'static str> for Html {
    fn from(text: &'static str) -> Self {
        Self::text(text)
    }
}

/// A text with values, which is shown as it is.
impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

/// Checks that a value escapes itself.
#[doc(hidden)]
pub fn safe<T: HtmlSafe>(value: T) -> T {
    value
}

/// Writes a piece of HTML: a literal of HTML, and arguments by position that all escape
/// themselves.
#[macro_export]
macro_rules! html {
    ($text:literal $(, $value:expr)* $(,)?) => {
        $crate::html::Html::trusted(format!($text $(, $crate::html::safe($value))*))
    };
}

/// A name that people chose, isolated from the direction of the text around it.
#[derive(Debug, Clone, Copy)]
pub struct Bdi<'a>(pub &'a str);

impl fmt::Display for Bdi<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<bdi>{}</bdi>", Escaped(self.0))
    }
}

impl HtmlSafe for Bdi<'_> {}

/// An id, which one click selects.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

impl<T: fmt::Display> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"id\">{}</span>", Escaped(&self.0.to_string()))
    }
}

impl<T: fmt::Display> HtmlSafe for Id<T> {}

/// A word of code.
#[derive(Debug, Clone, Copy)]
pub struct Code<'a>(pub &'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<code>{}</code>", Escaped(self.0))
    }
}

impl HtmlSafe for Code<'_> {}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = special(rest) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            f.write_str(match special.as_bytes()[0] {
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'&' => "&amp;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &special[1..];
        }
        f.write_str(rest)
    }
}

/// The place of the first character that is escaped. They are single bytes, which no other
/// character contains.
fn special(text: &str) -> Option<usize> {
    text.bytes().position(|it| matches!(it, b'<' | b'>' | b'&' | b'"' | b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_markup_is_shown_and_not_obeyed() {
        let name = Bdi("<script>alert('1')</script> & \"x\"");
        let shown = html!("Delete {}?", name);
        assert_eq!(
            shown.as_str(),
            "Delete <bdi>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;</bdi>?"
        );
        assert_eq!(Id("<b>").to_string(), "<span class=\"id\">&lt;b&gt;</span>");
        assert_eq!(Html::text("a<b").as_str(), "a&lt;b");
        assert_eq!(shown.plain(), "Delete <script>alert('1')</script> & \"x\"?");
        assert_eq!(Html::text("&lt;").plain(), "&lt;");
    }
}
