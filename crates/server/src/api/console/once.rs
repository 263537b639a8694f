//! Secrets that the next page shows once. A form answers with a redirect, so that a browser
//! that loads the page again does not do the act again; the secret waits here meanwhile.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::id::PersonId;
use tokio::time::Instant;

/// How long a secret waits for its page.
const WAITS: Duration = Duration::from_secs(60);
/// Maximum number of secrets that wait.
const MOST: usize = 1_000;

/// Secrets that wait for their pages.
#[derive(Default)]
pub struct OnceShown(Mutex<Vec<Waiting>>);

struct Waiting {
    of: PersonId,
    page: String,
    secret: PlainSecret,
    until: Instant,
}

impl OnceShown {
    /// Keeps a secret for the page at this path, which this person looks at next.
    pub fn keep(&self, of: PersonId, page: &str, secret: PlainSecret, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| now < it.until && (it.of != of || it.page != page));
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Waiting { of, page: page.to_owned(), secret, until: now + WAITS });
    }

    /// The secret for this page, which is forgotten here.
    pub fn take(&self, of: PersonId, page: &str, now: Instant) -> Option<PlainSecret> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| now < it.until);
        let at = all.iter().position(|it| it.of == of && it.page == page)?;
        Some(all.swap_remove(at).secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(text: &str) -> PersonId {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_is_shown_once_to_its_person_on_its_page() {
        let (once, now) = (OnceShown::default(), Instant::now());
        let (own, other) = (person("1000000001"), person("1000000002"));
        let keep = |page: &str| once.keep(own, page, PlainSecret::from_caller("s".into()), now);
        keep("/a");
        assert!(once.take(other, "/a", now).is_none() && once.take(own, "/b", now).is_none());
        assert!(once.take(own, "/a", now).is_some_and(|it| it.reveal() == "s"));
        assert!(once.take(own, "/a", now).is_none());
        keep("/a");
        assert!(once.take(own, "/a", now + WAITS).is_none());
        (0..2 * MOST).for_each(|n| keep(&format!("/{n}")));
        assert_eq!(once.0.lock().unwrap().len(), MOST);
    }
}
