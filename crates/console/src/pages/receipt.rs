//! A receipt: which instances of verifiers can no longer accept what was revoked.

use super::{AuditLine, FoundToken, PageHead, found::found_list};
use crate::named::InstanceStanding;
use crate::{
    frame::Frame,
    html::{Bdi, Html, Id},
    pieces::{Column, HtmlTable, Row, commands, joined, narrow, pairs, sub, tag},
};
use askama::Template;
use tegata_token::{id::Position, time::UnixTime};

/// An instance in a receipt.
#[derive(Debug, Clone)]
pub struct ShownInstance {
    /// The name of its verifier.
    pub verifier: String,
    /// Its id.
    pub instance: String,
    /// Whether it can still accept.
    pub state: InstanceStanding,
    /// When it acknowledged the change.
    pub acknowledged: Option<UnixTime>,
    /// More, in the words of the server.
    pub detail: Option<String>,
}

/// A receipt.
#[derive(Debug, Clone)]
pub struct ShownReceipt {
    /// The position of the change.
    pub position: Position,
    /// From when it is in effect.
    pub effective: UnixTime,
    /// Whether no instance can accept any more what was revoked.
    pub complete: bool,
    /// The instances that must apply it.
    pub instances: Vec<ShownInstance>,
}

/// The page of a receipt.
#[derive(Debug, Template)]
#[template(path = "receipt.html")]
pub struct ReceiptPage {
    page: PageHead,
    it: ShownReceipt,
    about: Option<AuditLine>,
    found: Vec<FoundToken>,
}

impl InstanceStanding {
    /// Whether it can no longer accept what was revoked.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Acknowledged | Self::LeaseExpired | Self::Stopped | Self::Removed)
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Acknowledged => "ok",
            Self::Waiting => "warn",
            Self::LeaseExpired | Self::Stopped | Self::Removed => "inactive",
            Self::MayStillAccept | Self::CannotApply => "bad",
        }
    }
}

impl ShownReceipt {
    /// The receipt itself: the part of the page that follows the acknowledgements.
    #[must_use]
    pub fn html(&self, frame: &Frame) -> Html {
        let (t, times) = (&frame.t().receipt, frame.times());
        let (head, stamp, class) = match self.complete {
            true => (t.complete, t.complete_stamp, "stamp"),
            false => (t.pending, t.pending_stamp, "stamp warn"),
        };
        let safe = self.instances.iter().filter(|it| it.state.is_safe()).count();
        let so_far = match self.instances.len() {
            0 => t.no_verifiers.to_owned(),
            all => (t.so_far)(safe, all),
        };
        let position = crate::html!("{}{}", Id(self.position), sub(&Html::text(t.in_log)));
        // No relative time: an event that changes nothing has the same text.
        let facts = pairs(&[(t.effective, times.exact(self.effective)), (t.position, position)]);
        let table = match self.instances.is_empty() {
            true => Html::default(),
            false => self.table(frame),
        };
        crate::html!(
            "<div class=\"top\"><div role=\"status\"><h2 id=\"h-r\">{}</h2><p class=\"lead\">{}</p></div>\
             <span class=\"{}\">{}</span></div>{}{}",
            Html::text(head),
            Html::text(&so_far),
            Html::text(class),
            Html::text(stamp),
            facts,
            table
        )
    }

    fn table(&self, frame: &Frame) -> Html {
        let t = &frame.t().receipt;
        let full = Column { name: t.details, class: "full" };
        let table = HtmlTable {
            caption: Html::text(t.instances),
            columns: vec![
                narrow(t.verifier),
                narrow(t.instance),
                narrow(frame.t().token.state),
                narrow(t.acknowledged),
                full,
            ],
            rows: self.instances.iter().map(|it| it.row(frame)).collect(),
        };
        table.html()
    }
}

impl ShownInstance {
    fn row(&self, frame: &Frame) -> Row {
        let t = &frame.t().receipt;
        let acknowledged = match self.acknowledged {
            Some(at) => frame.times().clock(at),
            None if self.state.is_safe() => Html::text(t.no),
            None => Html::text(t.not_yet),
        };
        let fixed = match self.state {
            InstanceStanding::LeaseExpired => t.lease_expired,
            InstanceStanding::Waiting => t.waiting,
            InstanceStanding::MayStillAccept => t.may_still_accept,
            _ => "",
        };
        let detail = self.detail.as_deref().map(|it| crate::html!(" {}", Bdi(it)));
        Row {
            past: false,
            cells: vec![
                crate::html!("{}", Bdi(&self.verifier)),
                crate::html!("{}", Id(&self.instance)),
                tag(self.state.class(), (t.state)(self.state)),
                acknowledged,
                joined(&[Html::text(fixed), detail.unwrap_or_default()]),
            ],
        }
    }
}

impl ReceiptPage {
    /// The page.
    #[must_use]
    pub fn new(page: PageHead, it: ShownReceipt) -> Self {
        Self { page, it, about: None, found: Vec::new() }
    }

    /// The same, with the audit event of the change.
    #[must_use]
    pub fn about(self, about: Option<AuditLine>) -> Self {
        Self { about, ..self }
    }

    /// The same, with the other tokens that the leak desk found.
    #[must_use]
    pub fn found(self, found: Vec<FoundToken>) -> Self {
        Self { found, ..self }
    }

    fn found_html(&self) -> Html {
        found_list(&self.page.frame, &self.found)
    }

    fn again(&self) -> String {
        FoundToken::in_address(&self.href(), &self.found)
    }

    fn receipt(&self) -> Html {
        self.it.html(&self.page.frame)
    }

    fn href(&self) -> String {
        format!("/console/receipts/{}", self.it.position)
    }

    fn since(&self) -> Html {
        let frame = &self.page.frame;
        (frame.t().receipt.since)(frame.times().clock(self.it.effective))
    }

    fn in_effect(&self) -> bool {
        self.it.effective <= self.page.frame.now
    }

    fn commands(&self) -> Html {
        let line = format!("tegata receipt show {}", self.it.position);
        commands(self.page.frame.t().common.command_line, &[line])
    }
}
