//! Secrets that the next page shows once. A form answers with a redirect, so that a browser
//! that loads the page again does not do the act again. Meanwhile the browser keeps the secret,
//! in a cookie that the server has encrypted: any server of the store shows it, and none has to
//! keep it.

use super::{Console, cookie, failure::Failure, visit::SignedIn};
use crate::authority::ticket::{Ticket, TicketSecret};
use serde::{Deserialize, Serialize};
use tegata_console::forms::Once;
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::PersonId, time::UnixTime};

/// For how many seconds a secret waits for its page.
const WAITS: i64 = 60;

/// A secret that waits for its page.
#[derive(Serialize, Deserialize)]
struct OnceShown {
    /// Who is shown it.
    person: PersonId,
    /// The path of its page.
    page: String,
    secret: TicketSecret,
    until: UnixTime,
}

impl Ticket for OnceShown {
    const KIND: &'static str = "shown once";

    fn until(&self) -> UnixTime {
        self.until
    }
}

impl SignedIn {
    /// Lets the browser keep a secret for the page at this path, which is shown next.
    ///
    /// # Errors
    /// It cannot be encrypted.
    pub fn show_once(
        &self,
        console: &Console,
        page: &str,
        secret: PlainSecret,
    ) -> Result<(), Failure> {
        let (person, until) = (self.person.id, self.visit.now.plus(WAITS));
        let (page, secret) = (page.to_owned(), TicketSecret(secret));
        let waits = OnceShown { person, page, secret, until };
        let ticket = console.authority.encrypted(&waits)?;
        self.visit.set_cookie(cookie::of_once(&waits.page, &ticket, WAITS, self.visit.tls));
        Ok(())
    }

    /// The secret for the page at this path, which is shown only now.
    ///
    /// # Errors
    /// The master key is not here.
    pub fn shown_once(
        &self,
        console: &Console,
        page: &str,
    ) -> Result<Option<PlainSecret>, Failure> {
        let waits: Option<OnceShown> = console.authority.opened(self.once.as_deref())?;
        let waits = waits.filter(|it| it.person == self.person.id && it.page == page);
        Ok(waits.map(|it| {
            self.visit.set_cookie(cookie::of_once(page, "", 0, self.visit.tls));
            it.secret.0
        }))
    }

    /// The panel of that secret on its page: what it is, and what to do with it.
    ///
    /// # Errors
    /// As [`Self::shown_once`].
    pub fn once(
        &self,
        console: &Console,
        page: &str,
        (heading, lead): (&'static str, &'static str),
    ) -> Result<Option<Once>, Failure> {
        let Some(secret) = self.shown_once(console, page)? else { return Ok(None) };
        let secret = secret.reveal().to_owned();
        Ok(Some(Once { heading, lead: lead.into(), secret, hide: page.to_owned() }))
    }
}
