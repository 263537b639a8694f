//! What a browser keeps for the server, as a cookie: encrypted with the master key, so that
//! nothing in it can be read, changed or made up, and any server of the store can use it.

use crate::authority::{Authority, master_key::MasterKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use tegata_policy::secret::PlainSecret;
use tegata_store::{Result, WrappedKey};
use tegata_token::time::UnixTime;
use zeroize::Zeroizing;

/// A kind of ticket.
pub trait Ticket: Serialize + DeserializeOwned {
    /// Its name; a ticket of one kind is none of another.
    const KIND: &'static str;

    /// When it expires.
    fn until(&self) -> UnixTime;

    /// The ticket as the cookie has it.
    ///
    /// # Errors
    /// The machine has no random bytes.
    fn encrypted(&self, key: &MasterKey) -> Result<String> {
        // Texts and numbers always have a JSON form.
        let json = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        let wrapped = key.wrap_ticket(Self::KIND, &json)?;
        Ok(URL_SAFE_NO_PAD.encode(wrapped.0))
    }

    /// The ticket that a cookie has, if it is one of this kind and not expired.
    fn opened(text: &str, key: &MasterKey, now: UnixTime) -> Option<Self> {
        let wrapped = WrappedKey(URL_SAFE_NO_PAD.decode(text).ok()?);
        let json = key.open_ticket(Self::KIND, &wrapped)?;
        serde_json::from_slice(&json).ok().filter(|it: &Self| now < it.until())
    }
}

/// A secret in a ticket, which is encrypted.
#[derive(Clone)]
pub struct TicketSecret(pub PlainSecret);

impl Serialize for TicketSecret {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(self.0.reveal())
    }
}

impl<'de> Deserialize<'de> for TicketSecret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from).map(|it| Self(PlainSecret::from_caller(it)))
    }
}

impl Authority {
    /// A ticket as its cookie has it.
    ///
    /// # Errors
    /// The machine has no random bytes, or the master key is not here.
    pub fn encrypted(&self, ticket: &impl Ticket) -> Result<String> {
        ticket.encrypted(&*self.master()?)
    }

    /// The ticket that a cookie has, if there is one, and it is of this kind and not expired.
    ///
    /// # Errors
    /// The master key is not here.
    pub fn opened<T: Ticket>(&self, text: Option<&str>) -> Result<Option<T>> {
        let Some(text) = text else { return Ok(None) };
        Ok(T::opened(text, &*self.master()?, self.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Seat(String, UnixTime);

    #[derive(Serialize, Deserialize)]
    struct Meal(String, UnixTime);

    impl Ticket for Seat {
        const KIND: &'static str = "seat";

        fn until(&self) -> UnixTime {
            self.1
        }
    }

    impl Ticket for Meal {
        const KIND: &'static str = "meal";

        fn until(&self) -> UnixTime {
            self.1
        }
    }

    #[test]
    fn a_ticket_is_of_its_kind_its_key_and_its_time_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [key, other] =
            ["a", "b"].map(|it| MasterKey::load(&folder.path().join(it), true).unwrap());
        let text = Seat("window".to_owned(), UnixTime(100)).encrypted(&key).unwrap();
        assert!(!text.contains("window"));
        let opened = |key: &MasterKey, now| Seat::opened(&text, key, UnixTime(now));
        assert_eq!(opened(&key, 99).map(|it| it.0).as_deref(), Some("window"));
        assert!(opened(&key, 100).is_none(), "expired");
        assert!(opened(&other, 99).is_none(), "of another key");
        assert!(Meal::opened(&text, &key, UnixTime(99)).is_none(), "of another kind");
        for changed in ["", "a", &text[1..], &format!("{text}A")] {
            assert!(Seat::opened(changed, &key, UnixTime(99)).is_none());
        }
    }
}
