//! A revocation journal by itself: on its disk, and moved, cut or joined by its operator.

use super::*;
use std::{fs, path::Path};
use tegata_token::{id::SigningKeyId, key::KeyState, time::UnixTime};

const STORE: &str = "0b";

fn at(commit: u64) -> Commit {
    Commit { epoch: 1, commit }
}

fn standing(last: u64, last_revocation: u64) -> JournalState {
    let (last, last_revocation) = (at(last), at(last_revocation));
    JournalState { store: STORE.into(), last, last_revocation, at: UnixTime(0), owner: None }
}

fn removal(key: u8) -> (Option<Author>, JournalEntry) {
    (None, JournalEntry::SigningKey { key: SigningKeyId([key; 8]), state: KeyState::Revoked })
}

/// A journal whose store made commits 1 to 3, each with a revocation.
fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut log, _) = RevocationJournal::open(&path, &standing(0, 0)).unwrap();
    for commit in 1..=3 {
        log.append(at(commit), UnixTime(7), &[removal(u8::try_from(commit).unwrap())]).unwrap();
        log.keep();
    }
    (folder, path)
}

fn lacking(path: &Path, last: u64) -> Vec<u64> {
    let reading = read(path, &standing(last, 0)).unwrap();
    reading.lines.iter().map(|line| line.commit.commit).collect()
}

#[test]
fn a_store_lacks_what_was_committed_after_it() {
    let (_folder, path) = log();
    assert_eq!(lacking(&path, 0), [1, 2, 3]);
    assert_eq!(lacking(&path, 2), [3]);
    assert_eq!(lacking(&path, 9), [0; 0]);
}

