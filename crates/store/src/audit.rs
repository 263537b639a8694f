//! Tamper evidence of the audit: rows are covered by checkpoints, and each checkpoint
//! continues a hash chain and is signed.
//!
//! A checkpoint commits to all rows before it, to their order, and to which old rows may
//! have been deleted by then. Without the master key a process that can write the
//! database cannot sign a checkpoint, so a recomputed chain is noticed, too. A removal of
//! the newest checkpoints is noticed only by comparison with the last one that was seen
//! from outside the database, an [`Anchor`]. How checkpoints and keys are stored is not
//! decided here.

mod acceptance;
mod report;
mod walk;

use crate::{AuditRow, audit_event::AuditAct};
pub use acceptance::Acceptance;
use data_encoding::HEXLOWER;
pub use report::{Anchored, AuditEnd, AuditProblem, AuditReport};
use report::{MAX_ITEMS, unconfirmed};
use serde::{Deserialize, Serialize};
pub use tegata_policy::acts::Checkpoint;
use tegata_policy::secret::sha256;
use tegata_token::{
    id::{ChannelId, ProviderId},
    key::{SigningKey, VerifyingKey},
    time::UnixTime,
};
pub(crate) use walk::{PART, Walk};

/// An audit row exactly as stored: the form that is hashed, exported and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAuditRow {
    /// Its id.
    pub id: i64,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The actor.
    pub actor: String,
    /// The client's address, if the request came over the network.
    pub source: Option<String>,
    /// The act.
    pub act: String,
    /// The provider that it concerns.
    pub provider: Option<u64>,
    /// The channel that it concerns.
    pub channel: Option<u64>,
    /// Further detail: the text of a JSON object.
    pub detail: String,
    /// The epoch of its position in the change log.
    pub epoch: Option<u64>,
    /// The number of its position in the change log.
    pub position: Option<u64>,
}

impl RawAuditRow {
    fn digest(&self) -> [u8; 32] {
        // JSON separates the columns unambiguously, whatever they contain.
        sha256(&[&serde_json::to_vec(self).unwrap_or_default()])
    }
}

impl From<&AuditRow> for RawAuditRow {
    fn from(row: &AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at.0,
            actor: row.actor.clone(),
            source: row.source.clone(),
            act: row.act.clone(),
            provider: row.provider.map(ProviderId::number),
            channel: row.channel.map(ChannelId::number),
            detail: row.detail.to_string(),
            epoch: row.position.map(|it| it.epoch),
            position: row.position.map(|it| it.number),
        }
    }
}

/// How far audit checkpoints reach.
#[derive(Debug, Clone)]
pub struct AuditHead {
    /// The last checkpoint.
    pub last: Option<Checkpoint>,
    /// How many events wait for the next one.
    pub pending: usize,
    /// When the first of these happened.
    pub oldest: Option<UnixTime>,
    /// The store's epoch.
    pub epoch: u64,
}

/// A checkpoint and the rows that it covers.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The checkpoint; `None` for rows behind the last one.
    pub checkpoint: Option<Checkpoint>,
    /// The rows.
    pub rows: Vec<RawAuditRow>,
}

/// Makes the checkpoint of `rows`, which follow `previous`; `None` if there are no rows.
#[must_use]
pub fn make_checkpoint(
    previous: Option<&Checkpoint>,
    rows: &[RawAuditRow],
    (epoch, kept_from, at): (u64, u64, UnixTime),
    key: &SigningKey,
) -> Option<Checkpoint> {
    let (first, last) = (rows.first()?.id, rows.last()?.id);
    let before = previous.map_or(BEGINNING, |it| &it.chain);
    let mut checkpoint = Checkpoint {
        number: previous.map_or(1, |it| it.number + 1),
        epoch,
        first,
        last,
        events: rows.len() as u64,
        kept_from,
        at,
        chain: chain(before, rows),
        signature: String::new(),
    };
    checkpoint.signature = HEXLOWER.encode(&key.sign(&signed(&checkpoint, before)));
    Some(checkpoint)
}

/// The bytes that a checkpoint's signature covers.
fn signed(checkpoint: &Checkpoint, before: &str) -> Vec<u8> {
    let unsigned = Checkpoint { signature: String::new(), ..checkpoint.clone() };
    serde_json::to_vec(&("tegata audit checkpoint 1", before, unsigned)).unwrap_or_default()
}

