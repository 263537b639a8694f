//! The rows of an issue, written by pgbench into tables that are the authority's: what the
//! database can do without Tegata.
//!
//! An issue that evicts no token writes its token's row and its channel's counters, and no
//! change of the log. One transaction each, prepared statements; each client takes the channels
//! in turn, so that no two wait for the same one.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::Site;
use super::site::ask;

/// Number of channels that the transactions write to.
const CHANNELS: usize = 4096;

const VALUES: &str = "\
\\set n :n + 1
\\set channel 1000000000 + (:client_id + :n * :clients) % :channels
\\set serial :first + :n
\\set a random(1, 9000000000000000000)
\\set b random(1, 9000000000000000000)
\\set now 1790000000
";
const COUNT: &str = "UPDATE channel_count SET serial = :serial, \
    written_at = greatest(written_at, :now) WHERE channel = :channel;\n";
const TOKEN: &str = "INSERT INTO token (channel, serial, id, kind, grp, assertion_key, \
    signing_key, form, issued_at, expires_at, idempotency, parameters) VALUES (:channel, \
    :serial, int8send(:a) || int8send(:b), 'short-lived', NULL, NULL, 1, 1, :now, \
    :now + 2592000, NULL, NULL);\n";

/// How a transaction's statements are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    /// One after the other: four round trips.
    InTurn,
    /// All at once: one round trip.
    Together,
}

/// pgbench with its database.
pub(super) struct Pgbench<'a> {
    site: &'a Site,
    database: String,
    folder: PathBuf,
    /// So that no two loads write the same serials.
    loads: u64,
}

impl<'a> Pgbench<'a> {
    /// Makes the database, in a server whose authority has its tables already.
    pub(super) fn new(site: &'a Site, folder: PathBuf) -> anyhow::Result<Self> {
        let database = site.twin()?;
        let fill = format!(
            "INSERT INTO channel_count (channel, serial, bulk_serial, revision)
             SELECT 1000000000 + n, 0, 0, 1 FROM generate_series(0, {CHANNELS} - 1) n"
        );
        ask(&site.postgres, &database, &fill)?;
        ask(&site.postgres, &database, "VACUUM ANALYZE channel_count")?;
        for sent in [Sent::InTurn, Sent::Together] {
            let (begin, end) = match sent {
                Sent::InTurn => ("", ""),
                Sent::Together => ("\\startpipeline\n", "\\endpipeline\n"),
            };
            let text = format!("{VALUES}{begin}BEGIN;\n{COUNT}{TOKEN}COMMIT;\n{end}");
            std::fs::write(folder.join(format!("{sent:?}.sql")), text)?;
        }
        Ok(Self { site, database, folder, loads: 0 })
    }

    /// Transactions a second.
    pub(super) fn run(
        &mut self,
        clients: usize,
        sent: Sent,
        limit: Duration,
    ) -> anyhow::Result<f64> {
        self.loads += 1;
        let first = self.loads * 10_000_000;
        let out = Command::new(self.site.postgres.programs().join("pgbench"))
            .args(["-h", "127.0.0.1", "-p", &self.site.postgres.port().to_string()])
            .args(["-U", "postgres", "-n", "-M", "prepared", "-j", "1"])
            .args(["-c", &clients.to_string(), "-T", &limit.as_secs().to_string()])
            .args(["-D", "n=0", "-D", &format!("clients={clients}")])
            .args(["-D", &format!("channels={CHANNELS}"), "-D", &format!("first={first}")])
            .arg("-f")
            .arg(self.folder.join(format!("{sent:?}.sql")))
            .arg(&self.database)
            .output()
            .context("starting pgbench")?;
        let text = String::from_utf8_lossy(&out.stdout);
        let errors = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "pgbench: {errors}");
        per_second(&text).with_context(|| format!("pgbench: {text}{errors}"))
    }

    /// Number of token rows that were written.
    pub(super) fn rows(&self) -> anyhow::Result<f64> {
        let rows = ask(&self.site.postgres, &self.database, "SELECT count(*) FROM token")?;
        Ok(rows.first().and_then(|row| row.first()).context("no count")?.parse()?)
    }
}

fn per_second(text: &str) -> Option<f64> {
    let failed = text.lines().find_map(|it| it.strip_prefix("number of failed transactions: "));
    if failed.is_some_and(|it| !it.starts_with("0 ")) {
        return None;
    }
    let line = text.lines().find_map(|it| it.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_with_a_failed_transaction_has_no_rate() {
        let good = "number of failed transactions: 0 (0.000%)\ntps = 812.5 (without initial)\n";
        assert_eq!(per_second(good), Some(812.5));
        assert_eq!(per_second(&good.replace(": 0", ": 3")), None);
        assert_eq!(per_second("nothing"), None);
    }
}
