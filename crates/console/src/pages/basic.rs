//! A channel's basic settings: name, secret, assertion keys, suspension and deletion.

use super::{ChannelHead, ChannelTab, PageHead, provider::name_input};
use crate::{
    Frame,
    forms::{Field, Once},
    html::Html,
};
use askama::Template;
use tegata_policy::rules::ASSERTION_KEYS;
use tegata_token::{
    id::{AssertionKeyId, Group},
    time::UnixTime,
};

/// A secret that is accepted.
#[derive(Debug, Clone)]
pub struct SecretLine {
    /// When it expires, of the previous one.
    pub until: Option<UnixTime>,
    /// When it was last used.
    pub last_used_at: Option<UnixTime>,
}

/// An assertion key.
#[derive(Debug, Clone)]
pub struct KeyLine {
    /// Its id.
    pub id: AssertionKeyId,
    /// The group that it is bound to.
    pub group: Option<Group>,
    /// When it was registered.
    pub created_at: UnixTime,
    /// When it was last used.
    pub last_used_at: Option<UnixTime>,
}

/// What a person may do on the page.
#[derive(Debug, Clone, Copy, Default)]
pub struct BasicActs {
    /// Rename the channel, and resume it.
    pub changes: bool,
    /// Replace the secret.
    pub replaces_secret: bool,
    /// Delete the previous secret.
    pub deletes_previous: bool,
    /// See the assertion keys.
    pub sees_keys: bool,
    /// Register an assertion key.
    pub registers_keys: bool,
    /// Delete an assertion key.
    pub deletes_keys: bool,
    /// Suspend the channel.
    pub suspends: bool,
    /// Delete the channel.
    pub deletes: bool,
    /// Give up one's own role in the channel.
    pub leaves: bool,
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Basic {
    /// The head.
    pub head: ChannelHead,
    /// When it was created.
    pub created_at: UnixTime,
    /// Whether it is suspended.
    pub suspended: bool,
    /// The secrets that are accepted, the current one first.
    pub secrets: Vec<SecretLine>,
    /// The assertion keys.
    pub keys: Vec<KeyLine>,
    /// What the person may do.
    pub acts: BasicActs,
    /// A secret that was just made.
    pub once: Option<Once>,
    /// The tag of the settings that are shown.
    pub seen: String,
    /// The name, as it is or as it was entered.
    pub name: Field,
    /// What is wrong with a public key; never with its text, which may hold a private key.
    pub key: Field,
    /// The group that a key was to be bound to.
    pub group: Field,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "basic.html")]
pub struct BasicPage {
    page: PageHead,
    it: Basic,
}

/// The choices of how long the previous secret is kept, in seconds.
const KEEPS: [i64; 3] = [0, 3_600, 86_400];
/// The one that is selected at first.
const USUAL_KEEP: i64 = 86_400;
/// A secret that was used within this time is in use, in seconds.
const IN_USE: i64 = 3_600;

impl BasicPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: Basic) -> Self {
        let t = frame.t();
        let name = ("name", t.common.name, &it.name);
        let key = ("key", t.basic.public_key, &it.key);
        let group = ("group", t.confirm.group, &it.group);
        let page = it.head.page(frame, ChannelTab::Basic);
        let name = Some(name).filter(|_| it.acts.changes);
        let key = [key, group].into_iter().filter(|_| it.acts.registers_keys);
        Self { page: page.checked(name.into_iter().chain(key)), it }
    }

    fn name(&self) -> Html {
        name_input(&self.page.frame, &self.it.name)
    }

    fn until(&self, secret: &SecretLine) -> Html {
        match secret.until {
            Some(at) => self.page.frame.times().cell(at),
            None => self.never(),
        }
    }

    fn never(&self) -> Html {
        let never = Html::from(self.page.frame.t().common.never);
        crate::html!("<span class=\"quiet\">{}</span>", never)
    }

    fn used(&self, at: &Option<UnixTime>) -> Html {
        self.page.frame.times().used(*at)
    }

    /// Whether another key must have a group.
    fn is_full(&self) -> bool {
        self.it.keys.iter().filter(|it| it.group.is_none()).count() >= ASSERTION_KEYS
    }

    fn previous_in_use(&self) -> bool {
        let now = self.page.frame.now;
        let used = |it: &SecretLine| it.last_used_at.is_some_and(|at| now.since(at) <= IN_USE);
        self.it.secrets.iter().any(|it| it.until.is_some() && used(it))
    }

    fn has_previous(&self) -> bool {
        self.it.secrets.iter().any(|it| it.until.is_some())
    }

    fn keep(&self, seconds: &i64) -> String {
        match seconds {
            0 => self.page.frame.t().basic.keep_none.to_owned(),
            _ => self.page.frame.times().length(*seconds),
        }
    }
}
