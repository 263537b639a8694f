//! What instances have acknowledged to any server, for all of them.

use super::{
    connect::{Address, Client, Conn, give_up},
    failed::{Failed, within},
    jitter::Backoff,
    queue::connect,
    rows::{int, list},
    sql::values,
    statements::{Statements, keep},
};
use crate::{Acknowledged, columns::Columns};
use std::time::Duration;
use tegata_token::{id::Position, time::UnixTime};
use tokio::sync::Mutex;

/// Maximum time of a write.
const PATIENCE: Duration = Duration::from_secs(4);

/// The connection that writes them, one write at a time.
#[derive(Default)]
pub(super) struct Acknowledgements(Mutex<(Option<Conn>, Backoff)>);

impl Acknowledgements {
    /// Writes what instances have acknowledged. A position never goes back.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn write(&self, address: &Address, all: &[Acknowledged]) -> Result<(), Failed> {
        if all.is_empty() {
            return Ok(());
        }
        let mut held = within(PATIENCE, async { Ok::<_, Failed>(self.0.lock().await) }).await?;
        let (conn, backoff) = &mut *held;
        within(PATIENCE, connect(conn, address, backoff)).await?;
        let Some(open) = conn else { return Err(Failed::unavailable("no connection")) };
        let written = within(PATIENCE, write(open, all)).await;
        if matches!(written, Err(Failed::Unavailable(_))) {
            give_up(conn);
        }
        written
    }
}

async fn write(db: &Client, all: &[Acknowledged]) -> Result<(), Failed> {
    let mut all: Vec<&Acknowledged> = all.iter().collect();
    // Locked in one order, and each row once.
    all.sort_by(|a, b| (a.verifier, a.instance.as_str()).cmp(&(b.verifier, b.instance.as_str())));
    all.dedup_by(|a, b| (a.verifier, &a.instance) == (b.verifier, &b.instance));
    let newer = "(excluded.epoch IS NOT NULL AND (a.epoch IS NULL
                  OR (excluded.epoch, excluded.position) > (a.epoch, a.position)))";
    let sql = format!(
        "INSERT INTO acknowledgement AS a (verifier, instance, epoch, position, at,
             cannot_epoch, cannot_position, cannot)
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (verifier, instance) DO UPDATE SET
             epoch = CASE WHEN {newer} THEN excluded.epoch ELSE a.epoch END,
             position = CASE WHEN {newer} THEN excluded.position ELSE a.position END,
             at = CASE WHEN {newer} THEN excluded.at ELSE a.at END,
             cannot_epoch = excluded.cannot_epoch,
             cannot_position = excluded.cannot_position,
             cannot = excluded.cannot"
    );
    let of = |it: Option<Position>| (it.map(|at| int(at.epoch)), it.map(|at| int(at.number)));
    let at: Vec<_> = all.iter().map(|it| of(it.position.map(|(at, _)| at))).collect();
    let cannot: Vec<_> = all.iter().map(|it| of(it.cannot.as_ref().map(|(at, _)| *at))).collect();
    let mut statements = Statements::default();
    let values = keep![
        all.iter().map(|it| int(it.verifier.number())).collect::<Vec<_>>(),
        all.iter().map(|it| it.instance.as_str()).collect::<Vec<_>>(),
        at.iter().map(|it| it.0).collect::<Vec<_>>(),
        at.iter().map(|it| it.1).collect::<Vec<_>>(),
        all.iter().map(|it| it.position.map(|(_, at)| at.0)).collect::<Vec<_>>(),
        cannot.iter().map(|it| it.0).collect::<Vec<_>>(),
        cannot.iter().map(|it| it.1).collect::<Vec<_>>(),
        all.iter().map(|it| it.cannot.as_ref().map(|(_, why)| why.clone())).collect::<Vec<_>>(),
    ];
    statements.add(sql, values);
    let sql = "DELETE FROM acknowledgement a WHERE NOT EXISTS
               (SELECT FROM instance i WHERE i.verifier = a.verifier AND i.instance = a.instance)";
    statements.add(sql, keep![]);
    statements.run(db).await
}

/// What instances have acknowledged.
pub(super) async fn read(db: &Client) -> Result<Vec<Acknowledged>, Failed> {
    let sql = "SELECT * FROM acknowledgement ORDER BY verifier, instance";
    list(db, sql, values![], |row| {
        let of = |epoch, number| {
            let of: Option<(u64, u64)> = row.optional(epoch)?.zip(row.optional(number)?);
            Ok::<_, Failed>(of.map(|(epoch, number)| Position { epoch, number }))
        };
        Ok(Acknowledged {
            verifier: row.value("verifier")?,
            instance: row.value("instance")?,
            position: of("epoch", "position")?.zip(row.optional::<UnixTime>("at")?),
            cannot: of("cannot_epoch", "cannot_position")?.zip(row.optional("cannot")?),
        })
    })
    .await
}
