//! What `agent.toml` says. Read strictly: an unknown key, a name that leads nowhere
//! or a setting without effect is an error that says what to write instead.

use crate::{key, wanted::Wanted};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tegata_token::{
    id::{ChannelId, Group},
    law::{Kind, Life},
    time::DAY,
};

/// The file cannot be read, or does not say what it must.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct BadConfig {
    path: PathBuf,
    what: String,
}

/// The whole of an agent's settings. Relative paths are taken from the file's folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the authority is: LINE's own service, or a Tegata.
    #[serde(default = "line")]
    pub authority: String,
    /// For whom assertions are; a channel of Tegata can be set to want its public address.
    #[serde(default = "audience")]
    pub audience: String,
    /// The folder in which tokens are kept over a restart; without one none are kept.
    pub state: Option<PathBuf>,
    /// A loopback address for health, metrics and tokens.
    pub listen: Option<SocketAddr>,
    /// A Unix socket for the same.
    pub socket: Option<PathBuf>,
    /// How often to see whether tokens are still good and files still hold them.
    #[serde(default = "a_minute")]
    pub look_seconds: u32,
    /// Who tokens are for.
    #[serde(default, rename = "channel")]
    pub channels: Vec<Channel>,
    /// The tokens to keep fresh.
    #[serde(default, rename = "token")]
    pub tokens: Vec<Token>,
    /// Where to put them.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<Sink>,
    /// Who may ask for them over HTTP.
    #[serde(default, rename = "caller")]
    pub callers: Vec<Caller>,
    /// Tokens of others, of which only the end is watched.
    #[serde(default, rename = "watch")]
    pub watched: Vec<Watched>,
}

/// A channel and where its credentials are. They are read anew for each request, so
/// that a credential that was replaced is found without a restart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// File with the private assertion key: a JWK or PEM.
    pub key_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub key_env: Option<String>,
    /// The id that the key is registered under, unless the JWK says it.
    pub key_id: Option<String>,
    /// File with the channel's secret.
    pub secret_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub secret_env: Option<String>,
}

/// A token to keep fresh.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called here.
    pub name: Group,
    /// For which channel.
    pub channel: ChannelId,
    /// For which group; only Tegata has them.
    pub group: Option<Group>,
    /// Of which kind; chosen by what there is to ask and to keep with.
    pub kind: Option<Kind>,
    /// How long a v2.1 token shall live, in seconds.
    pub lifetime: Option<i64>,
}

/// In what form a sink's file holds tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One token and nothing else.
    Token,
    /// `NAME=token`, a line each.
    Env,
    /// An object with one member for each token.
    Json,
    /// The manifest of a Kubernetes Secret.
    KubernetesSecret,
}

/// A place that tokens are put to, and who is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// Which tokens.
    pub tokens: Vec<Group>,
    /// The file, replaced as a whole; without one somebody is only told.
    pub path: Option<PathBuf>,
    /// What the file looks like.
    #[serde(default = "plain")]
    pub format: Format,
    /// The file's permission bits, in octal digits.
    #[serde(default)]
    pub mode: Mode,
    /// The file's owner: `USER`, `USER:GROUP` or `:GROUP`, names or numbers.
    pub owner: Option<String>,
    /// What tokens are called in the file, where not by their names.
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
    /// To which process.
    pub pid: Option<i32>,
    /// Or to the one whose number this file holds.
    pub pid_file: Option<PathBuf>,
}

/// Signals that programs take for "read your files again".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGHUP
    Hup,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGTERM, for what is started again by others.
    Term,
}

/// Permission bits; its owner's alone unless set.
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

/// Who may ask for tokens over HTTP, with a secret of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// What it is called in the log.
    pub name: Group,
    /// For which tokens.
    pub tokens: Vec<Group>,
    /// File with its secret.
    pub secret_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub secret_env: Option<String>,
}

/// A token that somebody else made and renews, or that has no end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// What it is called here.
    pub name: Group,
    /// File with the token.
    pub file: Option<PathBuf>,
    /// Environment variable with the same.
    pub env: Option<String>,
    /// How many days before its end to warn.
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

/// How many groups fit on one channel: 30 tokens of a kind, two a group.
const GROUPS_THAT_FIT: usize = 15;

