//! Rows that nearly every act writes: one statement for each table, whatever the number of
//! acts. The acts of a wave concern different channels, so the order among them is nothing.

use super::{
    act::{At, Of},
    followers,
};
use crate::{
    RecentUse,
    columns::{audit, json, revocations_text, tokens::uses_text, word},
    journal::{Commit, JournalLine},
    postgres::{
        rows::int,
        statements::{Statements, keep, rows},
    },
};
use std::collections::BTreeMap;
use tegata_policy::acts::{
    AuditRecord, Effects, NewToken, ReceiptRow, RevocationCause, StampPlace, Write,
};
use tegata_token::{
    id::{ChannelId, Group, Position, ProviderId, Serial},
    time::{DAY, UnixTime},
    view::ChannelRevocations,
};

/// The rows of a wave.
#[derive(Default)]
pub(super) struct Wave<'a> {
    counters: BTreeMap<ChannelId, Counters>,
    tokens: Vec<&'a NewToken>,
    revoked: Vec<Revoked<'a>>,
    past: BTreeMap<i64, Option<(RevocationCause, UnixTime)>>,
    revocations: BTreeMap<ChannelId, &'a ChannelRevocations>,
    assertions: Vec<(ChannelId, &'a [u8], UnixTime)>,
    stamps: BTreeMap<i64, UnixTime>,
    uses: BTreeMap<i64, &'a [RecentUse]>,
    dropped_uses: Vec<i64>,
    dropped_tokens: Vec<i64>,
    begun: Vec<(&'a ReceiptRow, &'a At)>,
    receipts: BTreeMap<Position, (&'a ReceiptRow, &'a At)>,
    audits: Vec<(&'a AuditRecord, &'a At)>,
    journal: Vec<(i64, i64, String)>,
}

/// What changes of a channel's counters.
#[derive(Default)]
struct Counters {
    serial: Option<Serial>,
    bulk_serial: Option<Serial>,
    revised: i64,
    at: i64,
}

/// A token that is revoked as of now.
struct Revoked<'a> {
    of: Of<'a>,
    row: i64,
    by: RevocationCause,
    replaced_by: Option<Serial>,
}

impl<'a> Wave<'a> {
    /// Takes an effect, if it is of this kind.
    pub fn take(&mut self, of: Of<'a>, it: &'a Write) -> bool {
        match it {
            Write::Token(new) => self.tokens.push(new),
            Write::TokenRevoked { row, by, replaced_by } => {
                self.revoked.push(Revoked { of, row: *row, by: *by, replaced_by: *replaced_by });
            }
            Write::TokenPast { row, revoked } => drop(self.past.insert(*row, *revoked)),
            Write::Serial(id, serial) => self.counters(*id).serial = Some(*serial),
            Write::BulkSerial(id, serial) => self.counters(*id).bulk_serial = Some(*serial),
            Write::Revised(id) => self.counters(*id).revised += 1,
            Write::Revocations(id, all) => drop(self.revocations.insert(*id, all)),
            Write::AssertionUsed { channel, fingerprint, expires_at } => {
                self.assertions.push((*channel, fingerprint, *expires_at));
            }
            Write::Used(StampPlace::Token(row), at) => drop(self.stamps.insert(*row, *at)),
            Write::Uses { row, uses } if uses.is_empty() => self.dropped_uses.push(*row),
            Write::Uses { row, uses } => drop(self.uses.insert(*row, uses)),
            Write::UsesDropped { row } => self.dropped_uses.push(*row),
            Write::TokenDropped { row, .. } => {
                self.dropped_uses.push(*row);
                self.dropped_tokens.push(*row);
            }
            Write::Receipt(row) => {
                let known = self.receipts.get(&row.position);
                // A complete one stays complete.
                if known.is_none_or(|(known, _)| !known.complete) {
                    self.receipts.insert(row.position, (row, of.at));
                }
            }
            _ => return false,
        }
        true
    }

    fn counters(&mut self, id: ChannelId) -> &mut Counters {
        self.counters.entry(id).or_default()
    }

    /// Keeps the time of an act on that channel.
    pub fn at(&mut self, id: ChannelId, now: UnixTime) {
        self.counters(id).at = now.0;
    }

    /// Takes the receipt that an act begins.
    pub fn receipt(&mut self, row: Option<&'a ReceiptRow>, at: &'a At) {
        self.begun.extend(row.map(|it| (it, at)));
    }

    /// Takes the audit event of an act.
    pub fn audit(&mut self, record: Option<&'a AuditRecord>, at: &'a At) {
        self.audits.extend(record.map(|it| (it, at)));
    }

    /// Takes what the revocation journal must hold of an act. Without a change of the log it
    /// takes nothing away.
    pub fn journal(&mut self, effects: &Effects, at: &At) {
        let Some(Position { epoch, number }) = at.position else { return };
        let commit = Commit { epoch, commit: number };
        for (line, what) in (1..).zip(&effects.journal) {
            let (by, what) = (effects.author.clone(), what.clone());
            let entry = json(&JournalLine { commit, at: at.now, by, what });
            self.journal.push((int(number), line, entry));
        }
    }

