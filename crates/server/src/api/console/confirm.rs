//! Acts that take something away: their page before, and the sign-in that must be recent.

use super::{
    Answer, cookie,
    failure::Failure,
    make::{Made, wait},
    notice::Notice,
    render,
    sent::Sent,
    visit::SignedIn,
};
use crate::{
    api::form::Form,
    authority::admin::{self, ActOptions, Admin, DryRun, Outcome},
};
use axum::response::IntoResponse;
use form_urlencoded::byte_serialize;
use http::StatusCode;
use std::time::Duration;
use tegata_console::{
    forms::Field,
    html::Html,
    pages::{ActToConfirm, ConfirmPage, FoundToken, PageHead, TokenLine, TokenTable},
};
use tegata_policy::text::is_reason;
use tegata_store::{ExpectedSettings, SettingsTag, TokenRow};
use tegata_token::{id::ChannelId, time::UnixTime};

/// For how many seconds after the sign-in an act needs no further code.
const RECENT: i64 = 600;

/// What is wrong with the form of an act.
#[derive(Debug, Default)]
pub struct Wrong {
    /// The reason, as it was entered.
    pub reason: Field,
    /// What is wrong with the code.
    pub code: Option<String>,
}

impl SignedIn {
    /// Whether the person has signed in, or used a code in this session, lately.
    pub fn is_recent(&self) -> bool {
        let began = self.admin.session_began().ok();
        let is_recent = |at: UnixTime| self.visit.now.since(at) <= RECENT;
        began.is_some_and(is_recent) || self.proven.is_some_and(is_recent)
    }

    /// Makes sure that the person is there: the sign-in is recent, or the form has a code. The
    /// inner error is what to show.
    pub async fn prove(&mut self, form: &Form<'_>) -> Result<Result<(), String>, Failure> {
        if self.is_recent() {
            return Ok(Ok(()));
        }
        // The page was opened when none was asked for: nothing was guessed.
        if form.get("code").is_none_or(|it| it.trim().is_empty()) {
            return Ok(Err(self.frame().t().confirm.again_missing.to_owned()));
        }
        match self.use_code(form).await? {
            Ok(at) => self.proven = Some(at),
            Err(admin::Error::WrongSignIn) => {}
            Err(other) => return Err(other.into()),
        }
        let Some(at) = self.proven.filter(|_| self.is_recent()) else {
            return Ok(Err(self.frame().t().confirm.again_wrong.to_owned()));
        };
        let left = RECENT - self.visit.now.since(at);
        let proof = self.admin.proof(at)?;
        self.visit.set_cookie(cookie::of_proof(&proof, left, self.visit.tls));
        Ok(Ok(()))
    }

    /// The options of an act, from its form, once the person is proven; the inner error is
    /// what to show on its page.
    pub async fn agreed(&mut self, form: &Form<'_>) -> Result<Result<ActOptions, Wrong>, Failure> {
        let reason = form.get("reason").map(str::to_owned);
        let entered = Field::of(reason.clone().unwrap_or_default());
        if reason.as_ref().is_some_and(|it| !is_reason(it)) {
            let reason = entered.wrong(self.frame().t().confirm.reason_wrong);
            return Ok(Err(Wrong { reason, code: None }));
        }
        if let Err(code) = self.prove(form).await? {
            return Ok(Err(Wrong { reason: entered, code: Some(code) }));
        }
        Ok(Ok(ActOptions { reason, wait: wait(form), dry_run: false }))
    }

    /// Administration of the object with the settings that the person saw: those whose tag the
    /// form has.
    pub fn as_seen(&self, form: &Form<'_>) -> Admin {
        let seen = form.get("seen").map(|it| SettingsTag::parse(it).into_iter().collect());
        let expected = seen.map_or(ExpectedSettings::Unstated, ExpectedSettings::OneOf);
        self.admin.clone().expecting(expected)
    }

