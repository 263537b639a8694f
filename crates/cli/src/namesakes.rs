//! Names need not be unique; a new object whose name another one has is noted.

use crate::{api::Api, terminal::note};
use serde::Serialize;
use serde_json::Value;
use tegata_policy::text::escaped;

#[derive(Serialize)]
struct Search<'a> {
    search: &'a str,
}

/// Notes on stderr which others of the list at `path` have the name of the new object, which
/// was created whatever this finds. `list` and `id` name the members of the rows and their ids.
pub async fn note_namesakes(api: &Api, path: &[&str], (list, id): (&str, &str), made: &Value) {
    let search = made["name"].as_str().unwrap_or_default();
    let found = match list {
        // Their list takes no search.
        "verifiers" => api.rows(path, list).await.map(Value::from),
        _ => api.get(path, &Search { search }).await.map(|it| it[list].clone()),
    };
    let same = |row: &&Value| row["name"] == made["name"] && row[id] != made[id];
    for row in found.ok().as_ref().and_then(Value::as_array).into_iter().flatten().filter(same) {
        let what = list.trim_end_matches('s');
        let other = row[id].as_str().unwrap_or_default();
        note(&format!("note: another {what} has this name: {}", escaped(other)));
    }
}
