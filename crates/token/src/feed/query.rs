//! The parameters of the feed's requests.

use super::{LONGEST_CANNOT, LONGEST_SEQ, STALENESS, VERSION};
use crate::id::{BadName, Position, decimal};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// The id of one running copy of a program that verifies: 22 to 64 characters of
/// base64url, drawn at random by each process. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Makes an id from random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_base64url = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        if (22..=64).contains(&text.len()) && text.bytes().all(is_base64url) {
            Ok(Self(text.into()))
        } else {
            Err(BadName("an instance is 22 to 64 characters of base64url"))
        }
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a follower does with a view that is older than the staleness. A later one is more
/// lenient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStale {
    /// Rejects every token, as unknown.
    Deny,
    /// Asks the authority about each token.
    Ask,
    /// Uses the view nevertheless.
    Allow,
}

impl OnStale {
    /// All, the strictest first.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Ask, Self::Allow];

    /// Its name in parameters and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ask => "ask",
            Self::Allow => "allow",
        }
    }
}

impl fmt::Display for OnStale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnStale {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or(BadName("`deny`, `ask` or `allow`"))
    }
}

/// A parameter of a request is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` {problem}")]
pub struct BadParameter {
    /// The parameter.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it is the version of the feed, and names one that this server does not speak.
    pub is_other_version: bool,
}

/// The parameters that all requests of the feed have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedQuery {
    /// The instance that asks.
    pub instance: InstanceId,
    /// The longest staleness among the instance's uses.
    pub staleness: Duration,
    /// What the most lenient of its uses does with an older view.
    pub on_stale: OnStale,
    /// Text that the response repeats.
    pub seq: Option<String>,
}

/// The parameters of a request for changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesQuery {
    /// The parameters that all requests have.
    pub common: FeedQuery,
    /// The position of the instance's view, which it thereby acknowledges.
    pub after: Position,
    /// The longest time to wait for a change.
    pub hold: Duration,
    /// Why the instance cannot apply what it received; acknowledges nothing.
    pub cannot: Option<String>,
    /// Whether the instance has made its last verification.
    pub bye: bool,
}

impl FeedQuery {
    /// Reads the parameters, already decoded. Parameters with other names are ignored.
    ///
    /// # Errors
    /// A parameter is missing, repeated or malformed.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadParameter> {
        Self::read(&Pairs::new(pairs)?)
    }

    fn read(pairs: &Pairs<'_>) -> Result<Self, BadParameter> {
        let version = pairs.required("speaks")?;
        if decimal(version) != Some(VERSION.into()) {
            let problem = format!("is `{version}`; this server speaks {VERSION}");
            return Err(BadParameter { name: "speaks", problem, is_other_version: true });
        }
        let staleness = pairs.milliseconds("staleness")?;
        if !STALENESS.contains(&staleness) {
            let (least, most) = (STALENESS.start().as_millis(), STALENESS.end().as_millis());
            let given = staleness.as_millis();
            return bad("staleness", format!("is {given}; the range is {least} to {most} ms"));
        }
        let seq = pairs.get("seq").map(str::to_owned);
        let is_plain = |it: &str| {
            let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
            (1..=LONGEST_SEQ).contains(&it.len()) && it.bytes().all(plain)
        };
        if seq.as_deref().is_some_and(|it| !is_plain(it)) {
            return bad("seq", format!("is not 1 to {LONGEST_SEQ} of A-Z a-z 0-9 - _"));
        }
        Ok(Self {
            instance: pairs.parsed("instance")?,
            staleness,
            on_stale: pairs.parsed("on_stale")?,
            seq,
        })
    }

    /// The parameters, not yet encoded.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("instance", self.instance.to_string()),
            ("staleness", self.staleness.as_millis().to_string()),
            ("on_stale", self.on_stale.to_string()),
            ("speaks", VERSION.to_string()),
        ];
        pairs.extend(self.seq.clone().map(|it| ("seq", it)));
        pairs
    }
}

impl ChangesQuery {
    /// Reads the parameters, already decoded. Parameters with other names are ignored.
    ///
    /// # Errors
    /// A parameter is missing, repeated or malformed.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadParameter> {
        let pairs = Pairs::new(pairs)?;
        let cannot = pairs.get("cannot").map(str::to_owned);
        let is_printable = |it: &str| {
            let length = it.chars().count();
            (1..=LONGEST_CANNOT).contains(&length) && !it.chars().any(char::is_control)
        };
        if cannot.as_deref().is_some_and(|it| !is_printable(it)) {
            return bad("cannot", format!("is not 1 to {LONGEST_CANNOT} printable characters"));
        }
        let bye = match pairs.get("bye") {
            None => false,
            Some("1") => true,
            Some(other) => return bad("bye", format!("is `{other}`; it can only be 1")),
        };
        Ok(Self {
            common: FeedQuery::read(&pairs)?,
            after: pairs.parsed("after")?,
            hold: pairs.milliseconds("hold")?,
            cannot,
            bye,
        })
    }

    /// The parameters, not yet encoded.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = self.common.pairs();
        pairs.push(("after", self.after.to_string()));
        pairs.push(("hold", self.hold.as_millis().to_string()));
        pairs.extend(self.cannot.clone().map(|it| ("cannot", it)));
        pairs.extend(self.bye.then(|| ("bye", "1".to_owned())));
        pairs
    }
}

fn bad<T>(name: &'static str, problem: String) -> Result<T, BadParameter> {
    Err(BadParameter { name, problem, is_other_version: false })
}

/// The names of all parameters.
const NAMES: [&str; 9] =
    ["instance", "staleness", "on_stale", "speaks", "seq", "after", "hold", "cannot", "bye"];

/// The parameters of a request, in the order of [`NAMES`].
struct Pairs<'a>([Option<&'a str>; NAMES.len()]);

impl<'a> Pairs<'a> {
    fn new(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadParameter> {
        let mut known = [None; NAMES.len()];
        for (name, value) in pairs {
            let place = NAMES.into_iter().zip(&mut known).find(|(it, _)| *it == name);
            let Some((name, known)) = place else { continue };
            if known.replace(value).is_some() {
                return bad(name, "is repeated".to_owned());
            }
        }
        Ok(Self(known))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = NAMES.into_iter().zip(self.0).find(|(it, _)| *it == name)?;
        value
    }

    fn required(&self, name: &'static str) -> Result<&'a str, BadParameter> {
        self.get(name).map_or_else(|| bad(name, "is missing".to_owned()), Ok)
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<T, BadParameter> {
        let value = self.required(name)?;
        value.parse().or_else(|error| bad(name, format!("is `{value}`: {error}")))
    }

    fn milliseconds(&self, name: &'static str) -> Result<Duration, BadParameter> {
        let value = self.required(name)?;
        match decimal(value) {
            Some(number) => Ok(Duration::from_millis(number)),
            None => bad(name, format!("is `{value}`, not a number of milliseconds")),
        }
    }
}