    /// The statements: first those of `others`, which may write rows that these change. The others
    /// are one statement, but for those that change a table again.
    pub fn into_statements(mut self, others: Statements<'a>) -> Statements<'a> {
        // Rows are changed by their numbers, as everywhere else: the acts' own order would let two
        // transactions wait for each other.
        self.revoked.sort_unstable_by_key(|it| it.row);
        let mut to = others;
        write_counters(&mut to, &self.counters);
        insert_tokens(&mut to, &self.tokens);
        mark_revoked(&mut to, &self.revoked);
        mark_past(&mut to, &self.past);
        write_revocations(&mut to, &self.revocations);
        use_assertions(&mut to, &self.assertions);
        stamp(&mut to, &self.stamps);
        write_uses(&mut to, &self.uses);
        if !self.dropped_uses.is_empty() {
            to.add("DELETE FROM token_use WHERE token = ANY($1)", keep![self.dropped_uses]);
        }
        if !self.dropped_tokens.is_empty() {
            to.add("DELETE FROM token WHERE number = ANY($1)", keep![self.dropped_tokens]);
        }
        followers::begin_receipts(&mut to, &self.begun);
        let receipts: Vec<_> = self.receipts.into_values().collect();
        followers::write_receipts(&mut to, &receipts);
        insert_audits(&mut to, &self.audits);
        insert_journal(&mut to, &self.journal);
        to
    }
}

fn write_counters(to: &mut Statements<'_>, all: &BTreeMap<ChannelId, Counters>) {
    let sql = "UPDATE channel_count n SET serial = coalesce(u.serial, n.serial),
                   bulk_serial = coalesce(u.bulk_serial, n.bulk_serial),
                   revision = n.revision + u.revised, written_at = greatest(n.written_at, u.at)
               FROM ROWS AS u (channel, serial, bulk_serial, revised, at)
               WHERE n.channel = u.channel";
    let all: Vec<_> = all.iter().collect();
    let rows = rows(&all)
        .with(|it| int(it.0.number()))
        .with(|it| it.1.serial.map(|serial| int(serial.0)))
        .with(|it| it.1.bulk_serial.map(|serial| int(serial.0)))
        .with(|it| it.1.revised)
        .with(|it| it.1.at);
    to.add_rows("channel_count", sql, rows);
}

fn insert_tokens<'a>(to: &mut Statements<'a>, all: &[&'a NewToken]) {
    let sql = "INSERT INTO token (channel, serial, id, kind, grp, assertion_key, signing_key, form,
                   issued_at, expires_at, idempotency, parameters)
               SELECT * FROM ROWS AS u";
    let rows = rows(all)
        .with(|it| int(it.claims.channel.number()))
        .with(|it| int(it.claims.serial.0))
        .with(|it| &it.claims.id.0[..])
        .with(|it| it.claims.kind.name())
        .with(|it| it.claims.group.as_ref().map(Group::as_str))
        .with(|it| it.claims.assertion_key.as_ref().map(|key| &key.0[..]))
        .with(|it| it.key)
        .with(|it| it.form)
        .with(|it| it.claims.issued_at.0)
        .with(|it| it.claims.expires_at.0)
        .with(|it| it.idempotency.as_ref().map(|key| &key[..]))
        .with(|it| it.parameters.as_deref());
    to.add_rows("token", sql, rows);
}

/// Marks the rows of active tokens as revoked now.
fn mark_revoked<'a>(to: &mut Statements<'a>, all: &[Revoked<'a>]) {
    let sql = "UPDATE token t SET past = true, revoked_at = u.at, cause = u.cause,
                   replaced_by = u.replaced_by, revoked_act = u.act, revoked_by = u.actor,
                   reason = u.reason
               FROM ROWS
                   AS u (number, at, cause, replaced_by, act, actor, reason)
               WHERE t.number = u.number AND NOT t.past";
    let author = |it: &Revoked<'a>| match it.by {
        RevocationCause::Evicted => (None, None),
        _ => it.of.author(),
    };
    // Requested revocations have an audit event; an issue that evicts a token has none.
    let act = |it: &Revoked<'a>| it.of.at.audit.filter(|_| it.by == RevocationCause::Requested);
    let rows = rows(all)
        .with(|it| it.row)
        .with(|it| it.of.at.now.0)
        .with(|it| word(it.by))
        .with(|it| it.replaced_by.map(|serial| int(serial.0)))
        .with(act)
        .with(|it| author(it).0)
        .with(|it| author(it).1);
    to.add_rows("token", sql, rows);
}

