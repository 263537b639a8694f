//! What a channel and a token row cost, in SQLite and in PostgreSQL: bytes in the store, memory
//! of a server, time of its start. The figures of the book's page on scale.
//!
//! Most rows are made by the database itself, as copies of what the API made, with ids in
//! random order. A server is started on the store with few rows and with many; what a channel
//! costs is the difference.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::authority::{Asked, Authority};
use super::postgres::site::Site;
use super::report::Report;
use super::soak::resident;
use super::{Plan, assertions::Signer, stopwatch};

/// The tables that are filled, with the columns that differ from row to row. A channel gets one
/// assertion key and one v2.1 token.
const ROWS: [(&str, &str); 4] = [
    (
        "channel",
        "INSERT INTO channel (id, provider, name, type, created_at, state, rules, group_cap,
             group_when_full, own_audience_only, single_use, secret)
         SELECT {id}, t.provider, 'Channel ' || s.n, t.type, t.created_at, t.state, t.rules,
             t.group_cap, t.group_when_full, t.own_audience_only, t.single_use, {random32}
         FROM {series}, (SELECT * FROM channel ORDER BY number LIMIT 1) AS t",
    ),
    (
        "channel_count",
        "INSERT INTO channel_count (channel, serial, bulk_serial, revision)
         SELECT {id}, 1, 0, 1 FROM {series}",
    ),
    (
        "assertion_key",
        "INSERT INTO assertion_key (id, channel, grp, modulus, created_at)
         SELECT {random16}, {id}, NULL, t.modulus, t.created_at
         FROM {series}, (SELECT * FROM assertion_key ORDER BY number LIMIT 1) AS t",
    ),
    (
        "token",
        "INSERT INTO token (channel, serial, id, kind, assertion_key, signing_key, form,
             issued_at, expires_at)
         SELECT {id}, 1, {random16}, t.kind, {random16}, t.signing_key, t.form, t.issued_at,
             t.expires_at
         FROM {series}, (SELECT * FROM token ORDER BY number LIMIT 1) AS t",
    ),
];

/// Ids of ten digits in an order that looks random; each number gives another one.
const ID: &str = "(1000000000 + (s.n * 2654435761) % 9000000000)";

/// How a database writes what is not the same in both.
struct Dialect {
    random16: &'static str,
    random32: &'static str,
    series: fn(from: u64, through: u64) -> String,
}

impl Dialect {
    fn statement(&self, template: &str, from: u64, through: u64) -> String {
        template
            .replace("{id}", ID)
            .replace("{random16}", self.random16)
            .replace("{random32}", self.random32)
            .replace("{series}", &(self.series)(from, through))
    }
}

const SQLITE: Dialect = Dialect {
    random16: "randomblob(16)",
    random32: "randomblob(32)",
    series: |from, through| {
        format!(
            "(WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s
              WHERE n < {through}) SELECT n FROM s) AS s"
        )
    },
};

const POSTGRES: Dialect = Dialect {
    random16: "uuid_send(gen_random_uuid())",
    random32: "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())",
    series: |from, through| format!("generate_series({from}::bigint, {through}) AS s (n)"),
};

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    // Just below a doubling of the server's table of ids, and just above.
    let most = if plan.long { 7_000_000 } else { 900_000 };
    sqlite(plan, &folder.join("sqlite"), most, report)?;
    postgres(plan, &folder.join("postgres"), most, report)
}

/// What a server costs that was just started.
struct Started {
    seconds: f64,
    /// Resident memory in MiB, and its maximum.
    rest: f64,
    peak: f64,
}

impl Started {
    /// Of the server that `start` starts and returns, with its process.
    fn of<T>(
        start: impl FnOnce() -> anyhow::Result<T>,
        id: impl FnOnce(&T) -> u32,
    ) -> anyhow::Result<(Self, T)> {
        let began = stopwatch();
        let server = start()?;
        let seconds = began.elapsed().as_secs_f64();
        // The allocator returns what was freed within seconds.
        std::thread::sleep(std::time::Duration::from_secs(12));
        let id = id(&server);
        let peak = super::feed::status(id, "VmHWM")?;
        Ok((Self { seconds, rest: resident(id)?, peak }, server))
    }
}

