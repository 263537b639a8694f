//! The long-lived token of a channel.

use super::{ChannelHead, ChannelTab, PageHead, TokenLine};
use crate::{
    Frame,
    forms::{Field, Once},
    html::Html,
};
use askama::Template;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct MessagingApi {
    /// The head.
    pub head: ChannelHead,
    /// The tokens that are active: the current one and, during the delay of a reissue, the
    /// previous one.
    pub tokens: Vec<TokenLine>,
    /// Whether the person may issue one.
    pub issues: bool,
    /// Whether the person may revoke one.
    pub revokes: bool,
    /// A token that was just issued.
    pub once: Option<Once>,
    /// What is wrong with the hours of another delay.
    pub hours: Field,
    /// Tells this form from another one, so that it is done once if it is sent twice.
    pub request: String,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "messaging_api.html")]
pub struct MessagingApiPage {
    page: PageHead,
    it: MessagingApi,
}

/// The choices of the delay, in seconds.
const DELAYS: [i64; 4] = [0, 3_600, 21_600, 86_400];
/// The one that is selected at first.
const USUAL_DELAY: i64 = 86_400;
/// A token that was used within this time is in use, in seconds.
const IN_USE: i64 = 3_600;

impl MessagingApiPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: MessagingApi) -> Self {
        let label = frame.t().messaging_api.delay;
        let page = it.head.page(frame, ChannelTab::MessagingApi);
        let it = Self { page, it };
        // A first token has no delay to choose.
        let hours = it.has_current().then_some(("hours", label, &it.it.hours));
        Self { page: it.page.clone().checked(hours), ..it }
    }

    /// The token that the next reissue replaces.
    fn is_current(&self, token: &TokenLine) -> bool {
        token.expiry().is_none()
    }

    fn expiry(&self, token: &TokenLine) -> Html {
        token.expiry_html(&self.page.frame)
    }

    /// The previous token, if clients still use it.
    fn in_use(&self) -> Option<Html> {
        let frame = &self.page.frame;
        let used = |it: &&TokenLine| {
            it.last_used_at.is_some_and(|at| frame.now.since(at) <= IN_USE) && !self.is_current(it)
        };
        let token = self.it.tokens.iter().find(used)?;
        Some((frame.t().messaging_api.previous_in_use)(frame.times().both(token.expires_at)))
    }

    fn delay(&self, seconds: &i64) -> String {
        match seconds {
            0 => self.page.frame.t().messaging_api.delay_none.to_owned(),
            _ => self.page.frame.times().length(*seconds),
        }
    }

    fn has_current(&self) -> bool {
        self.it.tokens.iter().any(|it| self.is_current(it))
    }
}
