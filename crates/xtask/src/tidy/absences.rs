//! Names that must not occur in some folders: the right-hand column of the table of
//! crates in ARCHITECTURE.md.

use super::{place, rust_files};
use std::{fs, path::Path};

/// A folder, the text that its code must not contain, and why.
const ABSENT: &[(&str, &[&str], &str)] = &[
    ("crates/token/src", IMPURE, "the token crate is pure: time and bytes are its arguments"),
    (
        "crates/token/src",
        &["tegata_policy", "jsonwebtoken", "RSA_", "rand::"],
        "the token crate only verifies: it has no rule of issuing, no assertion, no randomness",
    ),
    ("crates/policy/src", IMPURE, "the policy crate is pure: time and random bytes are arguments"),
    (
        "crates/policy/src",
        &["tegata_store", "rand::"],
        "the policy crate decides; other crates write",
    ),
    ("crates/console/src", IMPURE, "a page is a value: time and texts are its arguments"),
    (
        "crates/console/src",
        &["tegata_store", "tegata_server", "http::"],
        "the console renders pages; the server fills them and has the protocol",
    ),
    ("crates/store/src", &["axum", "hyper", "http::"], "the store has no protocol"),
    (
        "crates/store/src",
        &["PlainSecret", "PrivateKey"],
        "the store gets hashes of secrets and keys that are encrypted",
    ),
    (
        "crates/scan/src",
        &["std::fs", "flate2", "tegata_store", "tegata_server"],
        "the scanner searches bytes: files and archives are the command line's",
    ),
    ("crates/system/src", OURS, ALONE),
    ("crates/faulty-vfs/src", OURS, ALONE),
    ("crates/postgres-fixture/src", OURS, ALONE),
    (
        "crates/server/src",
        &["rusqlite", "tokio_postgres", "SELECT ", "INSERT INTO", "DELETE FROM"],
        SQL,
    ),
    (
        "crates/server/src/authority",
        &["axum", "hyper", "api::", "use http::", "crate::http", "crate::config", "crate::serve"],
        "the authority has no protocol: http uses api, api uses authority, authority uses store",
    ),
    (
        "crates/server/src/api",
        &["crate::http", "crate::config", "crate::serve"],
        "an API has no connections: http uses api, api uses authority, authority uses store",
    ),
    (
        "crates/server/src/metrics",
        &["authority::", "api::", "crate::http"],
        "the metrics are a layer below their users",
    ),
    (
        "crates/gateway/src",
        &["tegata_store", "tegata_server", "tegata_verifier", "tegata_policy", "axum", "hyper"],
        "the gateway decides over anything that verifies tokens, and has no connections",
    ),
    (
        "crates/client/src",
        &["tegata_store", "tegata_server", "rusqlite", "SELECT "],
        "the client uses the authority by its API only",
    ),
    (
        "crates/verifier/src",
        &["tegata_store", "tegata_server", "tegata_policy", "rusqlite", "axum", "SELECT "],
        "the verifier is compiled into other programs: it has no database and no web framework",
    ),
    (
        "crates/verifier/src/follower",
        IMPURE,
        "the follower is pure: clocks, responses and random numbers are its arguments",
    ),
    ("bindings/python/src", RULELESS, "the package for Python has no rule: it wraps the verifier"),
    ("bindings/node/src", RULELESS, "the package for Node.js has no rule: it wraps the verifier"),
    ("crates/cli/src", &["env::var("], VARIABLES),
    ("crates/client/src", &["env::var("], VARIABLES),
    ("crates/server/src", &["env::var("], VARIABLES),
    (
        "crates/cli/src",
        &["RequestBuilder", "bearer_auth", ".form(&", ".query(&"],
        "the command line calls the API by the client crate",
    ),
    (
        "crates/cli/src",
        &["rusqlite", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"],
        "the command line goes through the server or the store",
    ),
    (
        "crates/cli/src",
        &[
            "rules::RULES",
            "Rule::of",
            "admit::",
            "authorize::authorize",
            "authorize(",
            "admit(",
            "View::",
        ],
        "the command line decides nothing: the rules are the server's",
    ),
];

/// Tests may, which stand at the end of a file: an audit that was changed from outside was changed so.
const SQL: &str = "the server uses the store by its trait, not by SQL";

/// The names of this project's crates.
const OURS: &[&str] = &["tegata_"];

const ALONE: &str = "this crate knows nothing of the rest of the project";

const VARIABLES: &str = "a variable is declared as an argument, or read by \
    `tegata_system::{secret, variable}`, which treat an empty one as unset";

/// Names that must not occur in a wrapper of the verifier.
const RULELESS: &[&str] = &[
    "tegata_policy",
    "tegata_store",
    "tegata_server",
    "View",
    "verify_claims",
    "reqwest",
    "tokio",
];

/// Names that must not occur in a crate of pure functions.
const IMPURE: &[&str] = &[
    "async fn",
    "tokio",
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net",
    "rusqlite",
    "axum",
    "hyper",
];

/// Where the tests within a file begin, or its end.
fn tests_of(text: &str) -> usize {
    text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len())
}

/// Reports every place with a name that must not occur there.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (folder, words, why) in ABSENT {
        for file in rust_files(&root.join(folder))? {
            let text = fs::read_to_string(&file)?;
            let end = if *why == SQL { tests_of(&text) } else { text.len() };
            for (number, line) in text[..end].lines().enumerate() {
                let code = line.trim_start();
                if code.starts_with("//") {
                    continue;
                }
                for word in words.iter().filter(|word| code.contains(**word)) {
                    let place = place(root, &file);
                    wrong.push(format!("{place}:{}: `{word}`: {why}", number + 1));
                }
            }
        }
    }
    Ok(wrong)
}
