//! The rules for settings that types cannot express, each with an error that says what to
//! write, and warnings about settings that are allowed but cause problems.

use super::{Config, Format, SinkConfig, TokenConfig};
use crate::exchange::address;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use tegata_policy::rules::{CAP, GROUP_CAP};
use tegata_token::{id::Group, kind::Kind};

/// How many groups fit on one channel, each with its cap of tokens.
const GROUPS_THAT_FIT: usize = CAP / GROUP_CAP;

impl Config {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.tokens.is_empty() && self.watched.is_empty() {
            return Err("nothing to do: write at least one [[token]] or [[watch]]".to_owned());
        }
        if !(10..=86_400).contains(&self.verify_interval_seconds) {
            return Err("verify_interval_seconds must be from 10 to 86400".to_owned());
        }
        address(&self.authority).map_err(|error| format!("authority: {error}"))?;
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

    fn check_token(&self, token: &TokenConfig) -> Result<(), String> {
        let of = format!("token {}", token.name);
        let channel = self.channel(token.channel).ok_or_else(|| {
            format!("{of}: there is no [[channel]] with the id {}", token.channel)
        })?;
        let (has_key, has_secret) = (channel.has_key(), channel.has_secret());
        match self.kind(token) {
            _ if !has_key && !has_secret => Err(format!(
                "channel {}: write key_file or secret_file (or key_env, secret_env)",
                channel.id
            )),
            Kind::LongLived => Err(format!(
                "{of}: long-lived tokens are issued by an administrator; use [[watch]] to be \
                 warned before they expire"
            )),
            Kind::V21 if !has_key => Err(format!(
                "{of}: v2.1, the only kind with a `lifetime`, needs the channel's key_file"
            )),
            Kind::ShortLived if !has_secret => {
                Err(format!("{of}: short-lived needs the channel's secret_file"))
            }
            _ => Ok(()),
        }?;
        let longest = Kind::V21.life().longest();
        match token.lifetime {
            Some(_) if self.kind(token) != Kind::V21 => {
                Err(format!("{of}: only v2.1 tokens have a settable lifetime; remove `lifetime`"))
            }
            Some(seconds) if !(1..=longest).contains(&seconds) => {
                Err(format!("{of}: lifetime must be from 1 to {longest} seconds"))
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
        self.sinks.iter().enumerate().try_for_each(|(number, sink)| {
            let of = sink.label(number);
            self.known(&of, &sink.tokens)?;
            sink.check_file()
                .and_then(|()| sink.check_notification())
                .map_err(|why| format!("{of}: {why}"))
        })
    }

    fn check_http(&self) -> Result<(), String> {
        if self.listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err("listen: use a loopback address, such as 127.0.0.1:9470".to_owned());
        }
        distinct("caller", &self.callers.iter().map(|it| &it.name).collect::<Vec<_>>())?;
        if !self.callers.is_empty() && self.listen.is_none() && self.socket.is_none() {
            return Err("a [[caller]] needs `socket` or `listen`; set one of them".to_owned());
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
            return Err(format!("{of}: tokens is empty; name at least one [[token]]"));
        }
        distinct(&format!("{of}: token"), &names.iter().collect::<Vec<_>>())?;
        match names.iter().find(|name| self.tokens.iter().all(|token| token.name != **name)) {
            Some(name) => Err(format!("{of}: there is no [[token]] with the name {name}")),
            None => Ok(()),
        }
    }

    /// Warnings about settings that are allowed but cause problems.
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
        let too_many = too_many.map(|((channel, kind), groups)| {
            format!(
                "channel {channel}: {} groups of {} tokens, but no more than \
                 {GROUPS_THAT_FIT} fit, two tokens each; use another channel for some",
                groups.len(),
                kind.name()
            )
        });
        too_many.chain(self.shared_groups()).collect()
    }

