//! What a command prints: plain aligned text for people, or the API's own JSON.

use crate::{
    api::EVERYWHERE,
    terminal::{note, printable},
};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{Write, stdout};
use tegata_policy::text::{counted, escaped, is_plain};
use unicode_width::UnicodeWidthStr;

/// Output format.
#[derive(clap::Args)]
pub struct Output {
    /// Output format; JSON is the API's response as it is.
    #[arg(long = "output", short = 'o', global = true, help_heading = EVERYWHERE,
          value_enum, default_value = "table")]
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
}

/// What a dry run is about: members of its table, before the counts.
const OBJECTS: [&str; 2] = ["provider", "channel"];

impl Output {
    /// Prints one object: its members, one per line, `first` before all others.
    pub fn thing(&self, thing: &Value, first: &[&str]) -> anyhow::Result<()> {
        match self.form {
            Form::Json => self.json(thing),
            Form::Table => self.text(&members(thing, first)),
        }
    }

    /// Prints one object: in a table only the members of `wanted` that it has.
    pub fn only(&self, thing: &Value, wanted: &[&str]) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.json(thing);
        }
        let has = |name: &&str| Some(((*name).to_owned(), thing.get(*name)?.clone()));
        let short: Map<_, _> = wanted.iter().filter_map(has).collect();
        self.text(&members(&short.into(), wanted))
    }

    /// Prints the result of an act that took something away, its receipt on one line.
    pub fn taken(&self, response: &Value, first: &[&str]) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.json(response);
        }
        let mut table = response.clone();
        table["receipt"] = receipt(&response["receipt"]).into();
        self.text(&members(&table, first))
    }

    /// The table of a dry run: the tokens that would become invalid, then how many.
    pub fn rehearsal(response: &Value, counted: &str) -> String {
        let tokens = response["tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let spans = tokens.iter().any(|it| it.get("channel_id").is_some());
        let columns: &[&str] = match spans {
            true => &["channel_id", "token_id", "kind", "group", "contact", "last_used_at"],
            false => &["token_id", "kind", "group", "contact", "last_used_at"],
        };
        let mut counts = serde_json::json!({ counted: response["revoked"] });
        let mut text = String::new();
        for name in OBJECTS {
            if let Some(named) = response.get(name) {
                counts[name] = named.clone();
            }
        }
        if let Some(groups) = response["groups"].as_array().filter(|it| !it.is_empty()) {
            counts["would_delete_groups"] = groups.len().into();
            text.push_str(&(table(groups, &["group", "contact", "assertion_keys"]) + "\n"));
        }
        if let Some(keys) = response["keys"].as_array() {
            let columns = ["kid", "channel_id", "group", "created_at", "last_used_at"];
            let present = |key: &&Value| !key["created_at"].is_null();
            let there: Vec<_> = keys.iter().filter(present).cloned().collect();
            counts["would_delete_keys"] = there.len().into();
            if there.len() < keys.len() {
                counts["keys_deleted_before"] = (keys.len() - there.len()).into();
            }
            if !there.is_empty() {
                text.push_str(&(table(&there, &columns) + "\n"));
            }
        }
        if !tokens.is_empty() {
            text.push_str(&(table(tokens, columns) + "\n"));
        }
        for name in ["more", "stateless_too", "previous_in_use"] {
            if let Some(value) = response.get(name).filter(|it| **it != 0) {
                let shown = if name == "more" { "not_listed" } else { name };
                counts[shown] = value.clone();
            }
        }
        let first = [&OBJECTS[..], &[counted]].concat();
        text.push_str(&members(&counts, &first));
        text
    }

    /// The members of a thing, one per line, `first` before all others.
    pub fn members_first(thing: &Value, first: &[&str]) -> String {
        members(thing, first)
    }

    /// Whether the format is JSON.
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Prints a list as the API returns it: the rows under `name`, of which the table
    /// shows `columns` (`outer.inner` for nested members), and the cursor of the next page.
    pub fn list(&self, response: &Value, name: &str, columns: &[&str]) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.json(response);
        }
        let rows = response[name].as_array().map_or(&[][..], Vec::as_slice);
        self.text(&table(rows, columns))?;
        if rows.is_empty() {
            note(&format!("no {} found", name.replace('_', " ")));
        }
        // On stderr, so that programs that read the table's columns do not take it for a row.
        if let Some(next) = response["next"].as_str() {
            note(&format!("there are more: --after {}", escaped(next)));
        }
        Ok(())
    }

    /// Prints that a request without a result succeeded; `as_json` is its JSON form.
    pub fn done(&self, what: &str, as_json: &Value) -> anyhow::Result<()> {
        match self.form {
            Form::Json => self.json(as_json),
            Form::Table => self.text(&format!("{what}\n")),
        }
    }

    /// Prints text; what steers a terminal is escaped.
    pub fn text(&self, text: &str) -> anyhow::Result<()> {
        write(&printable(text))
    }

    /// Prints a value of JSON as one line and flushes it.
    pub fn json_line(value: &impl Serialize) -> std::io::Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "{}", plain_json(&serde_json::to_string(value)?))?;
        out.flush()
    }

    /// Prints a text of the program's own as it is, such as a script.
    pub fn own_text(text: &str) -> anyhow::Result<()> {
        write(text)
    }

    /// Prints a line and flushes it, for commands that run long.
    pub fn line(text: &str) -> std::io::Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "{}", printable(text))?;
        out.flush()
    }

    fn json(&self, value: &Value) -> anyhow::Result<()> {
        write(&(plain_json(&format!("{value:#}")) + "\n"))
    }
}

