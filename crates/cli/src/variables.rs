//! Environment variables as sources of arguments, by one rule for every command: the
//! variable of an argument declared with `env` is `TEGATA_` and the argument's name, an
//! empty variable counts as unset, and an error about a variable's value names the
//! variable. An error about an id names the command that finds it.

use crate::{ids::finder, terminal::printable};
use clap::{
    Arg, Command, Error,
    error::{ContextKind, ContextValue},
};
use std::error::Error as _;

const PREFIX: &str = "TEGATA_";

/// Adds the variables to a command's arguments.
pub fn apply(command: Command) -> Command {
    command.mut_args(prefixed).mut_subcommands(apply)
}

fn prefixed(arg: Arg) -> Arg {
    let Some(name) = arg.get_env().and_then(|it| it.to_str()).map(str::to_owned) else {
        return arg;
    };
    let arg = match name.strip_prefix(PREFIX) {
        Some(_) => arg,
        None => arg.env(format!("{PREFIX}{name}")),
    };
    let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|it| it.is_empty());
    if is_empty { arg.env(None::<&str>) } else { arg }
}

/// Adds the next step to an error about a wrong value: the variable that the value is from, and
/// the command that finds an id. What steers terminals in what was given is escaped.
pub fn explain(mut error: Error, command: &mut Command) -> Error {
    let given = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(printable(text)))),
        _ => None,
    });
    for (kind, text) in given.collect::<Vec<_>>() {
        error.insert(kind, text);
    }
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    // An argument can be printed only once its command is built.
    command.build();
    let variable = arguments(command).find(|arg| arg.to_string() == *wrong && is_unflagged(arg));
    let mut tips = Vec::new();
    if let Some(variable) = variable.and_then(Arg::get_env) {
        tips.push(format!("the value is from the variable {}", variable.display()));
    }
    let given = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(given)) => given.as_str(),
        _ => "",
    };
    // The types of ids name what they identify.
    let about = error.source().map(ToString::to_string).unwrap_or_default();
    let is_id = [" id is ", "'s id is ", "a position is "].iter().any(|it| about.contains(it));
    tips.extend(is_id.then(|| finder(&about, given)).flatten());
    if !tips.is_empty() {
        let tips = tips.into_iter().map(Into::into).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Variables that no argument declares: the secrets and other settings that are read by name,
/// and those of the project's own tests.
const OTHERS: [&str; 9] = [
    "TEGATA_ADMIN_TOKEN",
    "TEGATA_ADMIN_TOKEN_FILE",
    "TEGATA_CHANNEL_SECRET",
    "TEGATA_GITLAB_REVOCATION_TOKEN",
    "TEGATA_LONG",
    "TEGATA_OIDC_CLIENT_SECRET",
    "TEGATA_VERIFIER_TOKEN",
    "TEGATA_VERIFIER_TOKEN_FILE",
    "TEGATA_WEBHOOK_SECRET",
];

/// Describes each variable that is set under a name that differs from a known one in a letter or
/// two. Other unknown names are not mentioned: Kubernetes sets `TEGATA_PORT` and more for a
/// service of that name, and the file of an agent may name variables of its own.
pub fn misspelt() -> Vec<String> {
    let is_set = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        name.into_string().ok().filter(|_| !value.is_empty())
    };
    let found = misspelt_of(&crate::command_line(), std::env::vars_os().filter_map(is_set));
    let text = |(name, meant): (String, String)| {
        format!("the variable {name} has no effect; is {meant} meant?")
    };
    found.into_iter().map(text).collect()
}

/// The names that are almost those of known variables, each with the known one.
fn misspelt_of(root: &Command, names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let declared = arguments(root).filter_map(|arg| arg.get_env()?.to_str());
    let known: Vec<&str> = declared.chain(OTHERS).collect();
    let meant = |name: &str| {
        let own = name.strip_prefix(PREFIX).filter(|_| !known.contains(&name))?;
        let most = if own.len() < 8 { 1 } else { 2 };
        let distances = known.iter().map(|it| (distance(name, it), *it));
        distances.filter(|(distance, _)| *distance <= most).min().map(|(_, it)| it.to_owned())
    };
    names.filter_map(|name| meant(&name).map(|meant| (name, meant))).collect()
}

/// How many letters to insert, to remove or to replace so that one word becomes the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (left, same) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != same);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[other.len()]
}

/// All arguments of the command and of its subcommands.
fn arguments(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    let below = command.get_subcommands().flat_map(arguments);
    Box::new(command.get_arguments().chain(below))
}

/// Whether the argument has a value from its variable: it is set, and there is no flag.
fn is_unflagged(arg: &Arg) -> bool {
    let Some(flag) = arg.get_long().map(|it| format!("--{it}")) else { return false };
    let is_flag = |word: std::ffi::OsString| {
        word.to_str().is_some_and(|word| word.split('=').next() == Some(&flag))
    };
    arg.get_env().is_some_and(|it| std::env::var_os(it).is_some())
        && !std::env::args_os().any(is_flag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn a_name_that_is_almost_a_known_one_is_noticed_and_no_other() {
        let names = ["TEGATA_LISTN", "TEGATA_PUBIC_URL", "TEGATA_LISTEN", "TEGATA_PORT", "LISTN"];
        let more = ["TEGATA_SERVICE_HOST", "TEGATA_PORT_8080_TCP_ADDR", "TEGATA_ENV"];
        let names = names.into_iter().chain(more).map(str::to_owned);
        let expected =
            [("TEGATA_LISTN", "TEGATA_LISTEN"), ("TEGATA_PUBIC_URL", "TEGATA_PUBLIC_URL")];
        let expected = expected.map(|(name, meant)| (name.to_owned(), meant.to_owned()));
        assert_eq!(misspelt_of(&crate::command_line(), names), expected);
    }

    #[test]
    fn no_variable_of_the_project_is_taken_for_a_mistake() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut folders =
            ["crates", "docs", "bindings", "packaging"].map(|it| root.join(it)).to_vec();
        let mut names = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                // This file has mistakes as examples.
                } else if !path.ends_with("cli/src/variables.rs") {
                    let text = fs::read_to_string(&path).unwrap_or_default();
                    let is_name = |it: &char| it.is_ascii_uppercase() || *it == '_';
                    let rest = text.split(PREFIX).skip(1);
                    let own = rest.map(|it| it.chars().take_while(is_name).collect::<String>());
                    names.extend(own.map(|it| format!("{PREFIX}{it}")));
                }
            }
        }
        assert!(names.len() > 60, "{names:?}");
        let found = misspelt_of(&crate::command_line(), names.into_iter());
        assert!(found.is_empty(), "{found:?}");
    }
}
