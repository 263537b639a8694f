//! Responses with changes, written once for all followers that ask after one position.

use super::gzip::Packed;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tegata_token::id::{Position, ProviderId};

/// The last response for the verifiers of each provider, and of all, but for its head: a
/// change is sent to thousands of followers at once, most of which have the same position.
#[derive(Default)]
pub struct Rests(Mutex<HashMap<Option<ProviderId>, Written>>);

/// A response, but for its head.
struct Written {
    after: Position,
    through: Position,
    rest: Arc<Packed>,
}

impl Rests {
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<ProviderId>, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response with what lies between two positions, which `write` writes if it was not
    /// the last one.
    pub fn get(
        &self,
        provider: Option<ProviderId>,
        after: Position,
        through: Position,
        write: impl FnOnce() -> String,
    ) -> Arc<Packed> {
        let known = |it: &&Written| it.after == after && it.through == through;
        if let Some(it) = self.lock().get(&provider).filter(known) {
            return it.rest.clone();
        }
        let rest = Arc::new(Packed::new(write()));
        self.lock().insert(provider, Written { after, through, rest: rest.clone() });
        rest
    }

    /// Forgets all: the positions are those of another store's state.
    pub fn forget(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_written_once_for_all_who_ask_after_one_position() {
        let (shared, mut written) = (Rests::default(), 0);
        let at = |number| Position { epoch: 3, number };
        let mut get = |after, through| {
            shared.get(None, at(after), at(through), || {
                written += 1;
                String::new()
            })
        };
        let first = get(4, 5);
        (0..2_000).for_each(|_| assert!(Arc::ptr_eq(&first, &get(4, 5))));
        let _ = (get(3, 5), get(4, 6));
        assert_eq!(written, 3, "another position is another response");
        shared.forget();
        let again = shared.get(None, at(4), at(6), || "of another store".to_owned());
        assert_eq!(again.len(), "of another store".len());
    }
}