#[test]
fn an_incomplete_last_line_is_ignored_and_removed() {
    let whole = {
        let (_folder, path) = log();
        fs::read(&path).unwrap()
    };
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in last..whole.len() {
        for zeros in [0, 1, 5000] {
            let (_folder, path) = log();
            let torn = [&whole[..end], &vec![0; zeros]].concat();
            fs::write(&path, torn).unwrap();
            assert_eq!(lacking(&path, 0), [1, 2], "cut at {end}, then {zeros} zeros");
            let torn = read(&path, &standing(0, 0)).unwrap().torn;
            let expected = (end > last).then_some(Torn { line: 4, bytes: end - last });
            assert_eq!(torn, expected, "an incomplete line is reported");
            let (mut log, known) = RevocationJournal::open(&path, &standing(2, 2)).unwrap();
            assert_eq!(known, Some(at(2)));
            log.append(at(3), UnixTime(7), &[removal(9)]).unwrap();
            assert_eq!(lacking(&path, 0), [1, 2, 3]);
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_that_names_its_line() {
    let (_folder, path) = log();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
    for place in 0..whole.len() - 1 {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        let number = 1 + ends.iter().filter(|&&end| end < place).count();
        match read(&path, &standing(0, 0)) {
            Err(Error::Damaged { line, .. }) => assert_eq!(line, number, "byte {place}"),
            other => panic!("byte {place}: {other:?}"),
        }
    }
}

#[test]
fn lines_of_a_failed_commit_are_taken_back() {
    let (_folder, path) = log();
    let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    log.append(at(4), UnixTime(8), &[removal(4), removal(5)]).unwrap();
    log.take_back();
    assert_eq!(lacking(&path, 0), [1, 2, 3]);
    log.append(at(4), UnixTime(8), &[removal(6)]).unwrap();
    log.keep();
    assert_eq!(lacking(&path, 0), [1, 2, 3, 4]);
}

#[test]
fn a_journal_that_was_not_used_for_a_while_begins_anew_and_rejects_older_stores() {
    let (_folder, path) = log();
    // Nothing that needs a line was committed meanwhile: the journal continues.
    drop(RevocationJournal::open(&path, &standing(50, 3)).unwrap());
    assert_eq!(lacking(&path, 1), [2, 3]);
    drop(RevocationJournal::open(&path, &standing(60, 55)).unwrap());
    assert!(matches!(
        read(&path, &standing(59, 0)),
        Err(Error::Gap { begins, .. }) if begins == at(60)
    ));
    assert_eq!(lacking(&path, 60), [0; 0]);
}

#[test]
fn the_journal_of_another_store_and_one_in_use_are_rejected() {
    let (_folder, path) = log();
    let other = JournalState { store: "0c".into(), ..standing(3, 3) };
    assert!(matches!(RevocationJournal::open(&path, &other), Err(Error::OtherStore(_))));
    assert!(matches!(read(&path, &other), Err(Error::OtherStore(_))));
    let _held = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    assert!(matches!(RevocationJournal::open(&path, &standing(3, 3)), Err(Error::InUse(_))));
}

/// Makes commit `number`, with a revocation.
fn commit(log: &mut RevocationJournal, number: u64) {
    log.append(at(number), UnixTime(7), &[removal(9)]).unwrap();
    log.keep();
}

#[test]
fn a_file_that_is_taken_away_while_in_use_begins_anew_with_a_line() {
    let aside = |path: &Path| path.with_extension("1");
    type Taking = fn(&Path, &Path);
    let ways: [(&str, Taking); 4] = [
        ("moved", |path, aside| fs::rename(path, aside).unwrap()),
        ("rotated", |path, aside| {
            fs::rename(path, aside).unwrap();
            fs::write(path, "").unwrap();
        }),
        ("copied and cut", |path, aside| {
            fs::copy(path, aside).unwrap();
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
        }),
        ("revoked", |path, _| fs::remove_file(path).unwrap()),
    ];
    for (way, take) in ways {
        let (_folder, path) = log();
        let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
        take(&path, &aside(&path));
        commit(&mut log, 4);
        commit(&mut log, 6);
        // The file at its path holds everything after commit 3.
        assert_eq!(lacking(&path, 3), [4, 6], "{way}");
        let older = read(&path, &standing(2, 0));
        assert!(matches!(older, Err(Error::Gap { begins, .. }) if begins == at(3)), "{way}");
        if way == "revoked" {
            continue;
        }
        // With the part before it joined in front, nothing is missing.
        let part = |path: &Path| fs::read(path).unwrap();
        fs::write(&path, [part(&aside(&path)), part(&path)].concat()).unwrap();
        assert_eq!(lacking(&path, 0), [1, 2, 3, 4, 6], "{way}");
    }
}

#[test]
fn parts_of_a_journal_are_joined_in_order_and_without_a_gap() {
    let (_folder, path) = log();
    let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    let first = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    commit(&mut log, 4);
    let second = fs::read(&path).unwrap();
    let join = |parts: [&[u8]; 2]| fs::write(&path, parts.concat()).unwrap();
    join([&second, &first]);
    let wrong = read(&path, &standing(0, 0));
    assert!(matches!(wrong, Err(Error::OutOfOrder { line: 3, .. })), "{wrong:?}");
    // The last line of the first part was lost.
    let end = first[..first.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    join([&first[..end], &second]);
    assert!(matches!(read(&path, &standing(0, 0)), Err(Error::Gap { .. })));
}

#[test]
fn a_truncated_file_is_never_filled_with_zeros() {
    let (_folder, path) = log();
    let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    for length in [0, 10, 200, 300] {
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        log.take_back();
        log.try_out(at(3), UnixTime(7)).unwrap();
        assert!(!fs::read(&path).unwrap().contains(&0), "cut to {length}");
        assert_eq!(lacking(&path, 3), [0; 0], "cut to {length}");
    }
    // A file that was put in its place is not overwritten.
    fs::write(&path, "something else").unwrap();
    let refused = log.append(at(4), UnixTime(7), &[removal(9)]);
    assert!(matches!(refused, Err(Failed::NotWritten(_))), "{refused:?}");
    log.take_back();
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    fs::remove_file(&path).unwrap();
    commit(&mut log, 4);
    assert_eq!(lacking(&path, 3), [4]);
}

#[test]
fn a_trial_leaves_nothing_and_what_a_crash_leaves_of_one_is_removed() {
    let (_folder, path) = log();
    let before = fs::read(&path).unwrap();
    let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    log.try_out(at(3), UnixTime(7)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(log);
    for zeros in [1, LONGEST - 1, LONGEST, LONGEST + 1, 20 * LONGEST] {
        fs::write(&path, [&before[..], &vec![0; zeros as usize]].concat()).unwrap();
        assert_eq!(lacking(&path, 0), [1, 2, 3]);
        let (_, known) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
        assert_eq!((known, fs::read(&path).unwrap() == before), (Some(at(3)), true), "{zeros}");
    }
}

#[test]
fn lines_of_a_commit_that_a_crash_prevented_are_found() {
    let (_folder, path) = log();
    let (mut log, _) = RevocationJournal::open(&path, &standing(3, 3)).unwrap();
    let ahead = |log: &mut RevocationJournal, last| log.ahead_of(at(last)).unwrap().len();
    assert_eq!([ahead(&mut log, 3), ahead(&mut log, 2), ahead(&mut log, 0)], [0, 1, 3]);
    // More than one window holds.
    let many: Vec<_> = (0..3_000).map(|_| removal(4)).collect();
    log.append(at(4), UnixTime(8), &many).unwrap();
    log.keep();
    assert_eq!([ahead(&mut log, 3), ahead(&mut log, 4)], [3_000, 0]);
}

#[test]
fn another_sort_of_file_is_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for other in ["0a1b2c", "0a1b2c\n", "{\"keys\":[]}"] {
        fs::write(&path, other).unwrap();
        let refused = RevocationJournal::open(&path, &standing(0, 0));
        assert!(matches!(refused, Err(Error::Damaged { line: 1, .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), other);
    }
}
