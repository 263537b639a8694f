//! The sources of the settings of `serve`: flags, environment variables, the settings
//! file and defaults, in this order of precedence.

use super::{
    file::{declared, flag, with_defaults},
    settings::ServeSettings,
};
use crate::failure::BadUsage;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use std::{
    ffi::OsString,
    marker::PhantomData,
    path::{Path, PathBuf},
};
use tegata_system::file::{self, Links, read_argument};

/// The flags and variables of a command that takes the arguments `A`, all or some of
/// [`ServeSettings`], and `--config`. The file is read when they are resolved.
pub struct Unresolved<A> {
    matches: ArgMatches,
    arguments: PhantomData<A>,
}

#[derive(Args)]
struct ConfigFile {
    /// Settings file of `serve`; a key is the flag's name with `_` for `-` [default:
    /// tegata.toml, if it exists].
    #[arg(long, env, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl<A: Args> Args for Unresolved<A> {
    fn augment_args(command: Command) -> Command {
        A::augment_args(ConfigFile::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        A::augment_args_for_update(ConfigFile::augment_args_for_update(command))
    }
}

impl<A> FromArgMatches for Unresolved<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { matches: matches.clone(), arguments: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

/// The largest file of settings, in bytes.
const LARGEST: u64 = 1 << 20;

/// The settings file that is read if it exists and no other is named.
const USUAL_FILE: &str = "tegata.toml";

impl<A> Unresolved<A> {
    /// Resolves all settings, including those that the command does not take as arguments.
    pub fn resolve(&self) -> anyhow::Result<ServeSettings> {
        Ok(ServeSettings::from_arg_matches(&self.combine()?)?)
    }

    /// Combines the sources: the arguments as flags, with the file's values as defaults.
    fn combine(&self) -> anyhow::Result<ArgMatches> {
        let named = self.matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
        let read = read_file(named).map_err(|error| match self.matches.value_source("config") {
            Some(ValueSource::EnvVariable) => {
                BadUsage(format!("the variable TEGATA_CONFIG: {error}"))
            }
            Some(ValueSource::CommandLine) => BadUsage(format!("--config {error}")),
            _ => BadUsage(error.to_string()),
        })?;
        let command = match read {
            None => declared(),
            Some((file, text)) => with_defaults(declared(), &text)
                .map_err(|what| BadUsage(format!("{}: {what}", file.display())))?,
        };
        let given: Vec<OsString> =
            command.get_arguments().flat_map(|arg| self.given(arg)).collect();
        Ok(command.try_get_matches_from(given)?)
    }

    /// The values of an argument that a flag or a variable sets, as flags.
    fn given(&self, arg: &Arg) -> Vec<OsString> {
        let id = arg.get_id().as_str();
        let is_given = self.matches.ids().any(|it| it == id)
            && self.matches.value_source(id) != Some(ValueSource::DefaultValue);
        // `get_raw` panics for an argument that the command does not take.
        let values = is_given.then(|| self.matches.get_raw(id)).flatten();
        values.into_iter().flatten().map(|value| flag(arg, value.to_owned())).collect()
    }
}

fn read_file(named: Option<&Path>) -> anyhow::Result<Option<(&Path, String)>> {
    let usual = Path::new(USUAL_FILE);
    let text = match named {
        Some(file) => read_argument(file, LARGEST),
        // The current folder may belong to another user.
        None if usual.exists() => file::read(usual, Links::Follow, LARGEST).map(|it| it.0),
        None => return Ok(None),
    };
    let file = named.unwrap_or(usual);
    let text = text.map_err(|error| BadUsage(format!("{}: {error}", file.display())))?;
    Ok(Some((file, text)))
}

#[cfg(test)]
mod tests;
