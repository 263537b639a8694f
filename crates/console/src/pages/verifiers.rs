//! Verifiers: the list with their instances, the form of a new one, and its credential.

use super::{Acts, PageHead};
use crate::{
    forms::Field,
    frame::{Crumb, Frame, Section},
    html::{Bdi, Html, Id},
    pieces::{
        HtmlTable, Row, button, buttons, column, commands, joined, narrow, pairs, quiet, sub, tag,
    },
};
use askama::Template;
use core::net::IpAddr;
use tegata_token::{
    feed::OnStale,
    id::{Position, ProviderId, VerifierId},
    time::UnixTime,
};

/// A verifier.
#[derive(Debug, Clone)]
pub struct ShownVerifier {
    /// Its id.
    pub id: VerifierId,
    /// Its name.
    pub name: String,
    /// The only provider whose tokens it may verify.
    pub provider: Option<ProviderId>,
    /// The longest staleness of its instances, in milliseconds.
    pub max_staleness: u32,
    /// Whether its instances may accept tokens by stale data.
    pub allow: bool,
    /// When it was created.
    pub created: UnixTime,
    /// Its instances.
    pub instances: Vec<RunningInstance>,
}

/// An instance of a verifier.
#[derive(Debug, Clone)]
pub struct RunningInstance {
    /// Its id.
    pub id: String,
    /// The address from which it was registered.
    pub address: Option<IpAddr>,
    /// What it does when its data is stale.
    pub on_stale: OnStale,
    /// The position that it has acknowledged.
    pub position: Option<Position>,
    /// Seconds since it polled.
    pub age: i64,
    /// Seconds until its lease expires; 0: it has.
    pub lease: i64,
    /// Why it cannot apply what it received.
    pub cannot: Option<String>,
    /// Whether it accepted a token that it knew to be revoked.
    pub faulty: bool,
}

/// The verifiers.
#[derive(Debug, Template)]
#[template(path = "verifiers.html")]
pub struct VerifiersPage {
    page: PageHead,
    all: Vec<ShownVerifier>,
}

impl VerifiersPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, all: Vec<ShownVerifier>, acts: Acts) -> Self {
        let t = &frame.t().verifiers;
        let page = PageHead::new(frame, Some(Section::Verifiers), t.title).lead(t.lead);
        Self { page: page.acts(acts), all }
    }

    fn commands(&self) -> Html {
        let line = "tegata verifier list".to_owned();
        commands(self.page.frame.t().common.command_line, &[line])
    }
}

impl RunningInstance {
    /// Its id, with the address by which its machine is found.
    fn named(&self) -> Html {
        let id = crate::html!("{}", Id(&self.id));
        match self.address {
            Some(address) => joined(&[id, sub(&crate::html!("{}", Id(address)))]),
            None => id,
        }
    }
}

impl ShownVerifier {
    fn href(&self) -> String {
        format!("/console/verifiers/{}", self.id)
    }

    fn facts(&self, frame: &Frame) -> Html {
        let (t, times) = (&frame.t().verifiers, frame.times());
        let provider = self.provider.map(|it| crate::html!("{}", Id(it)));
        let stale = if self.allow { t.stale_allowed } else { t.stale_forbidden };
        pairs(&[
            (t.id, crate::html!("{}", Id(self.id))),
            (t.provider, provider.unwrap_or_else(|| Html::text(t.all_providers))),
            (t.max_staleness, Html::text(&times.length(i64::from(self.max_staleness) / 1_000))),
            (t.stale_use, Html::text(stale)),
            (frame.t().common.created, times.exact(self.created)),
        ])
    }

    fn table(&self, frame: &Frame, removes: bool) -> Html {
        let t = &frame.t().verifiers;
        let table = HtmlTable {
            caption: Html::text(t.instances),
            columns: vec![
                narrow(t.instance),
                column(t.state),
                narrow(t.polled),
                narrow(t.lease),
                narrow(t.position),
                column(t.on_stale),
            ]
            .into_iter()
            .chain(removes.then(|| buttons(frame.t().token.action)))
            .collect(),
            rows: self.instances.iter().map(|it| self.row(frame, it, removes)).collect(),
        };
        table.html()
    }

