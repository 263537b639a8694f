//! How `token explain` prints what it found.

use crate::{inspect::named, terminal::note};
use serde_json::Value;
use tegata_policy::text::{counted, escaped};

/// The longest text of an answer that is printed, in characters.
const LONGEST: usize = 1_000;

/// Text from a file or from the server, for a terminal.
pub fn plain(text: &str) -> String {
    escaped(&text.chars().take(LONGEST).collect::<String>())
}

/// Where something was found: `FILE:LINE:COLUMN`.
pub fn place(it: &Value) -> String {
    let file = it["file"].as_str().unwrap_or_default();
    format!("{}:{}:{}", named(file, it["within"].as_str()), it["line"], it["column"])
}

/// Prints where tokens of other authorities are.
pub fn foreign(places: &[Value], most: usize) {
    listed("not of this authority, though in the form of a token", places, most);
}

/// Prints where tokens are that the actor may not read.
pub fn forbidden(places: &[Value], most: usize) {
    listed("of a channel whose tokens you may not read", places, most);
}

/// Prints what is in these places, if there are any.
fn listed(what: &str, places: &[Value], most: usize) {
    if places.is_empty() {
        return;
    }
    let shown: Vec<String> = places.iter().take(most).map(place).collect();
    let more = match places.len().saturating_sub(most) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = shown.join(", ");
    note(&format!("{what}: {shown}{more}"));
}

/// A member as text: `-` for none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// A thing by its name and id.
fn name_and_id(name: &Value, id: &Value) -> String {
    match (name, id) {
        (Value::Null, Value::Null) => "-".to_owned(),
        (Value::Null, id) => text(id),
        (name, id) => format!("{} ({})", text(name), text(id)),
    }
}

/// Since when a token is idle, or why that is not known.
fn idle(it: &Value) -> String {
    match &it["idle_unknown"] {
        Value::Null => text(&it["idle_since"]),
        why => format!("unknown: {}", text(why)),
    }
}

/// A token in one line, for lists.
pub fn line(it: &Value) -> String {
    format!(
        "{}  {}  {}  channel {}  group {}  last used {}",
        text(&it["token_id"]),
        text(&it["kind"]),
        text(&it["state"]),
        name_and_id(&it["channel_name"], &it["channel_id"]),
        text(&it["group"]),
        text(&it["last_used_at"])
    )
}

/// A token that was found, with what is known of it.
pub fn token(it: &Value) -> String {
    let kind = text(&it["kind"]);
    let times = match it["occurrences"].as_u64() {
        Some(times @ 2..) => format!(", found {times} times"),
        _ => String::new(),
    };
    let mut lines = format!("{}: {kind} token{times}\n", place(it));
    let mut row = |name: &str, text: String| lines.push_str(&format!("  {name:<14}{text}\n"));
    row("token id", text(&it["token_id"]));
    row("state", text(&it["state"]));
    row("why", text(&it["why"]));
    row("channel", name_and_id(&it["channel_name"], &it["channel_id"]));
    row("provider", name_and_id(&it["provider_name"], &it["provider_id"]));
    row("group", text(&it["group"]));
    row("contact", text(&it["contact"]));
    row("assertion key", text(&it["assertion_key"]));
    row("issued", text(&it["issued_at"]));
    row("expires", text(&it["expires_at"]));
    row("last used", text(&it["last_used_at"]));
    if !it["idle_since"].is_null() || !it["idle_unknown"].is_null() {
        row("idle since", idle(it));
    }
    let mut name = "recent uses";
    for used in it["recent_uses"].as_array().into_iter().flatten() {
        let source = match &used["source"] {
            Value::Null => "address not known, or several".to_owned(),
            source => text(source),
        };
        let count = used["count"].as_u64().unwrap_or_default();
        let count = counted(count, "time", "times");
        row(name, format!("{}  {source}  {count}", text(&used["minute"])));
        name = "";
    }
    let mut name = "its group has";
    for other in it["group_tokens"].as_array().into_iter().flatten() {
        row(
            name,
            format!(
                "{}  {}  last used {}  expires {}{}",
                text(&other["token_id"]),
                text(&other["kind"]),
                text(&other["last_used_at"]),
                text(&other["expires_at"]),
                match &other["idle_since"] {
                    Value::Null => String::new(),
                    at => format!("  idle since {}", text(at)),
                }
            ),
        );
        name = "";
    }
    if let Some(more @ 1..) = it["group_tokens_more"].as_u64() {
        row(name, counted(more, "more active token", "more active tokens"));
    }
    lines
}
