//! One act after another in a transaction that no other shares.

use crate::{
    Error,
    postgres::{
        apply::{At, statements},
        failed::Failed,
        load::load,
        log::Log,
        rows::{int, signing_keys},
        sql::values,
    },
};
use std::sync::Arc;
use tegata_policy::acts::{Act, Effects, ReceiptRow, StoredKey, Write, receipt_of};
use tegata_token::{id::Position, time::UnixTime};
use tokio_postgres::Client;

/// The transaction.
pub(super) struct Tx<'a> {
    pub db: &'a Client,
    /// The position of the last change.
    pub head: Position,
    /// The id of the last audit event.
    pub audit: i64,
    /// The time of the acts.
    pub now: UnixTime,
    pub keys: Arc<[StoredKey]>,
}

impl Tx<'_> {
    /// Runs an act: reads what it needs, decides, writes the effects.
    pub async fn run<A: Act>(&mut self, act: &A) -> Result<A::Output, Failed> {
        let needs = act.needs();
        let locked = load(self.db, &self.keys, &needs).await?;
        let (output, effects) = act.decide(&locked, self.now).map_err(Error::from)?;
        let about = receipt_of(A::NAME, &effects, self.now);
        let mut log = Log::default();
        for change in &effects.changes {
            self.head.number += 1;
            log.add(self.head.number, self.now, change);
        }
        let position = Some(self.head).filter(|_| !effects.changes.is_empty());
        self.audit += i64::from(effects.audit.is_some());
        let audit = effects.audit.as_ref().map(|_| self.audit);
        let at = At { now: self.now, position, audit };
        let receipt = about.zip(position).map(|(about, position)| ReceiptRow {
            position,
            about,
            complete: false,
            list: None,
        });
        let keys_change = changes_keys(&effects);
        let acts = [(needs.channel, effects, at, receipt)];
        let mut all = statements(&acts);
        log.write(&mut all);
        all.run(self.db).await?;
        if keys_change {
            self.keys = signing_keys(self.db).await?.into();
        }
        Ok(output)
    }

    /// Writes what identifies the end of the log.
    pub async fn write_head(&self, written_at: UnixTime) -> Result<(), Failed> {
        let sql = "UPDATE authority SET epoch = $1, position = $2, audit = $3, written_at = $4";
        let Position { epoch, number } = self.head;
        let (epoch, number) = (int(epoch), int(number));
        let values = values![epoch, number, self.audit, written_at.0];
        self.db.execute_typed(sql, values).await?;
        Ok(())
    }
}

fn changes_keys(effects: &Effects) -> bool {
    let is_key = |it: &Write| {
        matches!(
            it,
            Write::SigningKey(_) | Write::SigningKeyState(_) | Write::SigningKeyWrapped(..)
        )
    };
    effects.writes.iter().any(is_key)
}