    fn row(&self, frame: &Frame, it: &RunningInstance, removes: bool) -> Row {
        let (t, times) = (&frame.t().verifiers, frame.times());
        let state = match (it.faulty, &it.cannot) {
            (true, _) => tag("bad", t.faulty),
            (false, Some(why)) => {
                joined(&[tag("bad", t.cannot), sub(&crate::html!("{}", Bdi(why)))])
            }
            (false, None) if it.lease == 0 && it.on_stale == OnStale::Allow => {
                tag("bad", frame.t().receipt.may_still_accept_short)
            }
            (false, None) if it.lease == 0 => tag("inactive", t.behind),
            (false, None) => tag("ok", t.follows),
        };
        let lease = match it.lease {
            0 => t.over.to_owned(),
            left => (t.ahead)(&times.length(left)),
        };
        let position = it.position.map(|it| crate::html!("{}", Id(it)));
        let href = format!("{}/instances/{}/remove", self.href(), it.id);
        Row {
            past: false,
            cells: vec![
                it.named(),
                state,
                Html::text(&(t.ago)(&times.length(it.age))),
                Html::text(&lease),
                position.unwrap_or_else(|| quiet(t.not_since_start)),
                Html::text((t.stale_name)(it.on_stale)),
            ]
            .into_iter()
            .chain(removes.then(|| button("danger slim", &href, t.remove, &it.id)))
            .collect(),
        }
    }
}

/// The form of a new verifier.
#[derive(Debug, Clone, Default)]
pub struct VerifierForm {
    /// Its name.
    pub name: Field,
    /// The id of the only provider; empty: all.
    pub provider: Field,
    /// The longest staleness in seconds.
    pub staleness: Field,
    /// Whether its instances may accept tokens by stale data.
    pub allow: bool,
}

/// The page of the form.
#[derive(Debug, Template)]
#[template(path = "verifier_new.html")]
pub struct NewVerifierPage {
    page: PageHead,
    form: VerifierForm,
}

impl NewVerifierPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, form: VerifierForm) -> Self {
        let t = &frame.t().verifiers;
        let name = ("name", frame.t().common.name, &form.name);
        let provider = ("provider", t.provider, &form.provider);
        let staleness = ("staleness", t.staleness, &form.staleness);
        let page = below(frame, t.new_title.into(), t.new_title).lead(t.new_lead);
        Self { page: page.checked([name, provider, staleness]), form }
    }

    fn commands(&self) -> Html {
        let line = "tegata verifier create edge-tokyo".to_owned();
        commands(self.page.frame.t().common.command_line, &[line])
    }
}

/// The head of a page below the list of verifiers.
#[must_use]
pub fn below(frame: Frame, heading: Html, name: &str) -> PageHead {
    let t = &frame.t().verifiers;
    let crumbs = [Crumb::new("/console/verifiers", t.title), Crumb::new("", name)];
    PageHead::new(frame, Some(Section::Verifiers), heading).below(crumbs)
}

/// A new verifier, whose credential is shown once.
#[derive(Template)]
#[template(path = "verifier_created.html")]
pub struct VerifierCreatedPage<'a> {
    page: PageHead,
    id: VerifierId,
    credential: &'a str,
    authority: &'a str,
}

impl<'a> VerifierCreatedPage<'a> {
    /// The page; `authority` is the address that its proxy asks.
    #[must_use]
    pub fn new(
        frame: Frame,
        (name, id): (&str, VerifierId),
        credential: &'a str,
        authority: &'a str,
    ) -> Self {
        let t = &frame.t().verifiers;
        Self { page: below(frame, (t.created)(Bdi(name)), name), id, credential, authority }
    }

    fn id_html(&self) -> Html {
        (self.page.frame.t().verifiers.of)(Id(self.id.to_string().as_str()))
    }

    fn commands(&self) -> Html {
        let line = format!(
            "TEGATA_VERIFIER_TOKEN_FILE=verifier.token tegata verify-proxy --authority {}",
            self.authority
        );
        commands(self.page.frame.t().verifiers.next, &[line])
    }
}
