//! Which of several servers lists the instances of a receipt, and how the others learn of it.

use super::{Instances, OpenReceipt, Receipts, lock};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tegata_store::ReceiptRow;
use tegata_token::id::Position;
use tokio::sync::watch;

impl Receipts {
    /// Changes when a commit has begun a receipt.
    pub fn begun(&self) -> watch::Receiver<()> {
        self.new.subscribe()
    }

    /// Whether a receipt was begun and is not listed yet.
    pub fn is_begun(&self, at: Position) -> bool {
        lock(&self.begun).rows.iter().any(|(row, _)| row.position == at)
    }

    /// When this process learned of the newest receipt that is not complete.
    pub fn youngest(&self) -> Option<Instant> {
        let open = lock(&self.open);
        let begun = lock(&self.begun);
        open.all.values().map(|it| it.learned).chain(begun.rows.iter().map(|(_, at)| *at)).max()
    }

    /// Lists a receipt that was begun.
    pub fn list_one(&self, at: Position, instances: &Instances) {
        let mut open = lock(&self.open);
        let mut begun = lock(&self.begun);
        if let Some(n) = begun.rows.iter().position(|(row, _)| row.position == at) {
            let (row, learned) = begun.rows.swap_remove(n);
            open.all.insert(at, OpenReceipt::new_list(row, learned, instances));
        }
    }

    /// Takes in the receipts that are not complete in the store, read after `began` and before
    /// `now`, the newest `most` of them: the lists of other servers, and which receipts others have completed. A
    /// receipt that was begun longer ago than `orphaned` is listed here: the server that began it
    /// is gone.
    pub fn follow(
        &self,
        rows: Vec<ReceiptRow>,
        most: usize,
        instances: &Instances,
        (began, now): (Instant, Instant),
        orphaned: Duration,
    ) {
        let mut open = lock(&self.open);
        let mut begun = lock(&self.begun);
        let there: HashSet<_> = rows.iter().map(|it| it.position).collect();
        // Of those before it that are not complete, not all were read.
        let first = there.iter().min().filter(|_| rows.len() >= most).copied();
        let is_open = |at: &Position| there.contains(at) || first.is_some_and(|it| *at < it);
        let is_new = |learned: Instant| learned > began;
        open.all.retain(|at, it| is_new(it.learned) || it.unstored || is_open(at));
        begun.rows.retain(|(row, learned)| is_new(*learned) || is_open(&row.position));
        for row in rows.into_iter().filter(|it| it.list.is_some()) {
            let at = row.position;
            let learned = open.learned(&begun, at, now);
            begun.rows.retain(|(it, _)| it.position != at);
            open.all.entry(at).or_insert_with(|| OpenReceipt::new(row, learned, instances));
        }
        let is_orphan = |learned: &Instant| began.saturating_duration_since(*learned) > orphaned;
        let orphans = begun.rows.extract_if(.., |(_, learned)| is_orphan(learned));
        for (row, learned) in orphans {
            open.all.insert(row.position, OpenReceipt::new_list(row, learned, instances));
        }
    }
}

impl OpenReceipt {
    /// A receipt that this server lists for all.
    fn new_list(row: ReceiptRow, learned: Instant, instances: &Instances) -> Self {
        Self { unstored: true, ..Self::new(row, learned, instances) }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment to count from, never compared with the clock"
)]
mod tests {
    use super::*;
    use crate::authority::feed::receipts::Judged;
    use tegata_store::ReceiptFor;
    use tegata_token::time::UnixTime;

    const MOST: usize = 3;

    fn at(number: u64) -> Position {
        Position { epoch: 3, number }
    }

    fn row(number: u64) -> ReceiptRow {
        let about = ReceiptFor { provider: None, effective_at: UnixTime(0) };
        ReceiptRow { position: at(number), about, complete: false, list: Some("[]".to_owned()) }
    }

    #[test]
    fn a_receipt_is_as_old_as_what_this_server_knows_of_it_and_never_as_the_server() {
        let began = Instant::now();
        let (receipts, instances) = (Receipts::new(began), Instances::default());
        receipts.fill(vec![row(1)], &instances, began, true);
        let later = |seconds| began + Duration::from_secs(seconds);
        let learned = |number| receipts.learned(at(number), later(1_000)) - began;
        receipts.begin(&[ReceiptRow { list: None, ..row(3) }], later(500));
        assert_eq!(learned(3), Duration::from_secs(500), "no server has listed it yet");
        assert_eq!(learned(4), Duration::from_secs(1_000), "it is not applied here yet");
        assert_eq!([learned(1), learned(0)], [Duration::ZERO; 2], "they were there at the start");

        let follow = |numbers: &[u64], now| {
            let rows = numbers.iter().map(|it| row(*it)).collect();
            receipts.follow(rows, 100, &instances, (now, now), Duration::from_secs(3_600));
        };
        follow(&[1, 3, 4], later(700));
        assert_eq!(learned(3), Duration::from_secs(500));
        assert_eq!(learned(4), Duration::from_secs(700), "when the other server's list was read");
        receipts.begin(&[ReceiptRow { list: None, ..row(4) }], later(701));
        assert!(learned(4) >= Duration::from_secs(700));
    }

    #[test]
    fn a_receipt_that_is_not_among_the_newest_is_not_taken_for_complete() {
        let began = Instant::now();
        let (receipts, instances) = (Receipts::new(began), Instances::default());
        receipts.fill(Vec::new(), &instances, began, true);
        let later = |seconds| began + Duration::from_secs(seconds);
        for number in 1..=4 {
            receipts.begin(&[ReceiptRow { list: None, ..row(number) }], later(1));
            receipts.list_one(at(number), &instances);
            receipts.stored(&[row(number)], later(1));
        }
        receipts.begin(&[ReceiptRow { list: None, ..row(0) }], later(1));
        let is_there = |number| {
            let judged = receipts.judge(at(number), &instances, later(2), true);
            matches!(judged, Some(Judged::Shown(_)))
        };
        let follow = |numbers: &[u64]| {
            let rows = numbers.iter().map(|it| row(*it)).collect();
            receipts.follow(
                rows,
                MOST,
                &instances,
                (later(3), later(3)),
                Duration::from_secs(3_600),
            );
        };
        follow(&[2, 3, 4]);
        assert!(is_there(1), "the store has more that are not complete than were read");
        assert!(receipts.is_begun(at(0)));
        follow(&[3, 4]);
        assert!(!is_there(1) && !is_there(2) && is_there(3), "others have completed these");
        assert!(!receipts.is_begun(at(0)));
    }
}
