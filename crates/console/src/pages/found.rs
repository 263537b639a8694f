//! The tokens that the leak desk found, by their ids, on the pages that follow: the way back to
//! them, since a browser does not show the result of a form again.

use crate::{
    frame::Frame,
    html::{Html, Id},
    pages::revoke_href,
    pieces::{button, link},
};
use std::{fmt, str::FromStr};
use tegata_token::{
    id::{ChannelId, TokenId},
    time::UnixTime,
};

/// A token that was found. Its id is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundToken {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub id: TokenId,
    /// When it expires, of a stateless token, which has no page of its own.
    pub expires: Option<UnixTime>,
}

/// The field of addresses that has them.
const FIELD: &str = "found";

impl fmt::Display for FoundToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.channel, self.id)?;
        self.expires.map_or(Ok(()), |at| write!(f, ".{}", at.0))
    }
}

/// Text that names no token that was found.
#[derive(Debug)]
pub struct BadFoundToken;

impl FromStr for FoundToken {
    type Err = BadFoundToken;

    fn from_str(text: &str) -> Result<Self, BadFoundToken> {
        let mut parts = text.split('.');
        let (channel, id) = (parts.next(), parts.next());
        let expires = match parts.next() {
            None => None,
            Some(at) => Some(UnixTime(at.parse().map_err(|_| BadFoundToken)?)),
        };
        let channel = channel.and_then(|it| it.parse().ok()).ok_or(BadFoundToken)?;
        let id = id.and_then(|it| it.parse().ok()).ok_or(BadFoundToken)?;
        Ok(Self { channel, id, expires })
    }
}

impl FoundToken {
    /// Maximum number of tokens that a page shows or an address names: each line of a page has
    /// the others in its address.
    pub const MOST: usize = 20;

    /// The first tokens that an address names; what names none is left out.
    #[must_use]
    pub fn of_address(address: &str) -> Vec<Self> {
        let query = address.split_once('?').map_or("", |(_, it)| it);
        let fields = query.split('&').filter_map(|it| it.split_once('='));
        let found = fields.filter(|(name, _)| *name == FIELD).map(|(_, it)| it);
        let texts = found.flat_map(|it| it.split(','));
        texts.filter_map(|it| it.parse().ok()).take(Self::MOST).collect()
    }

    /// An address with these tokens.
    #[must_use]
    pub fn in_address(address: &str, found: &[Self]) -> String {
        let all: Vec<_> = found.iter().map(Self::to_string).collect();
        let joint = if address.contains('?') { '&' } else { '?' };
        match all.is_empty() {
            true => address.to_owned(),
            false => format!("{address}{joint}{FIELD}={}", all.join(",")),
        }
    }

    fn line(&self, frame: &Frame, all: &[Self]) -> Html {
        let t = frame.t();
        let id = crate::html!("{}", Id(self.id));
        let (id, review) = match self.expires {
            Some(at) => {
                (id, revoke_href(self.channel, "stateless", &format!("{}.{}", self.id, at.0)))
            }
            None => {
                let page = format!("/console/channels/{}/tokens/{}", self.channel, self.id);
                (link(&page, &id), revoke_href(self.channel, "token", &self.id.to_string()))
            }
        };
        let rest: Vec<_> = all.iter().copied().filter(|it| it != self).collect();
        let review = Self::in_address(&review, &rest);
        let review = button("danger slim", &review, t.token.revoke, &self.id.to_string());
        crate::html!("<li>{} {}</li>", (t.leak_desk.found_one)(id, Id(self.channel)), review)
    }
}

/// The other tokens that were found, each with its page and that of its revocation; empty if
/// there are none.
#[must_use]
pub(super) fn found_list(frame: &Frame, found: &[FoundToken]) -> Html {
    if found.is_empty() {
        return Html::default();
    }
    let lines: String = found.iter().map(|it| it.line(frame, found).to_string()).collect();
    crate::html!(
        "<section class=\"sheet stack\" aria-labelledby=\"h-others-found\"><h2 \
         id=\"h-others-found\">{}</h2><ul class=\"stack\">{}</ul></section>",
        Html::text(frame.t().leak_desk.others_found),
        Html::trusted(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_tokens_that_were_found_and_nothing_else() {
        let channel = "1650000123".parse().unwrap();
        let stored = FoundToken { channel, id: TokenId([7; 16]), expires: None };
        let stateless = FoundToken { expires: Some(UnixTime(9)), ..stored };
        let all = [stored, stateless];
        for address in ["/console/receipts/1-2", "/x?what=token&which=y"] {
            let with = FoundToken::in_address(address, &all);
            assert_eq!(FoundToken::of_address(&with), all, "{with}");
            assert_eq!(FoundToken::in_address(address, &[]), address);
        }
        let other =
            format!("/x?found={stored},eyJhbGci.x.y,1.2,,{stored}.never&foundling={stored}");
        assert_eq!(FoundToken::of_address(&other), [stored]);
        assert!(FoundToken::of_address("/x").is_empty());
        let long = format!("/x?found={}", vec![stored.to_string(); 1_000].join(","));
        assert_eq!(FoundToken::of_address(&long).len(), FoundToken::MOST);
    }
}
