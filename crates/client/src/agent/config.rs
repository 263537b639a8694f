//! The settings file `agent.toml`. It is read strictly: an unknown key, an unknown name or
//! a setting without effect is an error that says what to write instead.

mod describe;
mod rules;

pub use describe::describe;

use crate::{key, wanted::Wanted};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tegata_policy::duration;
use tegata_system::file::{self, Links};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
};

/// A settings file that cannot be read or is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct BadConfig {
    path: PathBuf,
    what: String,
}

/// The settings of an agent. Relative paths start at the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The authority's address: LINE's own service, or a Tegata.
    #[serde(default = "line")]
    pub authority: String,
    /// The audience of assertions; a channel of Tegata can require Tegata's public address.
    #[serde(default = "audience")]
    pub audience: String,
    /// The folder that keeps tokens over a restart; without it, none are kept.
    pub state: Option<PathBuf>,
    /// A loopback address for health, metrics and tokens.
    pub listen: Option<SocketAddr>,
    /// A Unix socket for the same.
    pub socket: Option<PathBuf>,
    /// How often to verify tokens and to check that files still hold them.
    #[serde(default = "a_minute")]
    pub verify_interval_seconds: u32,
    /// The channels of the tokens.
    #[serde(default, rename = "channel")]
    pub channels: Vec<ChannelConfig>,
    /// The tokens to renew.
    #[serde(default, rename = "token")]
    pub tokens: Vec<TokenConfig>,
    /// Where to write them.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<SinkConfig>,
    /// The clients that may request them over HTTP.
    #[serde(default, rename = "caller")]
    pub callers: Vec<Caller>,
    /// Tokens of other owners, which are only watched.
    #[serde(default, rename = "watch")]
    pub watched: Vec<Watched>,
}

/// A channel and the source of its credentials. They are read again for each request, so
/// a replaced credential needs no restart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Its id.
    pub id: ChannelId,
    /// File with the private assertion key: a JWK or PEM.
    pub key_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub key_env: Option<String>,
    /// The id that the key is registered under, unless the JWK contains it.
    pub key_id: Option<String>,
    /// File with the channel's secret.
    pub secret_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub secret_env: Option<String>,
}

/// A token to renew.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Its name in this file.
    pub name: Group,
    /// Its channel.
    pub channel: ChannelId,
    /// Its group; only Tegata has groups.
    pub group: Option<Group>,
    /// Its kind; by default chosen by the channel's credentials and by `state`.
    pub kind: Option<Kind>,
    /// Lifetime of a v2.1 token, in seconds; in the file a number of them, or a text such as
    /// `"24h"`.
    #[serde(default, deserialize_with = "seconds")]
    pub lifetime: Option<i64>,
}

/// Reads a duration: a number of seconds, or a text with a unit.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number of seconds or a text such as \"24h\"")]
    enum Written {
        Number(i64),
        Text(String),
    }
    match Written::deserialize(from)? {
        Written::Number(seconds) => Ok(Some(seconds)),
        Written::Text(text) => {
            let whole = duration::read(&text).filter(|it| it.subsec_nanos() == 0);
            let seconds = whole.and_then(|it| i64::try_from(it.as_secs()).ok());
            // The text could be a misplaced secret.
            seconds.map(Some).ok_or_else(|| D::Error::custom("expected a duration such as \"24h\""))
        }
    }
}

/// The format of a sink's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One token and nothing else.
    Token,
    /// A line `NAME=token` for each token.
    Env,
    /// An object with one member for each token.
    Json,
    /// The manifest of a Kubernetes Secret.
    KubernetesSecret,
}

/// A file that tokens are written to, and the program that is notified of a change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// The tokens to write.
    pub tokens: Vec<Group>,
    /// The file, replaced as a whole; without it, the sink only notifies a program.
    pub path: Option<PathBuf>,
    /// The file's format.
    #[serde(default = "plain")]
    pub format: Format,
    /// The file's permission bits, in octal digits.
    #[serde(default)]
    pub mode: Mode,
    /// The file's owner: `USER`, `USER:GROUP` or `:GROUP`, names or numbers.
    pub owner: Option<String>,
    /// Names of tokens in the file, where they differ.
    #[serde(default)]
    pub names: BTreeMap<Group, String>,
    /// The Secret's name.
    pub secret_name: Option<String>,
    /// The Secret's namespace.
    pub namespace: Option<String>,
    /// A command to run after a change: a program and its arguments.
    pub command: Option<Vec<String>>,
    /// A signal to send after a change.
    pub signal: Option<Signal>,
    /// The process that gets the signal.
    pub pid: Option<i32>,
    /// File with the number of that process.
    pub pid_file: Option<PathBuf>,
}