/// The life of a v2.1 token that is not kept over a restart, in seconds, unless set.
const NOT_KEPT: i64 = 3 * 60 * 60;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`BadConfig`].
    pub fn read(path: &Path) -> Result<Self, BadConfig> {
        let wrong = |what: String| BadConfig { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(wrong)
    }

    /// Checks a text; `folder` is where relative paths begin.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
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

    fn check(&self) -> Result<(), String> {
        if self.tokens.is_empty() && self.watched.is_empty() {
            return Err("nothing to do: write at least one [[token]] or [[watch]]".to_owned());
        }
        if !(10..=86_400).contains(&self.look_seconds) {
            return Err("look_seconds is from 10 to 86400".to_owned());
        }
        let ids: Vec<_> = self.channels.iter().map(|it| it.id).collect();
        distinct("channel", &ids)?;
        let tokens = self.tokens.iter().map(|it| &it.name);
        distinct(
            "name",
            &tokens.chain(self.watched.iter().map(|it| &it.name)).collect::<Vec<_>>(),
        )?;
        for channel in &self.channels {
            let of = format!("channel {}", channel.id);
            at_most_one(&of, "key", channel.key_file.is_some(), channel.key_env.is_some())?;
            at_most_one(
                &of,
                "secret",
                channel.secret_file.is_some(),
                channel.secret_env.is_some(),
            )?;
        }
        self.tokens.iter().try_for_each(|token| self.check_token(token))?;
        self.check_sinks()?;
        self.check_http()?;
        for watched in &self.watched {
            let of = format!("watch {}", watched.name);
            exactly_one(&of, "file or env", watched.file.is_some(), watched.env.is_some())?;
        }
        Ok(())
    }

    fn check_token(&self, token: &Token) -> Result<(), String> {
        let of = format!("token {}", token.name);
        let channel = self.channel(token.channel).ok_or_else(|| {
            format!("{of}: there is no [[channel]] with the id {}", token.channel)
        })?;
        let (has_key, has_secret) = (channel.has_key(), channel.has_secret());
        match token.kind {
            _ if !has_key && !has_secret => Err(format!(
                "channel {}: write key_file or secret_file (or key_env, secret_env)",
                channel.id
            )),
            Some(Kind::LongLived) => Err(format!(
                "{of}: an administrator makes long-lived tokens; use [[watch]] to be warned of \
                 their end"
            )),
            Some(Kind::V21) if !has_key => Err(format!("{of}: v2.1 needs the channel's key_file")),
            Some(Kind::ShortLived) if !has_secret => {
                Err(format!("{of}: short-lived needs the channel's secret_file"))
            }
            _ => Ok(()),
        }?;
        let longest = longest();
        match token.lifetime {
            Some(_) if self.kind(token) != Kind::V21 => {
                Err(format!("{of}: only v2.1 tokens have a lifetime to choose"))
            }
            Some(seconds) if !(1..=longest).contains(&seconds) => {
                Err(format!("{of}: lifetime is from 1 to {longest} seconds"))
            }
            _ => Ok(()),
        }
    }

    fn check_sinks(&self) -> Result<(), String> {
        let paths: Vec<_> = self.sinks.iter().filter_map(|it| it.path.as_ref()).collect();
        distinct(
            "path",
            &paths.iter().map(|it| it.display()).map(|it| it.to_string()).collect::<Vec<_>>(),
        )?;
        for (number, sink) in self.sinks.iter().enumerate() {
            let of = sink.label(number);
            self.known(&of, &sink.tokens)?;
            let fits = sink.path.is_some();
            if sink.format == Format::Token && fits && sink.tokens.len() != 1 {
                return Err(format!(
                    "{of}: the format \"token\" holds one token; use \"json\" or \"env\""
                ));
            }
            if sink.secret_name.is_some() != (sink.format == Format::KubernetesSecret) {
                return Err(format!(
                    "{of}: secret_name goes with the format \"kubernetes-secret\""
                ));
            }
            let told = sink.command.is_some() || sink.signal.is_some();
            if !fits && !told {
                return Err(format!("{of}: write a path, a command or a signal"));
            }
            if sink.command.as_ref().is_some_and(Vec::is_empty) {
                return Err(format!("{of}: the command is empty"));
            }
            let process = sink.pid.is_some() || sink.pid_file.is_some();
            at_most_one(&of, "pid", sink.pid.is_some(), sink.pid_file.is_some())?;
            if sink.signal.is_some() != process || sink.pid.is_some_and(|pid| pid < 2) {
                return Err(format!("{of}: a signal needs a pid_file (or a pid above 1)"));
            }
            if let Some(name) = sink.names.values().find(|name| !is_plain(name)) {
                return Err(format!(
                    "{of}: {name:?} is no name; use letters, digits, `.`, `_`, `-`"
                ));
            }
            let names: Vec<_> = sink.tokens.iter().map(|token| sink.name_of(token)).collect();
            distinct(&format!("{of}: name"), &names)?;
            if let Some(token) = sink.names.keys().find(|it| !sink.tokens.contains(it)) {
                return Err(format!("{of}: names has {token}, which is not among its tokens"));
            }
        }
        Ok(())
    }

    fn check_http(&self) -> Result<(), String> {
        if self.listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err("listen: loopback only, such as 127.0.0.1:9470".to_owned());
        }
        distinct("caller", &self.callers.iter().map(|it| &it.name).collect::<Vec<_>>())?;
        if !self.callers.is_empty() && self.listen.is_none() && self.socket.is_none() {
            return Err("callers need a socket or a listen address to ask at".to_owned());
        }
        for caller in &self.callers {
            let of = format!("caller {}", caller.name);
            self.known(&of, &caller.tokens)?;
            let (file, env) = (caller.secret_file.is_some(), caller.secret_env.is_some());
            exactly_one(&of, "secret_file or secret_env", file, env)?;
        }
        Ok(())
    }

    fn known(&self, of: &str, names: &[Group]) -> Result<(), String> {
        if names.is_empty() {
            return Err(format!("{of}: tokens is empty"));
        }
        distinct(&format!("{of}: token"), &names.iter().collect::<Vec<_>>())?;
        match names.iter().find(|name| self.tokens.iter().all(|token| token.name != **name)) {
            Some(name) => Err(format!("{of}: there is no [[token]] with the name {name}")),
            None => Ok(()),
        }
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
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|it| it.id == id)
    }

    /// The kind of a token: as set, or else stateless where nothing is kept over a
    /// restart, which would cost a token each time; or else what there is proof for.
    #[must_use]
    pub fn kind(&self, token: &Token) -> Kind {
        let has_key = || self.channel(token.channel).is_some_and(Channel::has_key);
        match token.kind {
            Some(kind) => kind,
            None if token.lifetime.is_some() => Kind::V21,
            None if self.state.is_none() => Kind::Stateless,
            None if has_key() => Kind::V21,
            None => Kind::ShortLived,
        }
    }

    /// What a token's entry asks for.
    #[must_use]
    pub fn wanted(&self, token: &Token) -> Wanted {
        let usual = if self.state.is_some() { longest() } else { NOT_KEPT };
        Wanted {
            channel: token.channel,
            group: token.group.clone(),
            kind: self.kind(token),
            lifetime: token.lifetime.unwrap_or(usual),
        }
    }

    /// What is allowed, but will not go well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for token in &self.tokens {
            let kind = self.kind(token);
            if kind.is_stored() {
                let alone = token.group.is_none().then_some(&token.name);
                groups.entry((token.channel, kind)).or_default().insert((&token.group, alone));
            }
        }
        let too_many = groups.into_iter().filter(|(_, groups)| groups.len() > GROUPS_THAT_FIT);
        too_many
            .map(|((channel, kind), groups)| {
                format!(
                    "channel {channel}: {} groups of {} tokens, but no more than \
                     {GROUPS_THAT_FIT} fit, two tokens each; use another channel for some",
                    groups.len(),
                    kind.rule().name
                )
            })
            .collect()
    }
}