/// A table of rows: `columns` of each, `outer.inner` for nested members.
fn table(rows: &[Value], columns: &[&str]) -> String {
    let head = columns.iter().map(|it| it.replace(['_', '.'], " ").to_uppercase()).collect();
    let cell = |row: &Value, column: &str| {
        plain(column.split('.').fold(row, |value, member| &value[member]))
    };
    let cells = |row: &Value| columns.iter().map(|column| cell(row, column)).collect();
    let table: Vec<_> = [head].into_iter().chain(rows.iter().map(cells)).collect();
    aligned(&table)
}

/// A receipt on one line: its state, and the instances of verifiers that are not done.
pub fn receipt(receipt: &Value) -> String {
    let state = receipt["state"].as_str().unwrap_or("-");
    let verifiers = receipt["verifiers"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut line = format!("{state}, effective at {}", text(&receipt["effective_at"]));
    if !verifiers.is_empty() {
        let done = verifiers.iter().filter(|it| it["state"] == "acknowledged").count();
        line.push_str(&format!(
            ", acknowledged by {done} of {}",
            counted(verifiers.len(), "instance", "instances")
        ));
    }
    for it in verifiers.iter().filter(|it| it["state"] != "acknowledged") {
        line.push_str(&format!(", {}", instance(it)));
    }
    line
}

/// The instances that a pending receipt waits for, on one line.
pub fn awaited(receipt: &Value) -> String {
    let verifiers = receipt["verifiers"].as_array().map_or(&[][..], Vec::as_slice);
    let waits = |it: &&Value| {
        matches!(it["state"].as_str(), Some("waiting" | "cannot-apply" | "may-still-accept"))
    };
    let names: Vec<_> = verifiers.iter().filter(waits).map(instance).collect();
    match names.is_empty() {
        true => "the verifiers".to_owned(),
        false => names.join(", "),
    }
}

/// An instance of a verifier, and its state.
fn instance(it: &Value) -> String {
    let text = |name: &str| it[name].as_str().unwrap_or("-").to_owned();
    let meaning = match it["state"].as_str() {
        Some("lease-expired") => " (accepts nothing any more)",
        _ => "",
    };
    format!("{} {}: {}{meaning}", text("name"), text("instance"), text("state"))
}

/// JSON in which no character steers a terminal. JSON itself escapes only some of them; all
/// others are within strings, and below U+10000.
fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for letter in json.chars() {
        match is_plain(letter) || letter == '\n' {
            true => plain.push(letter),
            false => plain.push_str(&format!("\\u{:04x}", u32::from(letter))),
        }
    }
    plain
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn members(thing: &Value, first: &[&str]) -> String {
    let mut all = Vec::new();
    flatten("", thing, &mut all);
    let place = |name: &str| first.iter().position(|it| *it == name).unwrap_or(first.len());
    all.sort_by_key(|(name, _)| place(name));
    let rows: Vec<_> = all.into_iter().map(|(name, text)| vec![escaped(&name), text]).collect();
    aligned(&rows)
}

/// Flattens nested members to `outer.inner`, and objects in a list to `list.1.inner`.
fn flatten(name: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (inner, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{inner}"), value, all);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (nth, item) in (1..).zip(items) {
                flatten(&format!("{name}.{nth}"), item, all);
            }
        }
        other => all.push((name.to_owned(), plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // An earlier version may have stored it, or another server may have sent it.
        Value::String(text) => escaped(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Aligns columns to their widest cell on a terminal, where a Chinese character is as wide as
/// two Latin ones, and an accent has no width of its own; two blanks between them, none after the last.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let padded = |(cell, width): (&String, &usize)| {
        let blanks = width.saturating_sub(cell.width());
        format!("{cell}{:blanks$}", "")
    };
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(padded);
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["äöü".to_owned(), "x".to_owned()]];
        assert_eq!(aligned(&rows), "A    B\näöü  x\n");
    }

    #[test]
    fn columns_are_aligned_by_the_width_on_a_terminal() {
        let row = |name: &str| vec![name.to_owned(), "x".to_owned()];
        let rows = ["手形", "ร้าน", "👩‍🍳", "cafe\u{301}", "abcd"].map(row);
        let place = |line: &str| line.strip_suffix('x').unwrap().width();
        assert!(aligned(&rows).lines().all(|line| place(line) == 6), "{}", aligned(&rows));
    }

    #[test]
    fn a_text_that_steers_a_terminal_is_escaped() {
        assert_eq!(plain(&json!("a\u{202e}b\u{1b}[2J")), "a\\u{202e}b\\u{1b}[2J");
    }

    #[test]
    fn json_stays_json_with_every_character_that_steers_a_terminal_escaped() {
        let value = json!({ "a\u{9b}": "\u{1b}[2J\u{202e}\u{7f}\u{feff}\nx 手形 👩‍🍳" });
        let printed = plain_json(&format!("{value:#}"));
        assert!(printed.chars().all(|it| is_plain(it) || it == '\n'), "{printed:?}");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value);
    }

    #[test]
    fn the_name_of_a_member_is_escaped_too() {
        assert_eq!(members(&json!({ "a\u{1b}": 1 }), &[]), "a\\u{1b}  1\n");
    }

    #[test]
    fn things_in_a_list_are_counted() {
        let thing = json!({ "secrets": [{ "valid_until": null }, { "valid_until": "today" }] });
        let shown = "secrets.1.valid_until  -\nsecrets.2.valid_until  today\n";
        assert_eq!(members(&thing, &[]), shown);
    }

    #[test]
    fn a_thing_shows_its_members_the_wanted_ones_first_and_absent_ones_as_a_dash() {
        let thing = json!({ "a": null, "b": { "c": true, "d": [] }, "z": 1 });
        assert_eq!(members(&thing, &["z"]), "z    1\na    -\nb.c  true\nb.d  -\n");
    }

    #[test]
    fn a_receipt_is_one_line_that_names_the_instances_that_are_not_done() {
        let complete = json!({ "state": "complete", "effective_at": "today", "verifiers": [] });
        assert_eq!(receipt(&complete), "complete, effective at today");
        let instance =
            |id: &str, state: &str| json!({ "name": "pay", "instance": id, "state": state });
        let two = json!([instance("a", "acknowledged"), instance("b", "waiting")]);
        let pending = json!({ "state": "pending", "effective_at": "today", "verifiers": two });
        assert_eq!(
            receipt(&pending),
            "pending, effective at today, acknowledged by 1 of 2 instances, pay b: waiting"
        );
    }

    #[test]
    fn a_complete_receipt_says_what_an_expired_lease_means() {
        let gone = json!({ "name": "pay", "instance": "a", "state": "lease-expired" });
        let complete = json!({ "state": "complete", "effective_at": "now", "verifiers": [gone] });
        assert!(
            receipt(&complete).ends_with("pay a: lease-expired (accepts nothing any more)"),
            "{}",
            receipt(&complete)
        );
    }

    #[test]
    fn a_dry_run_lists_the_tokens_and_then_counts_them() {
        let token = json!({ "token_id": "t", "kind": "v2.1", "group": "a", "contact": "me", "last_used_at": null });
        let found = json!({ "dry_run": true, "revoked": 3, "more": 2, "stateless_too": true, "tokens": [token] });
        assert_eq!(
            Output::rehearsal(&found, "would_revoke"),
            "TOKEN ID  KIND  GROUP  CONTACT  LAST USED AT\nt         v2.1  a      me       -\n\n\
             would_revoke   3\nnot_listed     2\nstateless_too  true\n"
        );
    }
}
