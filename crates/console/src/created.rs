//! What a form has created, for the notice on the page that follows.

use crate::{
    html::{Html, Id},
    named::Language,
    times::PageTimes,
};
use tegata_token::{
    id::{
        AdminTokenId, AssertionKeyId, ChannelId, PersonId, ProviderId, SigningKeyId, TokenId,
        VerifierId,
    },
    time::UnixTime,
};

/// What a form has created. A cookie holds it until the next page: names and ids, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// A provider.
    Provider(ProviderId),
    /// A channel.
    Channel(ChannelId),
    /// An assertion key, which was registered.
    Key(AssertionKeyId),
    /// A long-lived token; for so many seconds, the one before stays active.
    Token(TokenId, i64),
    /// An invitation of this person.
    Invitation(PersonId),
    /// A personal token.
    PersonalToken(AdminTokenId),
    /// A verifier.
    Verifier(VerifierId),
    /// A signing key, which is pending.
    SigningKey(SigningKeyId),
}

impl Created {
    /// As a cookie holds it.
    #[must_use]
    pub fn encoded(&self) -> String {
        match self {
            Self::Provider(id) => format!("provider.{id}"),
            Self::Channel(id) => format!("channel.{id}"),
            Self::Key(id) => format!("key.{id}"),
            Self::Token(id, seconds) => format!("token.{id}.{seconds}"),
            Self::Invitation(id) => format!("invitation.{id}"),
            Self::PersonalToken(id) => format!("personal-token.{id}"),
            Self::Verifier(id) => format!("verifier.{id}"),
            Self::SigningKey(id) => format!("signing-key.{id}"),
        }
    }

    /// What is encoded so.
    #[must_use]
    pub fn decoded(text: &str) -> Option<Self> {
        let (what, id) = text.split_once('.')?;
        Some(match what {
            "provider" => Self::Provider(id.parse().ok()?),
            "channel" => Self::Channel(id.parse().ok()?),
            "key" => Self::Key(id.parse().ok()?),
            "token" => {
                let (id, seconds) = id.split_once('.')?;
                Self::Token(id.parse().ok()?, seconds.parse().ok()?)
            }
            "invitation" => Self::Invitation(id.parse().ok()?),
            "personal-token" => Self::PersonalToken(id.parse().ok()?),
            "verifier" => Self::Verifier(id.parse().ok()?),
            "signing-key" => Self::SigningKey(id.parse().ok()?),
            _ => return None,
        })
    }

    /// The notice: what was created, with its id, and what to do with a key.
    #[must_use]
    pub fn html(&self, language: Language) -> Html {
        let seconds = if let Self::Token(_, seconds) = self { *seconds } else { 0 };
        let delay = PageTimes { now: UnixTime(0), language }.length(seconds);
        (language.texts().notice.created)(self, self.id(language), &delay)
    }

    /// Its id, with a button that copies it where the person needs it next.
    fn id(&self, language: Language) -> Html {
        match self {
            Self::Provider(id) => crate::html!("{}", Id(id)),
            Self::Channel(id) => crate::html!("{}", Id(id)),
            Self::Token(id, _) => crate::html!("{}", Id(id)),
            Self::Invitation(id) => crate::html!("{}", Id(id)),
            Self::PersonalToken(id) => crate::html!("{}", Id(id)),
            Self::Verifier(id) => crate::html!("{}", Id(id)),
            Self::SigningKey(id) => crate::html!("{}", Id(id)),
            Self::Key(id) => {
                let t = &language.texts().common;
                crate::html!(
                    "<span id=\"created\" class=\"id\">{}</span> <button type=\"button\" \
                     class=\"btn slim\" data-copy=\"created\" data-done=\"{}\" data-script \
                     hidden>{}</button>",
                    Html::text(&id.to_string()),
                    Html::text(t.copied),
                    Html::text(t.copy)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_created_is_encoded_and_named_with_its_id_in_each_language() {
        let person = "1000000001";
        let key = "536e453c-aa93-4449-8e90-add2608783c6";
        for created in [
            Created::Provider(person.parse().unwrap()),
            Created::Channel(person.parse().unwrap()),
            Created::Key(key.parse().unwrap()),
            Created::Token(TokenId([7; 16]), 3_600),
            Created::Token(TokenId([7; 16]), 0),
            Created::Invitation(person.parse().unwrap()),
            Created::PersonalToken(person.parse().unwrap()),
            Created::Verifier(person.parse().unwrap()),
            Created::SigningKey(SigningKeyId([7; 8])),
        ] {
            let encoded = created.encoded();
            assert_eq!(Created::decoded(&encoded).as_ref(), Some(&created), "{encoded}");
            let id = encoded.split('.').nth(1).unwrap();
            for language in Language::ALL {
                let html = created.html(language);
                assert!(html.as_str().contains(id), "{html}");
            }
        }
        for other in ["", "key", "key.", "key.1", "token.AA", "provider.<b>", "nothing.1"] {
            assert_eq!(Created::decoded(other), None, "{other}");
        }
        let html = Created::Key(key.parse().unwrap()).html(Language::En).to_string();
        assert!(html.contains("data-copy=\"created\"") && html.contains("--key-id"), "{html}");
    }
}
