//! The recovery codes that a person gets with an invitation.

use super::facade::Result;
use crate::authority::{
    Authority, people, random,
    ticket::{Ticket, TicketSecret},
};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use tegata_policy::{
    acts::{PersonRow, WhichPerson},
    secret::PlainSecret,
    totp,
};
use tegata_token::{id::PersonId, time::UnixTime};
use zeroize::Zeroizing;

/// Number of recovery codes.
const RECOVERY_CODES: usize = 10;

/// An invitation that was accepted.
pub struct Accepted {
    /// The person.
    pub person: PersonRow,
    /// The recovery codes, to be shown once.
    pub recovery_codes: Vec<PlainSecret>,
}

/// The recovery codes that a browser gets when it accepts the invitation that it has opened. They
/// are drawn before, so that a form that is sent twice gets the same ones twice.
#[derive(Serialize, Deserialize)]
pub struct DrawnCodes {
    /// The invited person.
    pub(super) person: PersonId,
    codes: Vec<TicketSecret>,
    until: UnixTime,
}

impl Ticket for DrawnCodes {
    const KIND: &'static str = "recovery codes";

    fn until(&self) -> UnixTime {
        self.until
    }
}

impl DrawnCodes {
    /// Fresh codes of a person whose invitation expires then.
    pub(super) fn new(person: PersonId, until: UnixTime) -> Result<Self> {
        let mut codes = Vec::new();
        for _ in 0..RECOVERY_CODES {
            codes.push(TicketSecret(recovery_code(random::bytes()?)));
        }
        Ok(Self { person, codes, until })
    }

    pub(super) fn plain(&self) -> Vec<PlainSecret> {
        self.codes.iter().map(|it| it.0.clone()).collect()
    }
}

/// The secret of a second factor, from base32.
pub(super) fn decoded(secret: &PlainSecret) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(secret.reveal().as_bytes()).ok()?);
    <&[u8; 32]>::try_from(&bytes[..]).ok().copied().map(Zeroizing::new)
}

/// A recovery code: four groups of five hexadecimal digits.
fn recovery_code(bytes: [u8; 10]) -> PlainSecret {
    let digits = Zeroizing::new(HEXLOWER.encode(&bytes));
    let groups = [0, 5, 10, 15].map(|at| &digits[at..at + 5]);
    PlainSecret::from_caller(groups.join("-"))
}

impl Authority {
    /// What the acceptance has returned that was made with exactly this, for as long as its code
    /// is a present one, and the newest that the person has used.
    ///
    /// # Errors
    /// [`Busy`](super::facade::Error::Busy), or as the store.
    pub async fn accepted_before(
        &self,
        password: PlainSecret,
        (totp_secret, code): (&PlainSecret, &PlainSecret),
        drawn: &DrawnCodes,
    ) -> Result<Option<Accepted>> {
        let stored = self.store().person(WhichPerson::Id(drawn.person)).await?;
        let stored = stored.filter(|it| !it.person.disabled);
        let Some((person, secrets)) = stored.and_then(|it| Some((it.person, it.secrets?))) else {
            return Ok(None);
        };
        let recovery_codes = drawn.plain();
        let hashes: HashSet<_> = recovery_codes.iter().map(people::hash).collect();
        let left: HashSet<_> = secrets.recovery.iter().copied().collect();
        let secret = decoded(totp_secret);
        let step = secret.and_then(|it| totp::step_of(&it[..], code.reveal(), self.now()));
        if step != Some(secrets.totp_step) || left != hashes {
            return Ok(None);
        }
        let is_right = self.passwords.verify(password, Some(secrets.password)).await?;
        Ok(is_right.then_some(Accepted { person, recovery_codes }))
    }
}
