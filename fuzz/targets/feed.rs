//! Messages of the feed, which followers read from a server and servers from followers.

use std::time::Duration;
use tegata_token::feed::{
    ChangesQuery, ChangesResponse, ResponseHead, Snapshot, SnapshotResponse, UsageReport,
};

/// Untrusted messages are read without a panic, and what was read is written so that it is
/// read as the same.
pub fn message(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    match first % 4 {
        0 => snapshot(data),
        1 => {
            let Ok(read) = ChangesResponse::parse(data) else { return };
            assert_eq!(ChangesResponse::parse(read.write().as_bytes()), Ok(read));
        }
        2 => {
            let Ok(read) = UsageReport::parse(data) else { return };
            assert_eq!(UsageReport::parse(read.write().as_bytes()), Ok(read));
        }
        _ => query(data),
    }
}

fn snapshot(data: &[u8]) {
    // Nothing holds of it but that it is read without a panic.
    drop(SnapshotResponse::parse(data));
    let Ok(read) = Snapshot::parse(data) else { return };
    let write = |it: &Snapshot| Snapshot::write(&it.view, it.provider, &it.issuer);
    let text = write(&read);
    let head = ResponseHead { seq: None, age: Duration::ZERO, time_ms: 1 };
    let (before, after) = SnapshotResponse::around(&head);
    let again = SnapshotResponse::parse(format!("{before}{text}{after}").as_bytes());
    assert_eq!(write(&again.expect("what was written is read").snapshot), text);
}

fn query(data: &[u8]) {
    let pairs: Vec<_> = form_urlencoded::parse(data).collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    let Ok(read) = ChangesQuery::parse(pairs) else { return };
    let pairs = read.pairs();
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(ChangesQuery::parse(pairs), Ok(read));
}
