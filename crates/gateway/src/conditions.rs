//! The conditions of a proxy's configuration, which narrow what is let through.
//!
//! An unknown name is an error: a misspelt one that let every token through would be
//! noticed only by an intruder.

use crate::query;
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

/// Conditions that are not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadConditions;

impl Conditions {
    /// Reads the query string of a proxy's subrequest.
    ///
    /// # Errors
    /// The query has an unknown name or a value that is none of that name's.
    pub fn of_query(query: Option<&str>) -> Result<Self, BadConditions> {
        let mut conditions = Self::default();
        let Some(query) = query else { return Ok(conditions) };
        for (name, value) in query::pairs(query.as_bytes()).map_err(|_| BadConditions)? {
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
        match name {
            "kind" => self.kinds.push(value.parse().map_err(|_| BadConditions)?),
            "channel" => self.channels.push(value.parse().map_err(|_| BadConditions)?),
            "group" => self.groups.push(value.parse().map_err(|_| BadConditions)?),
            _ => return Err(BadConditions),
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
            assert_eq!(Conditions::of_lists([(name, value)]), Err(BadConditions), "{name}={value}");
        }
        for query in ["chanel=1", "kind=", "group=%ff", "kind=v2.1&x"] {
            assert_eq!(Conditions::of_query(Some(query)), Err(BadConditions), "{query}");
        }
        assert_eq!(Conditions::of_query(Some("&")), Ok(Conditions::default()));
    }
}
