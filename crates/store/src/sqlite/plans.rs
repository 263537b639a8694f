//! How SQLite executes the statements of this engine, on the tables of a new store: one that
//! visits every row of a table that grows delays all acts, or the server's start.

use super::connect::MIGRATIONS;
use rusqlite::Connection;
use std::{fs, path::Path};

/// Tables whose every row may be visited: they have one row, or few.
const SMALL: [&str; 12] = [
    "CONSTANT",
    "admin_token",
    "audit_key",
    "authority",
    "deleted_key",
    "instance",
    "json_each",
    "person",
    "person_session",
    "provider_revocation",
    "refinery_schema_history",
    "verifier",
];

/// The statements that visit every row of another table, each by a part of its text, and why they
/// may.
const MAY_SCAN: [(&str, &str); 9] = [
    ("UPDATE channel_count SET serial = serial + ?1", "a recovery, without a server"),
    ("UPDATE channel SET previous_secret = NULL", "a recovery, without a server"),
    ("SELECT id, limits FROM channel", "a start, which reads the whole state"),
    ("SELECT id FROM channel", "a start, which reads the whole state"),
    ("SELECT c.id, c.provider, c.state, f.revocations", "a start, which reads the whole state"),
    ("FROM token WHERE signing_key = ?1 AND revoked_at IS NULL", "a walk, which has its own time"),
    ("complete, list FROM receipt", "only the beginning of statements"),
    ("keep_until, attempts FROM warning", "only the beginning of statements"),
    ("FROM provider_revocation job ORDER BY number", "a few jobs"),
];

fn tables() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    MIGRATIONS.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
    conn.execute_batch("CREATE TABLE refinery_schema_history (version)").unwrap();
    conn
}

/// The steps of a statement's plan.
fn plan(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    query.raw_query().mapped(|row| row.get(3)).collect()
}

/// The literals of a Rust file, without its tests, that are statements.
fn statements(file: &Path) -> Vec<String> {
    let code = fs::read_to_string(file).unwrap();
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n").replace("\\\"", "'").replace("\\\n", "\n");
    let literals = code.split('"').skip(1).step_by(2).map(str::trim);
    let is_statement = |it: &&str| {
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "]
            .iter()
            .any(|word| it.starts_with(word))
    };
    literals.filter(is_statement).map(str::to_owned).collect()
}

#[test]
fn no_statement_visits_every_row_of_a_table_that_grows() {
    let conn = tables();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite");
    let (mut planned, mut wrong) = (0, Vec::new());
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    for file in files.filter(|it| !it.ends_with("plans.rs")) {
        for sql in statements(&file) {
            let steps = match plan(&conn, &sql) {
                Ok(steps) => steps,
                // What is put together of parts is not here whole.
                Err(why) => {
                    let is_part = sql.contains('{') || why.to_string().contains("incomplete input");
                    assert!(is_part, "{}: {sql}: {why}", file.display());
                    continue;
                }
            };
            planned += 1;
            // In the order of an index, it ends with the limit.
            let has_end =
                sql.contains("LIMIT") && !steps.iter().any(|it| it.contains("TEMP B-TREE"));
            let scans = |step: &String| {
                let table = step.strip_prefix("SCAN ").and_then(|it| it.split(' ').next());
                table.is_some_and(|it| !SMALL.contains(&it))
            };
            let may = MAY_SCAN.iter().any(|(part, _)| sql.contains(part));
            if !may && !has_end && steps.iter().any(scans) {
                wrong.push(format!("{}: {sql}\n{steps:?}\n", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(planned > 150, "{planned} statements were found");
}

#[test]
fn the_next_channel_of_a_provider_is_found_by_its_index() {
    let conn = tables();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite");
    let all = statements(&folder.join("provider_revocation.rs"));
    let sql = all.iter().find(|sql| sql.contains("min(id) FROM channel")).unwrap();
    let steps = plan(&conn, sql).unwrap();
    let is = "SEARCH channel USING INDEX channel_by_provider_and_id (provider=? AND id>?)";
    assert!(steps.iter().any(|it| it == is), "{steps:?}");
}
