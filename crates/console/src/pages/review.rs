//! The confirmation of an act that takes something away: what goes, and the form that does it.

use super::{Page, shown_token::ShownToken};
use crate::{
    forms::Field,
    frame::Frame,
    html::{Bdi, Html},
    pieces::{Table, commands, joined},
};
use askama::Template;

/// What an act would take away, and how to confirm it.
#[derive(Debug, Default)]
pub struct Review {
    /// Where the form is sent to.
    pub action: String,
    /// What it sends besides the reason.
    pub hidden: Vec<(&'static str, String)>,
    /// The consequence, of an act that does more than revoke tokens.
    pub why: Option<Html>,
    /// What it would take away; none, of an act that takes no tokens away.
    pub taken: Option<WouldGo>,
    /// Whether it asks for a reason, and what was entered.
    pub reason: Option<Field>,
    /// The button that confirms it, and where it leads to keep things as they are.
    pub confirm: String,
    /// The button that does nothing.
    pub keep: String,
    /// Where that button leads.
    pub keep_href: String,
    /// Commands that do the same.
    pub commands: Vec<String>,
    /// Smaller or reversible acts.
    pub alternatives: Vec<Html>,
}

/// The tokens that an act would revoke.
#[derive(Debug, Default)]
pub struct WouldGo {
    /// How many stored tokens.
    pub count: usize,
    /// The first of them.
    pub rows: Vec<ShownToken>,
    /// Whether stateless tokens in the scope are revoked, too.
    pub stateless_too: bool,
    /// Whether it is one stateless token, which has no row.
    pub one_stateless: bool,
    /// The contacts of their groups.
    pub contacts: Vec<String>,
}

/// A token is in use if it was used within this time, in seconds.
const IN_USE: i64 = 3_600;

/// The confirmation of an act.
#[derive(Debug, Template)]
#[template(path = "review.html")]
pub struct ReviewPage {
    page: Page,
    it: Review,
}

impl ReviewPage {
    /// The page, whose heading is the question.
    #[must_use]
    pub fn new(page: Page, it: Review) -> Self {
        Self { page, it }
    }

    fn table(&self, taken: &WouldGo) -> Html {
        let frame = &self.page.frame;
        let table = Table {
            caption: Html::text(frame.t().review.tokens),
            columns: ShownToken::columns(frame, false),
            rows: taken.rows.iter().map(|it| it.row(frame, false)).collect(),
        };
        table.html()
    }

    fn below(&self, taken: &WouldGo) -> Vec<String> {
        let t = &self.page.frame.t().review;
        let mut all = Vec::new();
        let listed = taken.rows.len() + usize::from(taken.one_stateless);
        if let Some(more @ 1..) = taken.count.checked_sub(listed) {
            all.push((t.more)(more));
        }
        if taken.stateless_too {
            all.push(t.stateless.to_owned());
        }
        if taken.one_stateless {
            all.push(t.one_stateless.to_owned());
        }
        all
    }

    fn commands(&self) -> Html {
        commands(self.page.frame.t().common.command_line, &self.it.commands)
    }
}

impl WouldGo {
    /// How many of the tokens are in use, and when the last use was.
    fn in_use(&self, frame: &Frame) -> Option<(usize, String)> {
        let used = self.rows.iter().filter_map(|it| it.used);
        let used: Vec<_> = used.filter(|at| frame.now.since(*at) < IN_USE).collect();
        let last = used.iter().max()?;
        Some((used.len(), frame.times().relative(*last)))
    }

    fn contacts_html(&self, frame: &Frame) -> Html {
        let all = self.contacts.iter().map(|it| (frame.t().review.contact)(Bdi(it)));
        let spaced = all.map(|it| crate::html!(" {}", it));
        joined(&spaced.collect::<Vec<_>>())
    }
}
