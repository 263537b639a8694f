//! The invitation of a person who resets their own sign-in. All sessions end with the old sign-in, so
//! that only the response to the form can show it: the form has it, encrypted, and one that is
//! sent again is shown it again.

use super::{
    facade::{Admin, Error, Result},
    people::Invited,
};
use crate::authority::{
    Authority, people, random,
    ticket::{Ticket, TicketSecret},
};
use serde::{Deserialize, Serialize};
use tegata_policy::secret::{PlainSecret, sha256};
use tegata_store::Error as StoreError;
use tegata_token::{
    id::PersonId,
    time::{DAY, UnixTime},
};

/// An invitation that is drawn before the reset which it is for.
#[derive(Serialize, Deserialize)]
pub struct DrawnInvitation {
    person: PersonId,
    /// The hash of the session's hash: later ones draw others.
    session: [u8; 32],
    invitation: TicketSecret,
    until: UnixTime,
}

impl Ticket for DrawnInvitation {
    const KIND: &'static str = "own invitation";

    fn until(&self) -> UnixTime {
        self.until
    }
}

impl Admin {
    /// An invitation for one's own reset.
    ///
    /// # Errors
    /// The request was not made in a session, or the machine has no random bytes.
    pub fn draw_own_invitation(&self) -> Result<DrawnInvitation> {
        Ok(DrawnInvitation {
            person: self.own()?.id,
            session: self.session_mark()?,
            invitation: TicketSecret(people::invitation(random::bytes()?)),
            until: self.authority.now().plus(DAY),
        })
    }

    fn session_mark(&self) -> Result<[u8; 32]> {
        Ok(sha256(&[b"own invitation ", &self.session()?.0]))
    }

    /// Resets one's own sign-in, with this invitation if it was drawn in this session.
    ///
    /// # Errors
    /// As [`Admin::reset_person`].
    pub async fn reset_own(&self, drawn: Option<&DrawnInvitation>) -> Result<Invited> {
        let (own, session) = (self.own()?.id, self.session_mark()?);
        let drawn = drawn.filter(|it| it.person == own && it.session == session);
        self.reset_with(own, drawn.map(|it| it.invitation.0.clone())).await
    }
}

impl Authority {
    /// The invitation, if one's own sign-in was reset with it, and it is still open.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn reset_before(&self, drawn: &DrawnInvitation) -> Result<Option<PlainSecret>> {
        let invitation = &drawn.invitation.0;
        match self.open_invitation(invitation).await {
            Ok(it) if it.person.id == drawn.person => Ok(Some(invitation.clone())),
            Ok(_) | Err(Error::Store(StoreError::NotFound(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
