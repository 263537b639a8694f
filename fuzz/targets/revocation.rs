//! A line of the revocation journal, which an operator gives to `recover`.

use tegata_store::journal::JournalLine;

/// A line that was read is written with the same meaning, and a changed byte is found.
/// Input without a checksum gets the right one, so that the parser behind it is reached.
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
    let text = line.to_text().expect("a line that was read can be written");
    assert_eq!(
        JournalLine::parse(text.as_bytes()),
        Some(line),
        "the written line reads differently"
    );
    let mut changed = text.into_bytes();
    let place = changed.len() / 2;
    changed[place] ^= 1;
    assert_eq!(JournalLine::parse(&changed), None, "a changed byte was not found");
}