impl Channel {
    fn has_key(&self) -> bool {
        self.key_file.is_some() || self.key_env.is_some()
    }

    fn has_secret(&self) -> bool {
        self.secret_file.is_some() || self.secret_env.is_some()
    }
}

impl Sink {
    /// What it is called in logs and health.
    #[must_use]
    pub fn label(&self, number: usize) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => format!("sink {}", number + 1),
        }
    }

    /// What a token is called in the file.
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

fn longest() -> i64 {
    match Kind::V21.rule().life {
        Life::AskedFor { longest } => longest,
        Life::Fixed(_) => 30 * DAY,
    }
}

/// Fit for a variable, a member and a key of a Secret.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(plain)
}

fn distinct<T: PartialEq + fmt::Display>(what: &str, all: &[T]) -> Result<(), String> {
    for (number, it) in all.iter().enumerate() {
        if all[..number].contains(it) {
            return Err(format!("{what} {it} is there twice"));
        }
    }
    Ok(())
}

fn at_most_one(of: &str, what: &str, file: bool, other: bool) -> Result<(), String> {
    if file && other { Err(format!("{of}: two places for the {what}; write one")) } else { Ok(()) }
}

fn exactly_one(of: &str, what: &str, file: bool, other: bool) -> Result<(), String> {
    if file == other { Err(format!("{of}: write exactly one of {what}")) } else { Ok(()) }
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
    fn the_least_file_means_lines_service_and_nothing_kept() {
        let config = with_token("").unwrap();
        assert_eq!(config.authority, "https://api.line.me");
        assert_eq!(config.channels[0].key_file.as_deref(), Some(Path::new("/etc/agent/k")));
        assert_eq!(config.channels[0].secret_file.as_deref(), Some(Path::new("/s")));
        assert_eq!(config.wanted(&config.tokens[0]).kind, Kind::Stateless);
    }

    #[test]
    fn with_a_folder_for_its_state_tokens_live_long_and_without_one_short() {
        let wanted = |text: &str| {
            let config = parse(text).unwrap();
            let wanted = config.wanted(&config.tokens[0]);
            (wanted.kind, wanted.lifetime)
        };
        assert_eq!(wanted(&format!("state = 's'\n{}", token(""))), (Kind::V21, 30 * DAY));
        assert_eq!(wanted(&token("kind = 'v2.1'")), (Kind::V21, NOT_KEPT));
        assert_eq!(wanted(&token("lifetime = 60")), (Kind::V21, 60));
        assert_eq!(wanted(&token("kind = 'short-lived'")).0, Kind::ShortLived);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let sink = |more: &str| format!("{}[[sink]]\ntokens = ['a']\n{more}", token(""));
        for (text, says) in [
            ("stat = 's'".to_owned(), "unknown field `stat`"),
            ("look_seconds = 1\n".to_owned() + &token(""), "from 10 to 86400"),
            (String::new(), "at least one [[token]]"),
            (token("kind = 'long-lived'"), "[[watch]]"),
            (token("kind = 'stateless'\nlifetime = 60"), "only v2.1"),
            (token("lifetime = 9999999"), "2592000"),
            (format!("{}{}", token(""), token("")), "name a is there twice"),
            (token("").replace("1234", "9999"), "no [[channel]]"),
            (sink(""), "a path, a command or a signal"),
            (sink("path = 'p'\nmode = '888'"), "octal"),
            (sink("path = 'p'\nformat = 'kubernetes-secret'"), "secret_name"),
            (sink("signal = 'HUP'"), "pid_file"),
            (sink("signal = 'HUP'\npid = 1"), "pid"),
            (sink("path = 'p'\nnames = { a = 'x y' }"), "no name"),
            (sink("path = 'p'").replace("['a']", "['b']"), "no [[token]] with the name b"),
            (format!("listen = '0.0.0.0:1'\n{}", token("")), "loopback"),
            (format!("{}[[caller]]\nname='c'\ntokens=['a']\nsecret_env='S'", token("")), "socket"),
            ("[[watch]]\nname = 'w'".to_owned(), "exactly one of file or env"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(says), "{text}\nsaid: {error}\nexpected: {says}");
        }
    }

    #[test]
    fn more_groups_than_fit_are_warned_of() {
        let tokens = |count: usize| {
            let one = |n| {
                token(&format!("kind = 'v2.1'\ngroup = 'g{n}'")).replace("'a'", &format!("'t{n}'"))
            };
            parse(&(0..count).map(one).collect::<String>()).unwrap().warnings()
        };
        assert!(tokens(15).is_empty());
        assert!(tokens(16)[0].contains("no more than 15 fit"));
    }
}
