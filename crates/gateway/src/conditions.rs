//! The conditions of a proxy's configuration, which narrow what is let through.
//!
//! An unknown name is an error: a misspelt one that let every token through would be
//! noticed only by an intruder.

use crate::query::{self, BadEncoding};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Group},
    kind::Kind,
};

/// The conditions that a token must meet; an empty list means no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The kinds of which one is required.
    pub kinds: Vec<Kind>,
    /// The channels of which one is required.
    pub channels: Vec<ChannelId>,
    /// The groups of which one is required.
    pub groups: Vec<Group>,
}

/// Why conditions are not understood, with what is wrong in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConditions {
    /// There is no condition of this name.
    #[error("the parameter '{}' is unknown", shown(.0))]
    Name(String),
    /// The value is none of this name's.
    // The value is not repeated: a client may have put a secret there by mistake.
    #[error("the parameter '{name}' has an invalid value; use {}", values_of(name))]
    Value {
        /// The name.
        name: &'static str,
    },
    /// The query cannot be decoded.
    #[error(transparent)]
    Encoding(#[from] BadEncoding),
}

/// What a parameter can have, in words.
fn values_of(name: &str) -> &'static str {
    match name {
        "kind" => "v2.1, stateless, short-lived or long-lived",
        "channel" => "ten digits",
        _ => "the name of a group",
    }
}

/// A text of the configuration, short and without a character that has a meaning in JSON, in a
/// header, or in the configuration of a proxy.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

impl Conditions {
    /// Reads the query string of a proxy's subrequest.
    ///
    /// # Errors
    /// The query has an unknown name or a value that is none of that name's.
    pub fn of_query(query: Option<&str>) -> Result<Self, BadConditions> {
        let mut conditions = Self::default();
        let Some(query) = query else { return Ok(conditions) };
        for (name, value) in query::pairs(query.as_bytes())? {
            conditions.add(&name, &value)?;
        }
        Ok(conditions)
    }

    /// Reads names and values, where one value may be a list with commas: `kind` is
    /// `v2.1,stateless`.
    ///
    /// # Errors
    /// As [`Conditions::of_query`].
    pub fn of_lists<'a>(
        lists: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadConditions> {
        let mut conditions = Self::default();
        for (name, values) in lists {
            for value in values.split(',') {
                conditions.add(name, value.trim_ascii())?;
            }
        }
        Ok(conditions)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), BadConditions> {
        let none = |name| BadConditions::Value { name };
        match name {
            "kind" => self.kinds.push(value.parse().map_err(|_| none("kind"))?),
            "channel" => self.channels.push(value.parse().map_err(|_| none("channel"))?),
            "group" => self.groups.push(value.parse().map_err(|_| none("group"))?),
            _ => return Err(BadConditions::Name(name.to_owned())),
        }
        Ok(())
    }

    /// Whether a token meets all of them.
    #[must_use]
    pub fn are_met_by(&self, token: &Claims) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&token.kind))
            && (self.channels.is_empty() || self.channels.contains(&token.channel))
            && (self.groups.is_empty()
                || token.group.as_ref().is_some_and(|group| self.groups.contains(group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_repeated_parameter_of_a_query() {
        let query = "kind=v2.1&kind=stateless&channel=1234567890&group=a&group=b";
        let lists = [("kind", "v2.1, stateless"), ("channel", "1234567890"), ("group", "a,b")];
        assert_eq!(Conditions::of_query(Some(query)), Conditions::of_lists(lists));
        assert!(Conditions::of_query(Some(query)).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (name, value) in [
            ("kinds", "v2.1"),
            ("Kind", "v2.1"),
            ("", ""),
            ("kind", ""),
            ("kind", "v2.1,"),
            ("kind", "v3"),
            ("channel", "1"),
            ("channel", "1234567890;"),
            ("group", "a b"),
            ("group", "a,"),
            ("group", ".."),
        ] {
            assert!(Conditions::of_lists([(name, value)]).is_err(), "{name}={value}");
        }
        let long = format!("{}=1", "x".repeat(100));
        for (query, words) in [
            ("chanel=1", "the parameter 'chanel' is unknown"),
            (
                "kind=",
                "the parameter 'kind' has an invalid value; use v2.1, stateless, short-lived or long-lived",
            ),
            (
                "kind=v3",
                "the parameter 'kind' has an invalid value; use v2.1, stateless, short-lived or long-lived",
            ),
            ("channel=1", "the parameter 'channel' has an invalid value; use ten digits"),
            (
                "group=a%22%5C%0D%0Ab",
                "the parameter 'group' has an invalid value; use the name of a group",
            ),
            ("group=%ff", "a parameter is not percent-encoded UTF-8"),
            ("kind=v2.1&x", "the parameter 'x' is unknown"),
            (&long, &format!("the parameter '{}' is unknown", "x".repeat(40))),
        ] {
            let bad = Conditions::of_query(Some(query)).unwrap_err();
            assert_eq!(bad.to_string(), words, "{query}");
        }
        assert_eq!(Conditions::of_query(Some("&")), Ok(Conditions::default()));
    }
}
