//! The keys that sign tokens.

use super::{Acts, PageHead};
use crate::{
    frame::{Crumb, Frame, Section},
    html::{Html, Id},
    pieces::{HtmlTable, Row, button, buttons, column, commands, joined, narrow, sub, tag},
};
use askama::Template;
use tegata_token::{id::SigningKeyId, key::KeyState, time::UnixTime};

/// A signing key.
#[derive(Debug, Clone, Copy)]
pub struct ShownKey {
    /// Its id.
    pub id: SigningKeyId,
    /// Its state.
    pub state: KeyState,
    /// When it was created.
    pub created: UnixTime,
}

/// The signing keys.
#[derive(Debug, Template)]
#[template(path = "signing_keys.html")]
pub struct SigningKeysPage {
    page: PageHead,
    keys: Vec<ShownKey>,
}

impl SigningKeysPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, keys: Vec<ShownKey>, acts: Acts) -> Self {
        let t = &frame.t().signing_keys;
        let page = PageHead::new(frame, Some(Section::SigningKeys), t.title).lead(t.lead);
        Self { page: page.acts(acts), keys }
    }

    fn is_rotating(&self) -> bool {
        self.keys.iter().any(|it| it.state == KeyState::Pending)
    }

    fn table(&self) -> Html {
        let frame = &self.page.frame;
        let t = &frame.t().signing_keys;
        let table = HtmlTable {
            caption: Html::text(t.keys),
            columns: vec![narrow(t.key), column(frame.t().token.state), narrow(t.created)]
                .into_iter()
                .chain(self.page.acts.take.then(|| buttons(frame.t().token.action)))
                .collect(),
            rows: self.keys.iter().map(|it| self.row(*it)).collect(),
        };
        table.html()
    }

    fn row(&self, it: ShownKey) -> Row {
        let frame = &self.page.frame;
        let t = &frame.t().signing_keys;
        let class = match it.state {
            KeyState::Active => "ok",
            KeyState::Pending => "warn",
            KeyState::Retired { .. } | KeyState::Revoked => "inactive",
        };
        let revoked = it.state == KeyState::Revoked;
        let state = [tag(class, (t.state)(it.state)), sub(&Html::text((t.meaning)(it.state)))];
        let href = format!("/console/signing-keys/{}/revoke", it.id);
        let revoke = || match revoked {
            true => Html::default(),
            false => button("danger slim", &href, t.revoke, &it.id.to_string()),
        };
        let mut cells =
            vec![crate::html!("{}", Id(it.id)), joined(&state), frame.times().cell(it.created)];
        cells.extend(self.page.acts.take.then(revoke));
        Row { past: revoked, cells }
    }

    fn commands(&self) -> Html {
        let lines = ["tegata signing-key list".to_owned(), "tegata signing-key rotate".to_owned()];
        commands(self.page.frame.t().common.command_line, &lines)
    }
}

/// The head of a page below the list of signing keys.
#[must_use]
pub fn below_keys(frame: Frame, heading: Html, name: &str) -> PageHead {
    let t = &frame.t().signing_keys;
    let crumbs = [Crumb::new("/console/signing-keys", t.title), Crumb::new("", name)];
    PageHead::new(frame, Some(Section::SigningKeys), heading).below(crumbs)
}
