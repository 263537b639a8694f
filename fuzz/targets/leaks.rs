//! Reports of leaked tokens, which anyone may send, and the files of a programme's keys.

use serde_json::Value;
use std::sync::LazyLock;
use tegata_scan::Finder;
use tegata_server::{
    api::leaks::body::{self, BadReport, ENTRIES, ReportedToken},
    authority::leaks::ProgrammeKeys,
};

static FINDER: LazyLock<Finder> =
    LazyLock::new(|| Finder::for_tokens().expect("the patterns compile"));

/// A report is read without a panic, and as any JSON parser reads it; an address that is kept is
/// the beginning of the one that was sent.
pub fn report(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    match first % 6 {
        0 => same(body::array(data), data, |it| Some(it.as_array()?.iter().collect())),
        1 => {
            let read = body::credentials(data);
            same(read, data, |it| Some(it["credentials"].as_array()?.iter().collect()));
        }
        2 => same(body::token(data), data, |it| Some(vec![it])),
        3 => {
            if let Ok(found) = body::text(&FINDER, data) {
                assert!(found.len() <= ENTRIES && std::str::from_utf8(data).is_ok());
            }
        }
        4 => {
            let Ok(url) = std::str::from_utf8(data) else { return };
            if let Some(kept) = body::address(&FINDER, url) {
                assert!(url.starts_with(&kept) && !kept.contains(['?', '#']));
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            drop(ProgrammeKeys::parse(text).map(|it| assert!(!it.is_empty())));
        }
    }
}

/// Compares what was read with the values that another reading finds.
fn same(
    read: Result<Vec<ReportedToken>, BadReport>,
    data: &[u8],
    entries: impl FnOnce(&Value) -> Option<Vec<&Value>>,
) {
    let Ok(read) = read else { return };
    assert!((1..=ENTRIES).contains(&read.len()));
    let value: Value = serde_json::from_slice(data).expect("what was read is JSON");
    let entries = entries(&value).expect("it has the form");
    assert_eq!(entries.len(), read.len());
    for (entry, token) in entries.into_iter().zip(read) {
        let text = entry.as_str().or(entry["token"].as_str());
        assert_eq!(text, Some(token.text.reveal()));
    }
}