fn is_signed_by(checkpoint: &Checkpoint, key: &VerifyingKey, before: &str) -> bool {
    let signature = HEXLOWER.decode(checkpoint.signature.as_bytes());
    signature.is_ok_and(|it| key.verifies(&signed(checkpoint, before), &it))
}

/// The chain value before the first checkpoint.
const BEGINNING: &str = "";

fn chain(before: &str, rows: &[RawAuditRow]) -> String {
    let digests: Vec<u8> = rows.iter().flat_map(RawAuditRow::digest).collect();
    HEXLOWER.encode(&sha256(&[before.as_bytes(), &digests]))
}

/// The newest checkpoint as it was seen from outside the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The store's epoch.
    pub epoch: u64,
    /// The checkpoint's number.
    pub number: u64,
    /// Its chain value.
    pub chain: String,
}

impl From<&Checkpoint> for Anchor {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self { epoch: checkpoint.epoch, number: checkpoint.number, chain: checkpoint.chain.clone() }
    }
}

/// The end of a part of the audit that was verified, behind which a later verification can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnd {
    /// The number of its last checkpoint.
    pub number: u64,
    epoch: u64,
    last: i64,
    chain: String,
}

/// Verifies the audit from its beginning: it takes each checkpoint with its rows, and
/// finally the rows after the last one.
#[derive(Debug)]
pub struct AuditVerifier {
    key: VerifyingKey,
    anchor: Anchored,
    found: bool,
    before: String,
    number: u64,
    epoch: u64,
    last: i64,
    report: AuditReport,
    /// Checkpoints whose rows do not match.
    mismatched: Vec<(u64, String)>,
}

impl AuditVerifier {
    /// A verifier that checks signatures against `key`, and the newest checkpoint against
    /// `anchor`.
    #[must_use]
    pub fn new(key: VerifyingKey, anchor: Anchored) -> Self {
        Self {
            key,
            // The anchor of an audit without checkpoints names none.
            found: matches!(&anchor, Anchored::At(it, _) if it.number == 0),
            anchor,
            before: BEGINNING.to_owned(),
            number: 0,
            epoch: 0,
            last: i64::MIN,
            report: AuditReport { end: AuditEnd::Confirmed, ..AuditReport::default() },
            mismatched: Vec::new(),
        }
    }

    /// The same of an audit that was verified up to there, without what comes before. An anchor of
    /// an earlier checkpoint is not found then.
    #[must_use]
    pub fn behind(mut self, end: VerifiedEnd) -> Self {
        let VerifiedEnd { number, epoch, last, chain } = end;
        if let Anchored::At(anchor, _) = &self.anchor
            && anchor.number == number
        {
            self.found = anchor.chain == chain;
        }
        self.report.checkpoints = number;
        Self { before: chain, number, epoch, last, ..self }
    }

    /// The number of the last checkpoint that was verified, and the id of its last row.
    pub(crate) fn reached(&self) -> (u64, i64) {
        (self.number, self.last)
    }

    fn problem(&mut self, checkpoint: Option<u64>, what: impl Into<String>) {
        self.report.problem(checkpoint, what);
    }

