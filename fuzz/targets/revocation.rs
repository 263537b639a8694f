//! A line of the endings log, which an operator brings to a recovery.

use tegata_store::journal::JournalLine;

/// What is read is written again to the letter's meaning, and a change of any byte of it
/// is found. Bytes without a sum get the right one, so that what is behind it is reached.
pub fn line(data: &[u8]) {
    read(data);
    let text = String::from_utf8_lossy(data);
    let open = text.trim_end_matches('\n').trim_end_matches('}');
    let digest = tegata_policy::secret::sha256(&[open.as_bytes()]);
    let sum: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    read(format!("{open},\"sum\":\"{sum}\"}}\n").as_bytes());
}

fn read(bytes: &[u8]) {
    let Some(line) = JournalLine::parse(bytes) else { return };
    let text = line.to_text().expect("what was read can be written");
    assert_eq!(JournalLine::parse(text.as_bytes()), Some(line), "it is not read as it was written");
    let mut changed = text.into_bytes();
    let place = changed.len() / 2;
    changed[place] ^= 1;
    assert_eq!(JournalLine::parse(&changed), None, "a changed byte was not found");
}