/// Marks the rows of expired tokens; a scheduled revocation that has taken effect is written
/// into them.
fn mark_past(to: &mut Statements<'_>, all: &BTreeMap<i64, Option<(RevocationCause, UnixTime)>>) {
    let sql = "UPDATE token t SET past = true, revoked_at = u.at, cause = u.cause
               FROM ROWS AS u (number, at, cause)
               WHERE t.number = u.number AND NOT t.past";
    let all: Vec<_> = all.iter().collect();
    let rows = rows(&all)
        .with(|it| *it.0)
        .with(|it| it.1.map(|(_, at)| at.0))
        .with(|it| it.1.map(|(by, _)| word(by)));
    to.add_rows("token", sql, rows);
}

fn write_revocations(to: &mut Statements<'_>, all: &BTreeMap<ChannelId, &ChannelRevocations>) {
    let (mut none, mut some) = (Vec::new(), Vec::new());
    for (&id, revocations) in all {
        match revocations.first_until() {
            None => none.push(int(id.number())),
            Some(until) => some.push((id, revocations, until)),
        }
    }
    if !none.is_empty() {
        let sql = "DELETE FROM channel_revocations WHERE channel = ANY($1)";
        to.add_to("channel_revocations", sql, keep![none]);
    }
    let sql = "INSERT INTO channel_revocations (channel, revocations, first_until)
               SELECT * FROM ROWS AS u ON CONFLICT (channel) DO UPDATE
               SET revocations = excluded.revocations, first_until = excluded.first_until";
    let rows = rows(&some)
        .with(|it| int(it.0.number()))
        .with(|it| revocations_text(it.0, it.1))
        .with(|it| it.2.0);
    to.add_rows("channel_revocations", sql, rows);
}

fn use_assertions<'a>(to: &mut Statements<'a>, all: &[(ChannelId, &'a [u8], UnixTime)]) {
    let sql = "INSERT INTO assertion_used (channel, fingerprint, expires_at)
               SELECT * FROM ROWS AS u";
    let rows = rows(all).with(|it| int(it.0.number())).with(|it| it.1).with(|it| it.2.0);
    to.add_rows("assertion_used", sql, rows);
}

/// Writes times of last use. Another replica may have written later ones meanwhile. A row that a
/// revocation has locked keeps the time that it has: acts on channels, which this act does not
/// lock, neither wait for a job nor make it wait.
fn stamp(to: &mut Statements<'_>, all: &BTreeMap<i64, UnixTime>) {
    if all.is_empty() {
        return;
    }
    let sql = "WITH free AS (SELECT number FROM token WHERE number = ANY($1)
                             ORDER BY number FOR UPDATE SKIP LOCKED)
               UPDATE token t SET last_used_at = u.at
               FROM free JOIN unnest($1, $2) AS u (number, at) USING (number)
               WHERE t.number = free.number
                   AND (t.last_used_at IS NULL OR t.last_used_at < u.at)";
    let (rows, times) = all.iter().map(|(row, at)| (*row, at.0)).unzip::<_, _, Vec<_>, Vec<_>>();
    to.add_to("token", sql, keep![rows, times]);
}

fn write_uses(to: &mut Statements<'_>, all: &BTreeMap<i64, &[RecentUse]>) {
    // The index of the days changes once a day.
    let sql = "INSERT INTO token_use (token, newest_day, uses) SELECT * FROM ROWS AS u
               ON CONFLICT (token) DO UPDATE
               SET newest_day = excluded.newest_day, uses = excluded.uses";
    let all: Vec<_> = all.iter().collect();
    let day = |uses: &[RecentUse]| uses.first().map_or(0, |it| it.minute.0.div_euclid(DAY));
    let rows = rows(&all).with(|it| *it.0).with(|it| day(it.1)).with(|it| uses_text(it.1));
    to.add_rows("token_use", sql, rows);
}

fn insert_journal(to: &mut Statements<'_>, all: &[(i64, i64, String)]) {
    let sql = "INSERT INTO journal (position, line, entry) SELECT * FROM ROWS AS u";
    to.add_rows("journal", sql, rows(all).with(|it| it.0).with(|it| it.1).with(|it| it.2.clone()));
}

fn insert_audits<'a>(to: &mut Statements<'a>, all: &[(&'a AuditRecord, &'a At)]) {
    let sql = "INSERT INTO audit (id, at, actor, source, act, provider, channel, detail, epoch,
                   position)
               SELECT * FROM ROWS AS u";
    let rows = rows(all)
        .with(|it| it.1.audit.unwrap_or_default())
        .with(|it| it.1.now.0)
        .with(|it| it.0.by.actor.as_str())
        .with(|it| it.0.by.source.as_deref())
        .with(|it| it.0.event.event.act().name())
        .with(|it| it.0.event.provider.map(ProviderId::number).map(int))
        .with(|it| it.0.event.channel.map(ChannelId::number).map(int))
        .with(|it| audit::detail(it.0))
        .with(|it| it.1.position.map(|at| int(at.epoch)))
        .with(|it| it.1.position.map(|at| int(at.number)));
    to.add_rows("audit", sql, rows);
}
