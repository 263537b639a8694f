//! Checks a store in a PostgreSQL database.

use super::{Findings, store};
use crate::files::read_secret;
use tegata_policy::text::counted;
use tegata_server::{
    authority::{
        admin_token::{PLACE_IN_FORCE, problem_of},
        place::Database,
    },
    config::Settings,
};
use tegata_store::{
    RootTokens,
    postgres::{DatabaseSchema, DatabaseState, PostgresLook, PostgresOpenError, Unreached},
};
use tegata_token::time::UnixTime;

const CHECK: &str = "store";

/// By how many seconds the database's clock may differ from this machine's.
const APART: i64 = 5;
/// From how many seconds on servers answer 503.
const FAR_APART: i64 = 300;

pub async fn look(found: &mut Findings, settings: &Settings, database: &Database) {
    let look = match PostgresLook::at(database.address.reveal()).await {
        Ok(look) => look,
        Err(why) => return unreached(found, why),
    };
    if let Some(direct) = &database.direct {
        match PostgresLook::at(direct.reveal()).await {
            Ok(direct) => same(found, look.has_store_of(&direct).await),
            Err(why) => unreached(found, why),
        }
    }
    if let Err(error) = examine(found, settings, &look).await {
        let next_step = "see that the user owns the database's tables, and the database's log";
        found.wrong(CHECK, error.to_string(), next_step);
    }
}

/// Reports two addresses that lead to two databases.
fn same(found: &mut Findings, same: Result<bool, PostgresOpenError>) {
    let (what, next_step) = match same {
        Ok(true) => return,
        Ok(false) => (
            "--store and --store-direct lead to two different databases".to_owned(),
            "name in --store-direct the database that --store leads to, without the pooler",
        ),
        Err(error) => (error.to_string(), "see that the user owns the database's tables"),
    };
    found.wrong(CHECK, what, next_step);
}

fn unreached(found: &mut Findings, why: Unreached) {
    let (what, next_step) = match why {
        Unreached::Address(why) => (why.to_string(), "correct --store"),
        Unreached::Password(why) => (
            format!("the database refuses the password: {why}"),
            "give the right one in --store-password-file, or set it anew: ALTER ROLE … PASSWORD …",
        ),
        Unreached::NotLetIn(why) => (
            format!("the database does not let this user in from here: {why}"),
            "add a line for this host, user and database to pg_hba.conf; where it says \"no \
             encryption\", add sslmode=verify-full&sslrootcert=FILE to --store",
        ),
        Unreached::NoDatabase(why) => (
            format!("there is no such database: {why}"),
            "create it: createdb --owner USER DATABASE; or correct --store",
        ),
        Unreached::Tls(why) => (
            format!("no connection with TLS can be made: {why}"),
            "set ssl = on at the database with a certificate that sslrootcert verifies; or correct \
             sslmode and sslrootcert in --store",
        ),
        Unreached::Full(why) => (
            format!("the database has as many connections as it allows: {why}"),
            "raise its max_connections, or put pgbouncer in front of it (see \
             docs/book/src/replicas.md)",
        ),
        Unreached::Silent(why) => (
            format!("the database cannot be reached: {why}"),
            "see that it runs and listens at the address of --store, and that no firewall is \
             between",
        ),
    };
    found.wrong(CHECK, what, next_step);
}

async fn examine(
    found: &mut Findings,
    settings: &Settings,
    look: &PostgresLook,
) -> Result<(), PostgresOpenError> {
    let before = wall_clock();
    let state = look.state().await?;
    let after = wall_clock();
    found.ok(CHECK, format!("PostgreSQL {} answers", state.version));
    if state.encoding != "UTF8" {
        let what = format!("the encoding of the database is {}, not UTF8", state.encoding);
        let next_step = "make a database with CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C' TEMPLATE \
                         template0, and name that";
        found.wrong(CHECK, what, next_step);
    }
    encryption(found, &state);
    replication(found, &state);
    clock(found, state.now, (before, after));
    if !schema(found, look).await? {
        return Ok(());
    }
    newest(found, settings, look).await;
    let Some(stored) = look.store().await? else { return Ok(()) };
    if stored.dev != settings.dev {
        let (is, next_step) = match stored.dev {
            true => ("made with --dev", "start with --dev, or name another database"),
            false => ("not made with --dev", "start without --dev, or name another database"),
        };
        found.wrong(CHECK, format!("the store was {is}"), next_step);
    }
    token(found, settings, &stored.root_tokens);
    if stored.servers > 0 {
        let servers = counted(stored.servers, "server is", "servers are");
        found.ok(CHECK, format!("{servers} registered"));
    }
    let now = state.now.plus(stored.clock_offset);
    store::keys(found, settings, &stored.signing_keys, now, stored.servers > 0);
    if stored.servers > 0 {
        store::verifiers(found, &stored.instances, now);
    }
    Ok(())
}

/// Compares the administrator's token in this server's file with the one in force. One in a
/// variable is the server's own, and not this command's to know.
fn token(found: &mut Findings, settings: &Settings, known: &RootTokens) {
    const CHECK: &str = "token";
    let file = settings.admin_token_file.clone().unwrap_or_else(|| settings.place.admin_token());
    if settings.admin_token.is_some() || !file.exists() || known.in_force.is_none() {
        return;
    }
    let Ok(own) = read_secret(&file) else { return };
    match problem_of(&own, known) {
        None => found.ok(CHECK, "the administrator's token in force"),
        Some(problem) => {
            let what = format!("{problem}: {}", file.display());
            let next_step = format!(
                "the servers accept another one; its file is {PLACE_IN_FORCE}: copy it. If none has \
                 it, run `tegata admin reset`"
            );
            found.warning(CHECK, what, next_step);
        }
    }
}

