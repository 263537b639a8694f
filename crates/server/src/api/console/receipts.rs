//! Receipts: a page that follows the acknowledgements, and the signed form.

use super::{Answer, Console, audit, failure::Failure, ids::Ids, render, visit::SignedIn};
use crate::{
    api::admin::receipts::{SIGNED, signed},
    authority::admin,
    authority::receipt::{InstanceReceipt, InstanceState, Receipt, ReceiptState},
};
use axum::{extract::State, response::IntoResponse};
use http::header;
use std::{sync::Arc, time::Duration};
use tegata_console::{
    html::Id,
    pages::{
        AuditLine, FoundToken, InstanceStanding, PageHead, ReceiptPage, ShownInstance, ShownReceipt,
    },
};
use tegata_store::{AuditFilter, Page};
use tegata_token::{id::Position, time::DAY};

/// How long an event waits for the receipt to be complete. The script then asks again, so
/// that each event is authenticated, and none holds up a shutdown.
const WAIT: Duration = Duration::from_secs(2);

/// The receipt.
pub async fn show(who: SignedIn, Ids(position): Ids<Position>) -> Answer {
    let receipt = who.admin.receipt(position, Duration::ZERO).await?;
    let frame = who.frame();
    let t = &frame.t().receipt;
    let page = PageHead::new(frame, None, t.title).lead((t.lead)(Id(position)));
    let about = about(&who, &receipt).await?;
    let found = FoundToken::of_address(&who.visit.here);
    render(&ReceiptPage::new(page, shown(receipt)).about(about).found(found))
}

/// Maximum number of audit events that are searched for that of a receipt.
const SEARCHED: usize = 1_000;

/// The audit event of the change, if the person may see it: of the second in which the change
/// takes effect, or of the day before, of one that takes effect later.
async fn about(who: &SignedIn, receipt: &Receipt) -> Result<Option<AuditLine>, Failure> {
    for since in [0, -DAY] {
        let filter = AuditFilter {
            since: Some(receipt.effective_at.plus(since)),
            until: Some(receipt.effective_at.plus(1)),
            ..AuditFilter::default()
        };
        let page = Page { before: None, most: SEARCHED };
        let rows = match who.admin.audit(filter, page).await {
            Err(admin::Error::Forbidden { .. }) => return Ok(None),
            rows => rows?,
        };
        if let Some(row) = rows.iter().find(|it| it.position == Some(receipt.position)) {
            return Ok(Some(audit::line(who, row)));
        }
    }
    Ok(None)
}

/// The receipt as it is soon, as one server-sent event.
pub async fn events(who: SignedIn, Ids(position): Ids<Position>) -> Answer {
    let receipt = shown(who.admin.receipt(position, WAIT).await?);
    let html = receipt.html(&who.frame());
    let data = serde_json::json!({ "complete": receipt.complete, "html": html.as_str() });
    let body = format!("retry: 500\nevent: receipt\ndata: {data}\n\n");
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

/// The receipt as a signed JWT, to keep.
pub async fn download(
    who: SignedIn,
    State(console): State<Arc<Console>>,
    Ids(position): Ids<Position>,
) -> Answer {
    let receipt = who.admin.receipt(position, Duration::ZERO).await?;
    let jwt = signed(&console.authority, receipt).map_err(Failure::from)?;
    let name = format!("attachment; filename=\"receipt-{position}.jwt\"");
    let headers =
        [(header::CONTENT_TYPE, SIGNED.0.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, jwt).into_response())
}

fn shown(receipt: Receipt) -> ShownReceipt {
    ShownReceipt {
        position: receipt.position,
        effective: receipt.effective_at,
        complete: receipt.state == ReceiptState::Complete,
        instances: receipt.verifiers.into_iter().map(instance).collect(),
    }
}

fn instance(it: InstanceReceipt) -> ShownInstance {
    ShownInstance {
        verifier: it.name,
        instance: it.instance,
        state: match it.state {
            InstanceState::Acknowledged => InstanceStanding::Acknowledged,
            InstanceState::Waiting => InstanceStanding::Waiting,
            InstanceState::LeaseExpired => InstanceStanding::LeaseExpired,
            InstanceState::MayStillAccept => InstanceStanding::MayStillAccept,
            InstanceState::CannotApply => InstanceStanding::CannotApply,
            InstanceState::Stopped => InstanceStanding::Stopped,
            InstanceState::Removed => InstanceStanding::Removed,
        },
        acknowledged: it.acknowledged_at,
        detail: it.detail,
    }
}