/// Signals that make programs reload their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGHUP
    Hup,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGTERM, for a program that a supervisor restarts.
    Term,
}

/// Permission bits; by default only the owner has access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl Default for Mode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
        let mode = mode.ok_or("a mode is octal digits such as \"0640\"")?;
        if mode & 0o400 == 0 {
            return Err("a mode must let the owner read".to_owned());
        }
        Ok(Self(mode))
    }
}

/// A client that may request tokens over HTTP with a secret of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Its name in the log.
    pub name: Group,
    /// The tokens that it may request.
    pub tokens: Vec<Group>,
    /// File with its secret.
    pub secret_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub secret_env: Option<String>,
}

/// A token that another program renews, or that does not expire.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Its name in this file.
    pub name: Group,
    /// File with the token.
    pub file: Option<PathBuf>,
    /// Environment variable with the same.
    pub env: Option<String>,
    /// How many days before its expiry to warn.
    #[serde(default = "a_week")]
    pub warn_days: u16,
}

fn line() -> String {
    crate::call::LINE.to_owned()
}
fn audience() -> String {
    key::AUDIENCE.to_owned()
}
fn plain() -> Format {
    Format::Token
}
fn a_minute() -> u32 {
    60
}
fn a_week() -> u16 {
    7
}

/// The longest file of settings, in bytes.
const LONGEST: u64 = 1 << 20;

/// The default lifetime of a v2.1 token that is not kept over a restart, in seconds.
const NOT_KEPT: i64 = 3 * 60 * 60;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`BadConfig`].
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        let wrong = |what: String| BadConfig { path: path.to_owned(), what };
        let text = file::read_argument(path, LONGEST).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(wrong)
    }

    /// Reads and checks a file again, in a service that runs: it does not wait for a pipe.
    ///
    /// # Errors
    /// [`BadConfig`].
    pub fn read_again(path: &Path) -> Result<Self, BadConfig> {
        let wrong = |what: String| BadConfig { path: path.to_owned(), what };
        let (text, _) =
            file::read(path, Links::Follow, LONGEST).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(wrong)
    }

    /// Parses and checks a text; relative paths start at `folder`.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| describe(&error, text))?;
        config.each_path(|path| *path = folder.join(&*path));
        config.check()?;
        Ok(config)
    }

    fn each_path(&mut self, mut change: impl FnMut(&mut PathBuf)) {
        let channels =
            self.channels.iter_mut().flat_map(|it| [&mut it.key_file, &mut it.secret_file]);
        let sinks = self.sinks.iter_mut().flat_map(|it| [&mut it.path, &mut it.pid_file]);
        let callers = self.callers.iter_mut().map(|it| &mut it.secret_file);
        let watched = self.watched.iter_mut().map(|it| &mut it.file);
        let own = [&mut self.state, &mut self.socket];
        let all = own.into_iter().chain(channels).chain(sinks).chain(callers).chain(watched);
        all.flatten().for_each(&mut change);
    }

    /// The environment variables that hold secrets.
    #[must_use]
    pub fn private_variables(&self) -> Vec<String> {
        let channels = self.channels.iter().flat_map(|it| [&it.key_env, &it.secret_env]);
        let callers = self.callers.iter().map(|it| &it.secret_env);
        let watched = self.watched.iter().map(|it| &it.env);
        channels.chain(callers).chain(watched).flatten().cloned().collect()
    }

    /// The channel of this id.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelConfig> {
        self.channels.iter().find(|it| it.id == id)
    }

    /// The kind of a token, if it is not set: stateless without `state`, since other kinds
    /// would cost a token at each restart; else what the channel's credentials allow.
    #[must_use]
    pub fn kind(&self, token: &TokenConfig) -> Kind {
        let has_key = || self.channel(token.channel).is_some_and(ChannelConfig::has_key);
        match token.kind {
            Some(kind) => kind,
            None if token.lifetime.is_some() => Kind::V21,
            None if self.state.is_none() => Kind::Stateless,
            None if has_key() => Kind::V21,
            None => Kind::ShortLived,
        }
    }

    /// The token that an entry requests.
    #[must_use]
    pub fn wanted(&self, token: &TokenConfig) -> Wanted {
        let usual = if self.state.is_some() { Kind::V21.life().longest() } else { NOT_KEPT };
        Wanted {
            channel: token.channel,
            group: token.group.clone(),
            kind: self.kind(token),
            lifetime: token.lifetime.unwrap_or(usual),
        }
    }
}

