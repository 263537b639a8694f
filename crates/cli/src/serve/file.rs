//! The settings file. Its keys, types and checks are those of the declared arguments;
//! there is no second list of them.

use super::settings::ServeSettings;
use crate::duration::Seconds;
use clap::{
    Arg, ArgAction, Args, Command,
    error::{ContextKind, ContextValue},
};
use std::{
    any::TypeId,
    error::Error,
    ffi::OsString,
    num::{NonZeroU32, NonZeroUsize},
};
use tegata_client::agent::config::describe;
use toml::de::{DeTable, DeValue};

/// Writes one value of an argument as a flag.
pub fn flag(arg: &Arg, value: OsString) -> OsString {
    let mut flag = OsString::from(format!("--{}=", arg.get_long().unwrap_or_default()));
    flag.push(value);
    flag
}

/// The declared settings, as a command without a program name, help or variables.
pub fn declared() -> Command {
    ServeSettings::augment_args(Command::new("settings"))
        .no_binary_name(true)
        .disable_help_flag(true)
        .mut_args(|arg| arg.env(None::<&str>))
}

/// The command with the values of the settings file `text` as its defaults. An error
/// names the line and the key, and never a value, which could be a misplaced secret.
pub fn with_defaults(mut command: Command, text: &str) -> Result<Command, String> {
    let table = DeTable::parse(text).map_err(|error| describe(&error, text))?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let line = 1 + text[..key.span().start].matches('\n').count();
        let key = key.get_ref().as_ref();
        let wrong = |what: String| format!("line {line} ({key}): {what}");
        let Some(arg) = command.get_arguments().find(|arg| arg.get_id() == key) else {
            return Err(wrong(unknown(key, &command)));
        };
        let values = values(arg, value.get_ref()).map_err(wrong)?;
        check(arg, &values).map_err(wrong)?;
        command = command.mut_arg(key, |arg| arg.default_values(values));
    }
    Ok(command)
}

fn unknown(key: &str, command: &Command) -> String {
    let likeness = |known: &&str| strsim::jaro_winkler(known, key);
    let known = command.get_arguments().map(|arg| arg.get_id().as_str());
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default();
    format!(
        "unknown key `{key}`; did you mean `{nearest}`? `tegata serve --help` lists all \
         settings; a key is the flag's name with `_` for `-`"
    )
}

/// Converts a TOML value to the texts that the argument's flag takes.
fn values(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (value, arg.get_action()) {
        (DeValue::Array(all), ArgAction::Append) => {
            all.iter().map(|it| single(arg, it.get_ref())).collect()
        }
        (other, ArgAction::Append) => Err(format!("expected an array, found {}", form(other))),
        (value, _) => Ok(vec![single(arg, value)?]),
    }
}

/// The types of arguments that are written as integers in the file.
const INTEGERS: [TypeId; 4] = [
    TypeId::of::<u32>(),
    TypeId::of::<u64>(),
    TypeId::of::<NonZeroU32>(),
    TypeId::of::<NonZeroUsize>(),
];

fn single(arg: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let of = arg.get_value_parser().type_id();
    let (is_integer, is_boolean) =
        (INTEGERS.iter().any(|it| of == *it), of == TypeId::of::<bool>());
    let is_duration = of == TypeId::of::<Seconds>();
    match value {
        DeValue::Integer(number) if is_integer || is_duration => {
            i64::from_str_radix(number.as_str(), number.radix())
                .map(|it| it.to_string())
                .map_err(|_| "the integer is too large".to_owned())
        }
        DeValue::Boolean(it) if is_boolean => Ok(it.to_string()),
        DeValue::String(text) if !is_integer && !is_boolean => Ok(text.to_string()),
        other => {
            let wanted = match (is_integer, is_boolean, is_duration) {
                (true, ..) => "an integer",
                (_, true, _) => "a boolean",
                (.., true) => "a string such as \"15m\" or a number of seconds",
                _ => "a string",
            };
            Err(format!("expected {wanted}, found {}", form(other)))
        }
    }
}

fn form(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Checks values with the argument's own parser.
pub fn check(arg: &Arg, values: &[String]) -> Result<(), String> {
    let alone = Command::new("setting").no_binary_name(true).disable_help_flag(true).arg(arg);
    let flags = values.iter().map(|value| flag(arg, value.into()));
    let Err(error) = alone.try_get_matches_from(flags) else { return Ok(()) };
    if let Some(reason) = error.source() {
        return Err(reason.to_string());
    }
    Err(match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("expected one of: {}", valid.join(", "))
        }
        _ => "the value must not be empty".to_owned(),
    })
}
