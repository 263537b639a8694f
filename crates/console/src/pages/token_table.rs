//! The tokens that an act would revoke, as a table.

use super::shown_token::never_expires;
use crate::{Frame, html::Html};
use askama::Template;
use tegata_token::{
    id::{ChannelId, Group, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// A token, as tables show it.
#[derive(Debug, Clone)]
pub struct TokenLine {
    /// Its id.
    pub id: TokenId,
    /// Its channel, in a table of several channels.
    pub channel: Option<ChannelId>,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires.
    pub expires_at: UnixTime,
    /// When it was last used.
    pub last_used_at: Option<UnixTime>,
}

/// The tokens that an act would revoke.
#[derive(Debug, Clone, Default)]
pub struct TokenTable {
    /// How many it would revoke.
    pub total: usize,
    /// Some of them, newest first.
    pub rows: Vec<TokenLine>,
    /// Whether it would revoke stateless tokens, too, which have no rows.
    pub stateless_too: bool,
    /// Whether it would only suspend them: they work again once their channel is resumed.
    pub suspends: bool,
}

/// A token that was used within this time is in use, in seconds.
const IN_USE: i64 = 3_600;

impl TokenLine {
    /// When it expires; none for the long-lived token of a channel.
    #[must_use]
    pub fn expiry(&self) -> Option<UnixTime> {
        (!never_expires(self.kind, self.issued_at, self.expires_at)).then_some(self.expires_at)
    }

    /// The same in words.
    #[must_use]
    pub fn expiry_html(&self, frame: &Frame) -> Html {
        match self.expiry() {
            None => {
                crate::html!("<span class=\"quiet\">{}</span>", Html::from(frame.t().common.never))
            }
            Some(at) => frame.times().cell(at),
        }
    }
}

impl TokenTable {
    /// How many of the tokens that are shown are in use.
    #[must_use]
    pub fn in_use(&self, now: UnixTime) -> usize {
        let used = |it: &&TokenLine| it.last_used_at.is_some_and(|at| now.since(at) <= IN_USE);
        self.rows.iter().filter(used).count()
    }

    /// The table.
    #[must_use]
    pub fn html(&self, frame: &Frame) -> Html {
        let html = Rendered { frame, table: self }.render();
        Html::trusted(html.unwrap_or_default())
    }
}

#[derive(Template)]
#[template(path = "token_table.html")]
struct Rendered<'a> {
    frame: &'a Frame,
    table: &'a TokenTable,
}

impl Rendered<'_> {
    fn expiry(&self, of: &TokenLine) -> Html {
        of.expiry_html(self.frame)
    }

    fn used(&self, at: &Option<UnixTime>) -> Html {
        self.frame.times().used(*at)
    }

    fn more(&self) -> Option<String> {
        let more = self.table.total.saturating_sub(self.table.rows.len());
        (more > 0).then(|| (self.frame.t().confirm.more)(more))
    }

    fn has_channels(&self) -> bool {
        self.table.rows.iter().any(|it| it.channel.is_some())
    }

    fn heading(&self) -> &'static str {
        let t = &self.frame.t().confirm;
        if self.table.suspends { t.tokens_to_suspend } else { t.tokens }
    }

    fn stateless_too(&self) -> Option<&'static str> {
        let t = &self.frame.t().confirm;
        let text = if self.table.suspends { t.stateless_suspended } else { t.stateless_too };
        self.table.stateless_too.then_some(text)
    }

    fn in_use(&self) -> Option<String> {
        let count = self.table.in_use(self.frame.now);
        (count > 0).then(|| (self.frame.t().confirm.in_use)(count))
    }
}