    /// Verifies the next checkpoint and its rows.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, rows: &[RawAuditRow]) {
        let number = checkpoint.number;
        self.report.checkpoints += 1;
        self.report.events += rows.len() as u64;
        if number != self.number + 1 {
            let expected = self.number + 1;
            self.problem(Some(number), format!("checkpoint {expected} is missing before this one"));
        }
        if is_signed_by(checkpoint, &self.key, &self.before) {
            self.report.kept_from = checkpoint.kept_from.max(self.report.kept_from);
        } else {
            let what = "this checkpoint was altered, does not follow the one before it, or was \
                        made without the audit key";
            self.problem(Some(number), what);
        }
        if let Anchored::At(anchor, _) = &self.anchor
            && anchor.number == number
        {
            self.found = anchor.chain == checkpoint.chain;
        }
        if checkpoint.epoch < self.epoch {
            self.problem(
                Some(number),
                "this checkpoint is of an earlier epoch than the one before",
            );
        }
        let follows = self.last == i64::MIN || self.last.checked_add(1) == Some(checkpoint.first);
        if !follows {
            let what = format!(
                "events {} to {} were removed before this checkpoint was made",
                self.last.saturating_add(1),
                checkpoint.first.saturating_sub(1)
            );
            self.problem(Some(number), what);
        }
        let whole =
            rows.len() as u64 == checkpoint.events && chain(&self.before, rows) == checkpoint.chain;
        if !whole && self.mismatched.len() < MAX_ITEMS {
            let what = format!(
                "rows {} to {} do not match their checkpoint: {} of {} are present, so some were \
                 removed, added, altered or reordered",
                checkpoint.first,
                checkpoint.last,
                rows.len(),
                checkpoint.events
            );
            self.mismatched.push((number, what));
        }
        self.note(rows);
        (self.number, self.last, self.epoch) = (number, checkpoint.last, checkpoint.epoch);
        self.before.clone_from(&checkpoint.chain);
    }

    /// Verifies rows after the last checkpoint.
    pub fn pending(&mut self, rows: &[RawAuditRow]) {
        self.report.pending += rows.len() as u64;
        self.report.events += rows.len() as u64;
        if rows.iter().any(|row| row.id <= self.last) {
            self.problem(None, "rows were added before the last checkpoint");
        }
        self.note(rows);
    }

    /// Reports a checkpoint that could not be read.
    pub fn unreadable(&mut self, checkpoint: Option<u64>, why: &str) {
        self.problem(checkpoint, format!("this cannot be read: {why}"));
    }

    fn note(&mut self, rows: &[RawAuditRow]) {
        let accepted = match self.anchor {
            Anchored::At(_, accepted) => accepted,
            _ => i64::MIN,
        };
        for row in rows {
            let id = row.id;
            let what = match AuditAct::of(&row.act) {
                Some(AuditAct::AuditBroken) => {
                    format!("event {id}: the newest checkpoints had been cut off or replaced")
                }
                Some(AuditAct::AuditContinue) => {
                    format!(
                        "event {id}: the server continued after an end that no anchor confirmed"
                    )
                }
                Some(AuditAct::AuditAccept) => {
                    self.notice(format!(
                        "event {id}: an operator accepted the end as it was; nothing confirms that \
                         no events had been cut off before"
                    ));
                    continue;
                }
                Some(AuditAct::StoreRecover) => {
                    self.notice(format!(
                        "event {id}: the store was recovered from an earlier state; the events \
                         after that state are gone"
                    ));
                    continue;
                }
                _ => continue,
            };
            if id <= accepted {
                self.notice(format!("{what}, which an operator accepted"));
            } else {
                self.report.end = AuditEnd::Unconfirmed;
                self.problem(None, what);
            }
        }
    }

    fn notice(&mut self, what: String) {
        if self.report.notices.len() < MAX_ITEMS {
            self.report.notices.push(what);
        }
    }

    /// The report.
    #[must_use]
    pub fn report(mut self) -> AuditReport {
        match std::mem::replace(&mut self.anchor, Anchored::Ignored) {
            Anchored::At(anchor, _) if !self.found => {
                let what = format!(
                    "checkpoint {} was seen before and is missing now: the newest part was \
                     cut off, an older copy of the store was put back, or the anchor is of another store",
                    anchor.number
                );
                self.problem(Some(anchor.number), what);
                self.report.end = AuditEnd::Unconfirmed;
            }
            Anchored::At(..) => {}
            Anchored::Missing(why) => {
                self.problem(None, unconfirmed(&why));
                self.report.end = AuditEnd::Unconfirmed;
            }
            Anchored::Ignored => {
                if self.report.end == AuditEnd::Confirmed {
                    self.report.end = AuditEnd::NotChecked;
                }
                self.notice(
                    "the end was compared with no anchor: newer events may have been cut off"
                        .to_owned(),
                );
                if self.report.checkpoints == 0 && self.report.events > 0 {
                    self.problem(None, "there is no checkpoint, so nothing confirms any event");
                }
            }
        }
        for (number, what) in std::mem::take(&mut self.mismatched) {
            if number >= self.report.kept_from {
                self.problem(Some(number), what);
            }
        }
        self.report.ok = self.report.problems.is_empty();
        let Self { number, epoch, last, before: chain, .. } = self;
        self.report.verified_to = Some(VerifiedEnd { number, epoch, last, chain });
        self.report
    }
}
