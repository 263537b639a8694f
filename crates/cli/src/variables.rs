//! Environment variables as sources of arguments, by one rule for every command: the
//! variable of an argument declared with `env` is `TEGATA_` and the argument's name, an
//! empty variable counts as unset, and an error about a variable's value names the
//! variable. An error about an id names the command that finds it.

use crate::ids::finder;
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
/// the command that finds an id.
pub fn explain(mut error: Error, command: &mut Command) -> Error {
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