    /// An act with its form; the caller sets what is special to it.
    pub fn act(&self, action: String, button: impl Into<Html>, wrong: Wrong) -> ActToConfirm {
        let t = self.frame().t();
        let again = (!self.is_recent()).then(|| match wrong.code {
            Some(why) => Field::default().wrong(why),
            None => Field::default(),
        });
        let found = FoundToken::of_address(&self.visit.here);
        ActToConfirm {
            // What follows knows them by its own address.
            action: FoundToken::in_address(&action, &found),
            hidden: Vec::new(),
            drawn: None,
            notes: Vec::new(),
            tokens: None,
            reasons: true,
            waits: true,
            reason: wrong.reason,
            again,
            button: button.into(),
            takes: true,
            keep: ("/console".to_owned(), t.common.keep),
            commands: Vec::new(),
            alternatives: Vec::new(),
            found,
        }
    }

    /// Goes on to the receipt of an act that was done, if it has one.
    pub async fn took<T>(
        &self,
        outcome: Outcome<T>,
        notice: fn(usize) -> Notice,
        otherwise: &str,
    ) -> Answer {
        let found = FoundToken::of_address(&self.visit.here);
        let made = took(&self.admin, outcome, notice, (otherwise, &found)).await?;
        Ok(self.go_to(&made))
    }

    /// Deletes something, and goes on to the receipt, as [`Self::take_away`].
    pub async fn delete<T: Send>(
        &self,
        sent: &Sent,
        act: impl Future<Output = admin::Result<Outcome<T>>> + Send + 'static,
        otherwise: String,
    ) -> Answer {
        let found = FoundToken::of_address(&self.visit.here);
        let admin = self.admin.clone();
        let made =
            async move { took(&admin, act.await?, Notice::Deleted, (&otherwise, &found)).await };
        self.take_away(sent, made).await
    }
}

/// The receipt of an act that was done: an act that found everything done has none, and neither has
/// one on what no verifier must learn.
async fn took<T>(
    admin: &Admin,
    outcome: Outcome<T>,
    notice: fn(usize) -> Notice,
    (otherwise, found): (&str, &[FoundToken]),
) -> admin::Result<Made> {
    let (_, taken) = outcome.done()?;
    let position = taken.receipt.position;
    let receipt = format!("/console/receipts/{position}");
    let path = match admin.receipt(position, Duration::ZERO).await {
        Ok(_) => FoundToken::in_address(&receipt, found),
        Err(_) => otherwise.to_owned(),
    };
    // Without a number the page says what became invalid.
    Ok(Made::at(path, taken.tokens.map_or(Notice::Saved, notice)))
}

/// The page before an act; with the status of a form that was not accepted, if it says what
/// is wrong.
pub fn asked(page: PageHead, mut act: ActToConfirm) -> Answer {
    act.action = with_fields(act.action, &act.hidden);
    let again = act.again.as_ref().is_some_and(|it| it.wrong.is_some());
    let is_wrong = again || act.reason.wrong.is_some();
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, render(&ConfirmPage::new(page, act))?).into_response())
}

/// The address of a form, with what the person chose on the page before: so that the address of
/// the request is that of its page, which a sign-in or another language returns to.
fn with_fields(mut address: String, fields: &[(&str, String)]) -> String {
    for (name, value) in fields {
        let joint = if address.contains('?') { '&' } else { '?' };
        let value: String = byte_serialize(value.as_bytes()).collect();
        address.push_str(&format!("{joint}{name}={value}"));
    }
    address
}

/// The tokens of a dry run.
pub fn table(found: &DryRun) -> TokenTable {
    let rows = found.rows.iter().map(|(channel, row)| line(*channel, row)).collect();
    TokenTable { total: found.tokens, rows, stateless_too: found.stateless_too, suspends: false }
}

/// A token, as tables show it.
pub fn line(channel: Option<ChannelId>, row: &TokenRow) -> TokenLine {
    TokenLine {
        id: row.id,
        channel,
        kind: row.kind,
        group: row.group.clone(),
        issued_at: row.issued_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    }
}