fn tell(report: &mut Report, name: &str, channels: u64, few: &Started, many: &Started) {
    let each = |of: fn(&Started) -> f64| (of(many) - of(few)) * f64::from(1 << 20);
    let each = |of| each(of) / channels as f64;
    report.note(
        &format!("{name}: a server with {channels} channels"),
        &[
            ("bytes per channel", each(|it| it.rest)),
            ("at the peak of the start", each(|it| it.peak)),
            ("MiB with few", few.rest),
            ("with all", many.rest),
            ("s until ready with few", few.seconds),
            ("with all", many.seconds),
        ],
    );
}

/// One channel with a key and a token, made by the API: what the others are copies of.
fn template(authority: &Authority) -> anyhow::Result<()> {
    let signer = Signer::generate()?;
    let channels = authority.channels(1, &signer)?;
    let channel = channels.first().context("no channel")?;
    authority.tokens(&[Asked::ByAssertion(signer.assertion(channel, 0)?)])?;
    Ok(())
}

fn sqlite(plan: &Plan, folder: &Path, most: u64, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    template(&Authority::start(&plan.tegata, folder)?)?;
    let (few, running) = Started::of(|| Authority::start(&plan.tegata, folder), Authority::id)?;
    drop(running);
    let db = rusqlite::Connection::open(folder.join("tegata.db"))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let bytes = || {
        let pages: u64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let size: u64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        anyhow::Ok((pages * size) as f64)
    };
    let mut each = Vec::new();
    for (table, template) in ROWS {
        let before = bytes()?;
        let made = db.execute(&SQLITE.statement(template, 1, most), [])?;
        ensure!(made as u64 == most, "{made} rows of {table}");
        each.push((table, (bytes()? - before) / most as f64));
    }
    drop(db);
    report.note("SQLite: bytes per row, with its indexes", &each);
    let (many, _running) = Started::of(|| Authority::start(&plan.tegata, folder), Authority::id)?;
    tell(report, "SQLite", most, &few, &many);
    Ok(())
}

fn postgres(plan: &Plan, folder: &Path, most: u64, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    let mut site = Site::start(plan, folder)?;
    let start = |site: &mut Site| {
        site.grow_to(1)?;
        anyhow::Ok(site.first().id())
    };
    start(&mut site)?;
    template(site.first())?;
    site.stop();
    let (few, _) = Started::of(|| start(&mut site), |&id| id)?;
    site.stop();
    let mut each = Vec::new();
    for (table, template) in ROWS {
        let bytes = || -> anyhow::Result<f64> {
            site.figure(&format!("SELECT pg_total_relation_size('{table}')"))
        };
        let before = bytes()?;
        site.patient(&POSTGRES.statement(template, 1, most))?;
        each.push((table, (bytes()? - before) / most as f64));
    }
    report.note("PostgreSQL: bytes per row, with its indexes", &each);
    site.checkpoint()?;
    let (many, _) = Started::of(|| start(&mut site), |&id| id)?;
    tell(report, "PostgreSQL", most, &few, &many);
    site.stop();
    vacuum(&site, most, report)
}

/// Every row of a token is changed once, when it is revoked or found expired, and deleted later.
/// A tenth of them here.
fn vacuum(site: &Site, most: u64, report: &mut Report) -> anyhow::Result<()> {
    let tenth = most / 10;
    let mut seconds = Vec::new();
    for sql in [
        format!("UPDATE token SET past = true WHERE number <= {tenth}"),
        "VACUUM token".to_owned(),
        format!("DELETE FROM token WHERE number <= {tenth}"),
        "VACUUM token".to_owned(),
    ] {
        let began = stopwatch();
        site.patient(&sql)?;
        seconds.push(began.elapsed().as_secs_f64() * 1e6 / tenth as f64);
    }
    let names = ["marked past", "vacuumed", "deleted", "vacuumed again"];
    let figures: Vec<_> = names.into_iter().zip(seconds).collect();
    report.note("PostgreSQL: s per million token rows of ten million", &figures);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_rows_get_one_id_and_every_id_has_ten_digits() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let sql = SQLITE.statement("SELECT {id} FROM {series}", 1, 100_000);
        let mut statement = db.prepare(&sql).unwrap();
        let ids = statement.query_map([], |row| row.get::<_, u64>(0)).unwrap();
        let ids: HashSet<u64> = ids.map(Result::unwrap).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|it| (1_000_000_000..10_000_000_000).contains(it)));
    }
}