    /// Warnings about tokens of one group: the renewal of one evicts another.
    fn shared_groups(&self) -> impl Iterator<Item = String> {
        let same = |a: &TokenConfig, b: &TokenConfig| {
            (a.channel, &a.group, self.kind(a)) == (b.channel, &b.group, self.kind(b))
        };
        let stored = |it: &&TokenConfig| it.group.is_some() && self.kind(it).is_stored();
        self.tokens.iter().enumerate().filter(move |(_, it)| stored(it)).filter_map(
            move |(number, token)| {
                let other = self.tokens[..number].iter().find(|other| same(other, token))?;
                Some(format!(
                    "tokens {} and {} share a group, which holds two tokens in all: each renewal \
                     evicts one in use; write one [[token]] and several [[sink]]s",
                    other.name, token.name
                ))
            },
        )
    }
}

impl SinkConfig {
    fn check_file(&self) -> Result<(), String> {
        if self.format == Format::Token && self.path.is_some() && self.tokens.len() != 1 {
            return Err("the format \"token\" holds one token; use \"json\" or \"env\"".to_owned());
        }
        if self.secret_name.is_some() != (self.format == Format::KubernetesSecret) {
            return Err(
                "the format \"kubernetes-secret\" needs secret_name, and no other format has it"
                    .to_owned(),
            );
        }
        for (key, name) in [("secret_name", &self.secret_name), ("namespace", &self.namespace)] {
            if let Some(name) = name.as_ref().filter(|name| !is_dns(name)) {
                return Err(format!(
                    "{key}: {name:?} is not valid; use a-z, 0-9 and `-` (RFC 1123)"
                ));
            }
        }
        if let Some(token) = self.names.keys().find(|it| !self.tokens.contains(it)) {
            return Err(format!("`names` has {token}, which is not in `tokens`"));
        }
        let names: Vec<_> = self.tokens.iter().map(|token| self.name_of(token)).collect();
        distinct("name", &names)?;
        let (fits, of): (fn(&str) -> bool, _) = match self.format {
            Format::Env => (is_variable, "letters, digits and `_`, no digit first"),
            _ => (is_plain, "letters, digits, `.`, `_`, `-`"),
        };
        match names.iter().find(|name| !fits(name)) {
            Some(name) => Err(format!("{name:?} is not a valid name; set one in `names`, of {of}")),
            None => Ok(()),
        }
    }

    fn check_notification(&self) -> Result<(), String> {
        if self.path.is_none() && self.command.is_none() && self.signal.is_none() {
            return Err("write a path, a command or a signal".to_owned());
        }
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            return Err("the command is empty".to_owned());
        }
        let process = self.pid.is_some() || self.pid_file.is_some();
        at_most_one("signal", "pid", self.pid.is_some(), self.pid_file.is_some())?;
        if self.signal.is_some() != process || self.pid.is_some_and(|pid| pid < 2) {
            return Err("a signal needs a pid_file (or a pid above 1)".to_owned());
        }
        Ok(())
    }
}

/// Whether a name can be a JSON member and a key of a Secret.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(plain)
}

