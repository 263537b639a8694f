//! The acts that wait for other servers, and what those servers say that they have applied. Only
//! when all say so is it worth to read their rows, which count.

use crate::ReplicaRow;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tegata_token::id::Position;

/// The acts that wait for other servers.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many acts wait for each position.
    acts: BTreeMap<Position, usize>,
    /// How far each server says that its memory is.
    said: BTreeMap<[u8; 16], Position>,
}

impl Waits {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an act that waits for this position until what this returns is dropped.
    pub fn begin(&self, position: Position) -> Waiting<'_> {
        *self.inner().acts.entry(position).or_default() += 1;
        Waiting { waits: self, position }
    }

    /// Whether there is one.
    pub fn any(&self) -> bool {
        !self.inner().acts.is_empty()
    }

    /// Notes that a server says that it has applied the log up to `position`. `true`: by what
    /// was said and by their rows, all other servers have what the first act waits for.
    pub fn hear(&self, server: [u8; 16], position: Position, rows: &[ReplicaRow]) -> bool {
        let mut inner = self.inner();
        // Of a server that has no row yet, or no more, nothing need be known.
        inner.said.retain(|id, _| rows.iter().any(|it| it.id == *id));
        let said = inner.said.entry(server).or_insert(position);
        *said = position.max(*said);
        let first = inner.acts.keys().next();
        first.is_some_and(|first| all_have(&inner.said, *first, rows))
    }

    /// Whether, by what was said and by their rows, all other servers have applied the log up to
    /// `position`.
    pub fn all_have(&self, position: Position, rows: &[ReplicaRow]) -> bool {
        all_have(&self.inner().said, position, rows)
    }
}

fn all_have(said: &BTreeMap<[u8; 16], Position>, position: Position, rows: &[ReplicaRow]) -> bool {
    let said = |it: &ReplicaRow| said.get(&it.id).is_some_and(|said| *said >= position);
    rows.iter().all(|it| it.own || it.position >= position || said(it))
}

/// An act that waits for other servers.
pub(super) struct Waiting<'a> {
    waits: &'a Waits,
    position: Position,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.waits.inner();
        if let Some(acts) = inner.acts.get_mut(&self.position) {
            *acts -= 1;
            if *acts == 0 {
                inner.acts.remove(&self.position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u8, number: u64) -> ReplicaRow {
        ReplicaRow {
            id: [id; 16],
            own: id == 0,
            registered_at: tegata_token::time::UnixTime(0),
            beat: 1,
            position: at(number),
            speaks: 1,
            address: None,
        }
    }

    fn at(number: u64) -> Position {
        Position { epoch: 1, number }
    }

    #[test]
    fn rows_are_worth_reading_when_the_last_server_has_said_that_it_applied() {
        let (waits, rows) = (Waits::default(), [row(0, 3), row(1, 3), row(2, 3), row(3, 7)]);
        assert!(!waits.hear([1; 16], at(5), &rows), "no act waits");
        let later = waits.begin(at(6));
        let first = waits.begin(at(5));
        assert!(!waits.hear([1; 16], at(4), &rows), "another server has said nothing");
        assert!(waits.hear([2; 16], at(5), &rows), "an older notice takes nothing back");
        assert!(waits.all_have(at(5), &rows) && !waits.all_have(at(6), &rows));
        drop(first);
        assert!(!waits.hear([2; 16], at(6), &rows) && waits.hear([1; 16], at(6), &rows));
        drop(later);
        assert!(!waits.any());
    }
}
