//! Notice, in English.

use super::common::tokens;
use crate::{
    created::Created,
    html,
    html::{Code, Html},
    texts::NoticeTexts,
};

pub const TEXTS: NoticeTexts = NoticeTexts {
    saved: "Saved.",
    created: |what, id, delay| match what {
        Created::Provider(_) => html!("Provider {} was created.", id),
        Created::Channel(_) => html!("Channel {} was created.", id),
        Created::Key(_) => html!(
            "The key was registered under the key ID {}. Set it as {} in the header of each \
             assertion. With {}, pass it as {}.",
            id,
            Code("kid"),
            Code("tegata token issue"),
            Code("--key-id")
        ),
        Created::Token(_, 0) => html!("Long-lived token {} was issued.", id),
        Created::Token(..) => {
            let delay = Html::text(delay);
            html!("Long-lived token {} was issued. The one before expires in {}.", id, delay)
        }
        Created::Invitation(_) => html!("An invitation of person {} was created.", id),
        Created::PersonalToken(_) => html!("Personal token {} was created.", id),
        Created::Verifier(_) => html!("Verifier {} was created.", id),
        Created::SigningKey(_) => html!("Signing key {} was created. It is pending.", id),
    },
    deleted: |count| match count {
        0 => "Deleted. No stored token was active.".to_owned(),
        _ => format!("Deleted. {} revoked.", tokens(count)),
    },
    revoked: |count| format!("{} revoked.", tokens(count)),
};