/// Whether a name can be a shell variable (POSIX.1, section 3.216).
fn is_variable(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.starts_with(|it: char| it.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(letter)
}

/// Whether a name is a DNS label (RFC 1123, section 2.1), valid for every Kubernetes object.
fn is_dns(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    (1..=63).contains(&name.len()) && ends && name.bytes().all(inner)
}

fn distinct<T: PartialEq + fmt::Display>(what: &str, all: &[T]) -> Result<(), String> {
    for (number, it) in all.iter().enumerate() {
        if all[..number].contains(it) {
            return Err(format!("{what} {it} appears twice"));
        }
    }
    Ok(())
}

fn at_most_one(of: &str, what: &str, file: bool, other: bool) -> Result<(), String> {
    if file && other { Err(format!("{of}: the {what} is set twice; write one")) } else { Ok(()) }
}

fn exactly_one(of: &str, what: &str, file: bool, other: bool) -> Result<(), String> {
    if file == other { Err(format!("{of}: write exactly one of {what}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const CHANNEL: &str = "[[channel]]\nid = '1234567890'\nkey_file = 'k'\nsecret_file = '/s'\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("{text}\n{CHANNEL}"), Path::new("/etc/agent"))
    }

    fn token(more: &str) -> String {
        format!("[[token]]\nname = 'a'\nchannel = '1234567890'\n{more}\n")
    }

    #[test]
    fn an_error_says_what_to_write() {
        let sink = |more: &str| format!("{}[[sink]]\ntokens = ['a']\n{more}", token(""));
        for (text, says) in [
            ("stat = 's'".to_owned(), "unknown field `stat`"),
            ("verify_interval_seconds = 1\n".to_owned() + &token(""), "from 10 to 86400"),
            (format!("authority = 'api.line.me'\n{}", token("")), "https://HOST"),
            (String::new(), "at least one [[token]]"),
            (token("kind = 'long-lived'"), "[[watch]]"),
            (token("kind = 'stateless'\nlifetime = 60"), "only v2.1"),
            (token("lifetime = 9999999"), "2592000"),
            (token("lifetime = '721h'"), "2592000"),
            (format!("{}{}", token(""), token("")), "name a appears twice"),
            (token("").replace("1234", "9999"), "no [[channel]]"),
            (sink(""), "a path, a command or a signal"),
            (sink("path = 'p'\nmode = '888'"), "octal"),
            (sink("path = 'p'\nformat = 'kubernetes-secret'"), "secret_name"),
            (sink("signal = 'HUP'"), "pid_file"),
            (sink("signal = 'HUP'\npid = 1"), "pid"),
            (sink("path = 'p'\nnames = { a = 'x y' }"), "not a valid name"),
            (sink("path = 'p'\nformat = 'env'\nnames = { a = 'x-y' }"), "no digit first"),
            (sink("path = 'p'\nformat = 'env'\nnames = { a = '1x' }"), "no digit first"),
            (sink("path = 'p'\nformat = 'kubernetes-secret'\nsecret_name = 'A_b'"), "RFC 1123"),
            (
                sink(
                    "path = 'p'\nformat = 'kubernetes-secret'\nsecret_name = 'a'\nnamespace = '-'",
                ),
                "namespace",
            ),
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
    fn a_lifetime_without_a_key_is_refused_as_no_token_can_have_one() {
        let text = format!(
            "{}[[channel]]\nid = '1234567890'\nsecret_file = '/s'\n",
            token("lifetime = 60")
        );
        let error = Config::parse(&text, Path::new("/etc/agent")).unwrap_err();
        assert!(error.contains("needs the channel's key_file"), "{error}");
    }

    #[test]
    fn more_groups_than_fit_cause_a_warning() {
        let tokens = |count: usize| {
            let one = |n| {
                token(&format!("kind = 'v2.1'\ngroup = 'g{n}'")).replace("'a'", &format!("'t{n}'"))
            };
            parse(&(0..count).map(one).collect::<String>()).unwrap().warnings()
        };
        assert!(tokens(15).is_empty());
        assert!(tokens(16)[0].contains("no more than 15 fit"));
    }

    #[test]
    fn two_tokens_of_one_group_cause_a_warning() {
        let two = |a: &str, b: &str| {
            parse(&format!("{}{}", token(a), token(b).replace("'a'", "'b'"))).unwrap().warnings()
        };
        let group = "kind = 'v2.1'\ngroup = 'g'";
        let said = two(group, group);
        assert!(said.len() == 1 && said[0].contains("tokens a and b"), "{said:?}");
        assert!(two(group, "kind = 'short-lived'\ngroup = 'g'").is_empty(), "counted apart");
        assert!(two(group, "kind = 'v2.1'\ngroup = 'h'").is_empty());
        assert!(
            two("kind = 'v2.1'", "kind = 'v2.1'").is_empty(),
            "without a group none is evicted"
        );
    }

    #[test]
    fn a_misplaced_secret_is_not_repeated_in_the_error() {
        for wrong in
            ["secret = 'canary'", "secret_file = canary", "verify_interval_seconds = 'canary'"]
        {
            let error = parse(&format!("state = 's'\n{wrong}")).unwrap_err();
            assert!(!error.contains("canary") && error.contains("line 2"), "{error}");
        }
    }
}