impl ChannelConfig {
    fn has_key(&self) -> bool {
        self.key_file.is_some() || self.key_env.is_some()
    }

    fn has_secret(&self) -> bool {
        self.secret_file.is_some() || self.secret_env.is_some()
    }

    /// Whether it has the credentials that revoke a token of this kind.
    #[must_use]
    pub fn can_retire(&self, kind: Kind) -> bool {
        kind != Kind::V21 || self.has_secret()
    }
}

impl SinkConfig {
    /// Its name in logs and health.
    #[must_use]
    pub fn label(&self, number: usize) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => format!("sink {}", number + 1),
        }
    }

    /// The name of a token in the file.
    #[must_use]
    pub fn name_of(&self, token: &Group) -> String {
        match (self.names.get(token), self.format) {
            (Some(name), _) => name.clone(),
            (None, Format::Env) => {
                let letter = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
                token.as_str().chars().map(letter).collect::<String>().to_uppercase()
            }
            (None, _) => token.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "[[channel]]\nid = '1234567890'\nkey_file = 'k'\nsecret_file = '/s'\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("{text}\n{CHANNEL}"), Path::new("/etc/agent"))
    }

    fn with_token(text: &str) -> Result<Config, String> {
        parse(&format!("{text}\n[[token]]\nname = 'a'\nchannel = '1234567890'\n"))
    }

    fn token(more: &str) -> String {
        format!("[[token]]\nname = 'a'\nchannel = '1234567890'\n{more}\n")
    }

    #[test]
    fn a_minimal_file_means_lines_service_and_no_kept_tokens() {
        let config = with_token("").unwrap();
        assert_eq!(config.authority, "https://api.line.me");
        assert_eq!(config.channels[0].key_file.as_deref(), Some(Path::new("/etc/agent/k")));
        assert_eq!(config.channels[0].secret_file.as_deref(), Some(Path::new("/s")));
        assert_eq!(config.wanted(&config.tokens[0]).kind, Kind::Stateless);
    }

    #[test]
    fn each_format_is_chosen_by_its_documented_name() {
        for (name, format) in
            [("token", Format::Token), ("env", Format::Env), ("json", Format::Json)]
        {
            let sink = format!("[[sink]]\ntokens = ['a']\npath = 'p'\nformat = '{name}'\n");
            let config = parse(&format!("{}{sink}", token(""))).unwrap();
            assert_eq!(config.sinks[0].format, format);
        }
    }

    #[test]
    fn with_a_state_folder_tokens_have_long_lifetimes_and_without_one_short() {
        let wanted = |text: &str| {
            let config = parse(text).unwrap();
            let wanted = config.wanted(&config.tokens[0]);
            (wanted.kind, wanted.lifetime)
        };
        assert_eq!(
            wanted(&format!("state = 's'\n{}", token(""))),
            (Kind::V21, Kind::V21.life().longest())
        );
        assert_eq!(wanted(&token("kind = 'v2.1'")), (Kind::V21, NOT_KEPT));
        assert_eq!(wanted(&token("lifetime = 60")), (Kind::V21, 60));
        assert_eq!(wanted(&token("lifetime = '2h'")), (Kind::V21, 7_200));
        assert_eq!(wanted(&token("kind = 'short-lived'")).0, Kind::ShortLived);
    }
}
