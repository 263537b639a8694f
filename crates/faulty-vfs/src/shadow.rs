//! What a power loss would leave of one file.
//!
//! A [`Shadow`] is the durable state of a file: the bytes of its last successful sync,
//! and after them the acts (writes, truncations, the unlink) that no sync has covered
//! yet. Pure data, no input or output.

use std::cmp::Ordering::{Equal, Greater, Less};

/// One file's durable image and what waits for the next sync.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    /// `None`: no such file is durable.
    durable: Option<Vec<u8>>,
    pending: Vec<Act>,
    /// How many acts have left `pending` so far. It keeps a [`Mark`] valid while another
    /// connection's sync removes acts.
    settled: u64,
    /// Writes before this mark were part of a failed sync: no later sync saves them.
    doomed: Mark,
}

/// A place in the sequence of all acts on a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

#[derive(Debug)]
enum Act {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Unlink,
}

impl Shadow {
    /// A file found on disk at its first open; an empty one counts as absent,
    /// which SQLite cannot tell apart.
    pub(crate) fn found(contents: Vec<u8>) -> Self {
        Self { durable: Some(contents).filter(|bytes| !bytes.is_empty()), ..Self::default() }
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.pending.push(Act::Write { at, bytes });
    }

    pub(crate) fn truncate(&mut self, size: usize) {
        self.pending.push(Act::Truncate(size));
    }

    pub(crate) fn unlink(&mut self) {
        self.pending.push(Act::Unlink);
    }

    /// The end of the sequence: what a sync that begins now will cover.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.settled + self.pending.len() as u64)
    }

    /// Records that a sync that began at `covered` succeeded. True if it created the file
    /// durably, so that its folder was synchronised with it.
    pub(crate) fn sync(&mut self, covered: Mark) -> bool {
        let created = self.durable.is_none()
            || self.pending[..self.index(covered)].iter().any(|act| matches!(act, Act::Unlink));
        self.settle(covered);
        self.durable.get_or_insert_default();
        created
    }

    /// Records that a sync that began at `covered` failed. As on Linux, the written pages
    /// now count as clean: the next sync succeeds without them.
    pub(crate) fn sync_failed(&mut self, covered: Mark) {
        self.doomed = self.doomed.max(covered);
    }

    /// Records that the folder was synchronised: an earlier unlink is durable.
    pub(crate) fn folder_synced(&mut self) {
        let unlink = |act: &Act| matches!(act, Act::Unlink);
        if let Some(last) = self.pending.iter().rposition(unlink) {
            self.settle(Mark(self.settled + last as u64 + 1));
        }
    }

    /// The file after a power loss that keeps nothing unsynchronised.
    pub(crate) fn synced(&self) -> Option<Vec<u8>> {
        self.durable.clone()
    }

    /// The file after a power loss that keeps what `rng` selects: either the first acts
    /// up to one that is cut short, or any of them, whole or cut. Below, `Less` is kept,
    /// `Equal` is cut and `Greater` is lost.
    pub(crate) fn torn(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        let mut image = self.durable.clone();
        let in_order = rng.below(2) == 0;
        let cut = rng.below(self.pending.len() + 1);
        for (index, act) in self.pending.iter().enumerate() {
            let fate =
                if in_order { index.cmp(&cut) } else { [Less, Equal, Greater][rng.below(3)] };
            match (fate, act) {
                (Less, act) => apply(&mut image, act),
                (Equal, Act::Write { at, bytes }) => {
                    let bytes = bytes[..rng.below(bytes.len() + 1)].to_vec();
                    apply(&mut image, &Act::Write { at: *at, bytes });
                }
                // What follows an unlink belongs to a file without a name.
                (_, Act::Unlink) => break,
                _ => {}
            }
        }
        image
    }

    /// Applies the acts before `end` to the image, except doomed writes.
    fn settle(&mut self, end: Mark) {
        let doomed = self.index(self.doomed);
        let end = self.index(end);
        for (index, act) in self.pending.drain(..end).enumerate() {
            if index >= doomed || !matches!(act, Act::Write { .. }) {
                apply(&mut self.durable, &act);
            }
        }
        self.settled += end as u64;
    }

    fn index(&self, mark: Mark) -> usize {
        let index = mark.0.saturating_sub(self.settled) as usize;
        index.min(self.pending.len())
    }
}

fn apply(image: &mut Option<Vec<u8>>, act: &Act) {
    match act {
        Act::Write { at, bytes } => {
            let image = image.get_or_insert_default();
            let end = at + bytes.len();
            // A hole reads as zeros, as on a disk.
            image.resize(image.len().max(end), 0);
            image[*at..end].copy_from_slice(bytes);
        }
        Act::Truncate(size) => image.get_or_insert_default().resize(*size, 0),
        Act::Unlink => *image = None,
    }
}

/// A seeded RNG (SplitMix64): the same seed gives the same torn image.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// A random number below `bound`, which must not be 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sync_makes_writes_durable() {
        let mut file = Shadow::default();
        file.write(0, b"one");
        assert_eq!(file.synced(), None);

        file.sync(file.mark());
        file.write(3, b"two");
        file.truncate(1);
        assert_eq!(file.synced().as_deref(), Some(&b"one"[..]));

        file.sync(file.mark());
        assert_eq!(file.synced().as_deref(), Some(&b"o"[..]));
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let mut file = Shadow::default();
        file.write(0, b"a");
        let began = file.mark();
        file.write(1, b"b");
        file.sync(began);
        assert_eq!(file.synced().as_deref(), Some(&b"a"[..]));
        // A slower sync that began earlier adds nothing.
        file.sync(began);
        assert_eq!(file.synced().as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn writes_in_a_failed_sync_are_not_saved_by_later_ones() {
        let mut file = Shadow::found(b"old".to_vec());
        file.write(0, b"new");
        file.sync_failed(file.mark());
        file.write(3, b"!");
        file.sync(file.mark());
        assert_eq!(file.synced().as_deref(), Some(&b"old!"[..]));
    }

    #[test]
    fn an_unlink_is_durable_with_its_folder() {
        let mut file = Shadow::found(b"old".to_vec());
        file.unlink();
        file.write(0, b"n");
        assert_eq!(file.synced().as_deref(), Some(&b"old"[..]));
        file.folder_synced();
        assert_eq!(file.synced(), None);
        assert!(file.sync(file.mark()), "a new file under the old name");
        assert_eq!(file.synced().as_deref(), Some(&b"n"[..]));
    }

    #[test]
    fn torn_images_follow_the_seed_and_differ_between_seeds() {
        let mut file = Shadow::found(b"....".to_vec());
        file.write(0, b"ab");
        file.write(2, b"cd");
        let torn = |seed| file.torn(&mut Rng(seed)).expect("the file exists");
        let images: std::collections::BTreeSet<_> = (0..200).map(torn).collect();

        assert_eq!(torn(7), torn(7));
        for image in [&b"...."[..], b"a...", b"ab..", b"abc.", b"abcd", b"..cd"] {
            assert!(images.contains(image), "no seed gave {image:?}");
        }
    }
}