/// Checks the schema; returns whether more can be read.
async fn schema(found: &mut Findings, look: &PostgresLook) -> Result<bool, PostgresOpenError> {
    let (schema, known) = look.schema().await?;
    match schema {
        DatabaseSchema::None => {
            found.ok(CHECK, "empty; the first server makes the schema");
            return Ok(false);
        }
        DatabaseSchema::Moving => {
            let what = "an authority is being moved to it, and the move is not complete";
            found.wrong(CHECK, what, "repeat the `tegata move` that began it");
            return Ok(false);
        }
        DatabaseSchema::MoveUndone => {
            let what = "the move to it was undone, and the authority is in its SQLite file";
            found.wrong(CHECK, what, "name that file with --store");
            return Ok(false);
        }
        DatabaseSchema::Version(version) if version > known => {
            let what = format!(
                "its schema is version {version}; this program knows versions up to {known}"
            );
            found.wrong(CHECK, what, "use the newer program that wrote it");
            return Ok(false);
        }
        DatabaseSchema::Version(version) if version < known => {
            let what = format!("its schema is version {version} of {known}");
            found.warning(
                CHECK,
                what,
                "back it up; `tegata migrate`, or the next start, updates it",
            );
            return Ok(false);
        }
        DatabaseSchema::Version(version) => {
            found.ok(CHECK, format!("schema version {version}"));
        }
    }
    Ok(true)
}

fn wall_clock() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn encryption(found: &mut Findings, state: &DatabaseState) {
    if state.encrypted || state.local {
        return;
    }
    let what = "the connection to the database is not encrypted, and it is on another machine";
    found.warning(CHECK, what, "add sslmode=verify-full&sslrootcert=FILE to --store");
}

/// Reports what would make an acknowledged act be lost.
fn replication(found: &mut Findings, state: &DatabaseState) {
    let lost = "acknowledged revocations can be lost";
    if state.standby {
        let what = "this database is a standby, which accepts no writes";
        found.wrong(CHECK, what, "name the primary server, or an address that follows it");
        return;
    }
    if !state.fsync {
        let what = format!("the database does not make commits durable (fsync is off): {lost}");
        found.wrong(CHECK, what, "set fsync = on in postgresql.conf");
    }
    if matches!(state.synchronous_commit.as_str(), "off") {
        let what = format!("synchronous_commit is off: {lost} in a crash");
        found.wrong(
            CHECK,
            what,
            "set it to on for the role: ALTER ROLE … SET synchronous_commit = on",
        );
    }
    let standbys = counted(state.standbys, "standby follows", "standbys follow");
    let waits = state.has_synchronous && !["local", "off"].contains(&&*state.synchronous_commit);
    if waits && (state.standbys == 0 || state.synchronous == Some(0)) {
        let what = format!(
            "commits wait for a standby that synchronous_standby_names demands, and none of those \
             follows ({standbys}): all servers answer 503"
        );
        let next_step = "bring it back: see docs/book/src/runbooks/database-down.md. Take it from \
                         synchronous_standby_names only once automatic failover is off";
        found.wrong(CHECK, what, next_step);
        return;
    }
    if waits && state.waiting > 0 {
        let what = format!(
            "{} for longer than a second for a standby that synchronous_standby_names demands: it is \
             missing or slow ({standbys}), and the servers answer 503",
            counted(state.waiting, "commit waits", "commits wait")
        );
        let next_step = "see how far each is behind (pg_stat_replication). One that is missing: bring it \
                         back; see docs/book/src/runbooks/database-down.md";
        found.wrong(CHECK, what, next_step);
        return;
    }
    if state.standbys == 0 {
        return;
    }
    if waits {
        found.ok(CHECK, format!("{standbys} the database, and commits wait for one"));
        return;
    }
    let what = format!("{standbys} the database, and commits wait for none: in a failover {lost}");
    let next_step = "set synchronous_standby_names (with Patroni: synchronous_mode: true) and \
                     synchronous_commit = on";
    found.warning(CHECK, what, next_step);
}

/// Compares the database's clock, read between `before` and `after`, with this machine's.
fn clock(found: &mut Findings, now: UnixTime, (before, after): (i64, i64)) {
    const CHECK: &str = "clock";
    let apart = (before - now.0).max(now.0 - after).max(0);
    let what = format!("the database's clock and this machine's are {apart} s apart");
    let next_step = "synchronise both with NTP";
    if apart > FAR_APART {
        found.wrong(CHECK, what, next_step);
    } else if apart > APART {
        found.warning(CHECK, what, next_step);
    } else {
        found.ok(CHECK, "the database's clock and this machine's agree");
    }
}

/// Checks with the rollback guard that the database is not an older state.
async fn newest(found: &mut Findings, settings: &Settings, look: &PostgresLook) {
    let guard = settings.place.guard();
    match look.goes_on(&guard).await {
        Ok(()) if guard.exists() => found.ok(CHECK, "no older than its rollback guard"),
        Ok(()) => {}
        Err(PostgresOpenError::WentBack(_, why)) => {
            let what = format!("the database went back: {why}");
            let next_step = "name the newest database; if there is no newer one, stop all servers \
                             and see `tegata recover --help`";
            found.wrong(CHECK, what, next_step);
        }
        Err(error) => found.wrong(CHECK, error.to_string(), "correct --store, or repair that file"),
    }
}
