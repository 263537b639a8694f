//! The settings file of `serve`.

use super::super::{
    file::{declared, with_defaults},
    settings::ServeSettings,
};
use clap::FromArgMatches;

/// A file is accepted or rejected, and one with an unknown key is rejected. An accepted
/// file gives valid settings.
pub fn file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let table = toml::from_str::<toml::Table>(text);
    if let Ok(command) = with_defaults(declared(), text) {
        assert!(table.is_ok(), "accepted, but not TOML");
        let matches = command.try_get_matches_from([""; 0]).expect("checked values");
        assert!(ServeSettings::from_arg_matches(&matches).is_ok(), "values without settings");
    }
    if let Ok(table) = table
        && !table.contains_key("no_such_setting")
    {
        let unknown = format!("no_such_setting = 1\n{text}");
        assert!(with_defaults(declared(), &unknown).is_err(), "an unknown key was accepted");
    }
}
