//! The settings file of `serve`.

use super::super::settings::Given;

/// A file is read or refused, and one with a key that nobody knows is refused.
pub fn file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let given = toml::from_str::<Given>(text);
    let table = toml::from_str::<toml::Table>(text);
    if given.is_ok() {
        assert!(table.is_ok(), "no TOML, and taken");
    }
    if let Ok(table) = table
        && !table.contains_key("no_such_setting")
    {
        let unknown = format!("no_such_setting = 1\n{text}");
        assert!(toml::from_str::<Given>(&unknown).is_err(), "an unknown key was taken");
    }
}
