//! `tegata backup`, `restore`, `recover`, `migrate`: maintains a store, and brings it
//! back without reviving revoked tokens.

use crate::{
    output::Output,
    place::{Found, Where, check_file_exists},
    taking::Confirmation,
    terminal::{note, progress_bar},
};
use serde_json::json;
use std::path::PathBuf;
use tegata_policy::text::counted;
use tegata_server::authority::{
    keeping::{self, RootTokenAfter, StoreRecovery},
    master_key::PreviousKey,
};
use tegata_store::{
    Recovered, Recovery,
    postgres::{migrate_database, name_of_database},
    sqlite,
};
use tegata_token::time::UnixTime;

#[derive(clap::Args)]
pub struct Backup {
    /// The file to write; it must not exist.
    file: PathBuf,
    #[command(flatten)]
    place: Where,
}

#[derive(clap::Args)]
pub struct Restore {
    /// The backup file.
    file: PathBuf,
    /// Change nothing; check the backup and print what would happen.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
    #[command(flatten)]
    place: Where,
}

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("how").required(true))]
pub struct Recover {
    /// Repeat the revocations since the backup from this revocation journal, the file of
    /// `serve --revocation-journal`.
    #[arg(long, value_name = "FILE", group = "how")]
    replay: Option<PathBuf>,
    /// Revoke all tokens, if the revocations since the backup are not known.
    #[arg(long, group = "how")]
    revoke_everything: bool,
    /// With --revoke-everything: take the present time (PostgreSQL: the database's; SQLite: this
    /// machine's) although the store holds a later one. For a store whose clock was once days
    /// ahead.
    #[arg(long, requires = "revoke_everything")]
    set_clock: bool,
    /// The revocation journal to record --revoke-everything in [default: from the settings].
    #[arg(long, env, value_name = "FILE")]
    revocation_journal: Option<PathBuf>,
    /// Change nothing; print what would happen.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
    #[command(flatten)]
    place: Where,
}

#[derive(clap::Args)]
pub struct Migrate {
    #[command(flatten)]
    place: Where,
}

const BACKUP_OF_DATABASE: &str = "a PostgreSQL database is backed up with its own programs: \
    pgBackRest, WAL-G or pg_dump, and the master key's file apart from it; see \
    docs/book/src/replicas.md";

const RESTORE_OF_DATABASE: &str = "a PostgreSQL database is restored with the program that made \
    the backup, while no server runs; then run `tegata recover`: see docs/book/src/replicas.md";

pub fn backup(out: &Output, Backup { file, place }: Backup) -> anyhow::Result<()> {
    let place = place.find_file(BACKUP_OF_DATABASE)?.place;
    check_file_exists(&place.store)?;
    let previous = PreviousKey::of(&place.master_key());
    let copied =
        with_progress("copying", |progress| sqlite::backup(&place.store, &file, progress))?;
    let result = json!({
        "file": file, "bytes": copied.bytes, "position": copied.position,
        "reaches_to": moment(copied.written_at),
    });
    out.thing(&result, &["file", "bytes", "reaches_to"])?;
    let key = place.master_key();
    note(&format!(
        "its signing keys are encrypted with {}; keep a copy of that file apart from the backup",
        key.display()
    ));
    if let Some(removed) = previous.map(PreviousKey::remove).transpose()?.flatten() {
        note(&format!(
            "removed {}, the master key before the last rotation; only backups from before that \
             rotation need it",
            removed.display()
        ));
    }
    Ok(())
}

pub fn restore(out: &Output, args: Restore) -> anyhow::Result<()> {
    let Restore { file, dry_run, confirm, place } = args;
    let Found { place, journal: log, .. } = place.find_file(RESTORE_OF_DATABASE)?;
    if !dry_run && place.store.exists() {
        let store = place.store.display();
        let goes = format!("replaces {store} by {}; {store} is kept, renamed\n", file.display());
        confirm.ask(&goes, false)?;
    }
    let put_back =
        |progress: sqlite::Progress<'_>| sqlite::restore(&file, &place.store, dry_run, progress);
    let (copied, aside) = with_progress("copying", put_back)?;
    let result = json!({
        "dry_run": dry_run, "store": place.store, "bytes": copied.bytes,
        "position": copied.position, "reaches_to": moment(copied.written_at),
        "moved_aside": aside,
    });
    out.thing(&result, &["dry_run", "store", "bytes", "reaches_to", "moved_aside"])?;
    if dry_run {
        note("the backup is complete; nothing was changed");
        return Ok(());
    }
    let store = place.store.display();
    let (log, which) = match log {
        Some(log) => (log.display().to_string(), ""),
        None => ("FILE".to_owned(), " (FILE is that of serve --revocation-journal)"),
    };
    note(&format!(
        "run one of these, or `tegata serve` refuses this store:\n  \
         tegata recover --store sqlite:{store} --replay {log}\n    \
         repeats the revocations since the backup{which}\n  \
         tegata recover --store sqlite:{store} --revoke-everything\n    \
         revokes all tokens"
    ));
    Ok(())
}

pub async fn recover(out: &Output, args: Recover, token: Option<PathBuf>) -> anyhow::Result<()> {
    let Found { place, journal, admin_token_file } = args.place.find_existing()?;
    let token = token.or(admin_token_file);
    let log = args.revocation_journal.or(journal);
    if !args.dry_run {
        let store = match &place.database {
            Some(database) => {
                let name = name_of_database(database.address.reveal())?;
                format!("the database {name}")
            }
            None => place.store.display().to_string(),
        };
        let goes = match &args.replay {
            Some(file) => format!(
                "revokes tokens of {store}: those that {} names, and those issued since the backup\n",
                file.display()
            ),
            None => format!("revokes all tokens of {store}\n"),
        };
        args.confirm.ask(&goes, false)?;
    }
    let how = match &args.replay {
        Some(file) => Recovery::Replay(file),
        None => Recovery::RevokeEverything {
            log: log.as_deref(),
            clock: args.set_clock.then(keeping::wall_clock),
        },
    };
    let StoreRecovery { done, unopened, audit_not_accepted, root_token } =
        keeping::recover(&place, token.as_deref(), how, args.dry_run).await?;
    let result = json!({
        "dry_run": args.dry_run,
        "epoch": done.epoch,
        "store_reached_to": moment(done.written_at),
        "tokens_valid_if_issued_before": done.issued_before.map(moment),
        "signing_keys_retired": done.old_keys,
        "signing_keys_not_opened": unopened,
        "revocations_replayed": done.lines,
        "revocations_left_out": done.torn.map(|it| json!({ "line": it.line, "bytes": it.bytes })),
        "tokens_revoked": done.tokens,
        "secrets_replaced": done.secrets,
        "assertion_keys_deleted": done.assertion_keys,
        "unknown_channels": done.unknown,
        "people_signed_out": done.people,
        "audit_begins_anew": done.audit_begins_anew,
    });
    let first = ["dry_run", "epoch", "store_reached_to", "tokens_valid_if_issued_before"];
    out.thing(&result, &[&first[..], &["tokens_revoked"]].concat())?;
    if args.dry_run {
        note("nothing was changed; after a run without --dry-run, these steps remain:");
    }
    if let Some(error) = audit_not_accepted {
        note(&format!(
            "- the audit's end was not accepted for all servers ({error}): run `tegata audit accept \
             --reason recovered` before a server starts"
        ));
    }
    if let Some(after) = root_token {
        note(&format!("- {}", about_root_token(after, done.written_at)));
    }
    note(next_steps(&done, unopened).trim_end());
    Ok(())
}

/// What became of the root administrator's token of all servers.
fn about_root_token(after: RootTokenAfter, written_at: UnixTime) -> String {
    let since = moment(written_at);
    match after {
        RootTokenAfter::Replayed => {
            let text = "the root administrator's token is the one that was in force last, by the \
                        revocation journal";
            text.to_owned()
        }
        RootTokenAfter::Own => format!(
            "the root administrator's token is the one in this machine's file: if it was replaced on \
             another machine since {since}, run `tegata admin reset`"
        ),
        RootTokenAfter::Unknown => format!(
            "NO ROOT ADMINISTRATOR'S TOKEN WORKS: the one of {since} may have been replaced since, \
             and this machine's file holds no other; run `tegata admin reset`"
        ),
    }
}

/// The steps that remain for the operator.
fn next_steps(done: &Recovered, unopened: usize) -> String {
    let since = moment(done.written_at);
    let mut words = String::new();
    if let Some(torn) = done.torn {
        words.push_str(&format!(
            "- the last line ({}) of the revocation journal is incomplete ({} bytes) and was left \
             out: its revocation was never acknowledged, unless the file was cut afterwards\n",
            torn.line, torn.bytes
        ));
    }
    match done.issued_before {
        Some(before) => words.push_str(&format!(
            "- tokens issued at {} or later are revoked: their owners must request new ones\n",
            moment(before)
        )),
        None => words.push_str("- all tokens are revoked: their owners must request new ones\n"),
    }
    words.push_str(&format!(
        "- what was created since {since} is lost: providers, channels, groups, assertion keys, \
         verifiers, people; create it again\n"
    ));
    if done.issued_before.is_none() {
        words.push_str(&format!(
            "- secrets replaced and assertion keys deleted since {since} are valid again: replace \
             and delete them again, and also those of which you are not sure\n"
        ));
    }
    if done.people > 0 {
        words.push_str(&format!(
            "- no person can sign in, and personal tokens are deleted: look through `tegata person \
             list`, where people who were deleted, disabled or had another role since {since} are \
             as before, and `tegata person reset` those who may sign in\n"
        ));
    }
    if !done.unknown.is_empty() {
        let unknown: Vec<_> = done.unknown.iter().map(ToString::to_string).collect();
        words.push_str(&format!("- created since, and lost: channels {}\n", unknown.join(", ")));
    }
    if unopened > 0 {
        let keys = counted(unopened, "old signing key was", "old signing keys were");
        words.push_str(&format!(
            "- {keys} encrypted with another master key, and cannot be used any more: \
             requests retried with an Idempotency-Key from before are refused (409)\n"
        ));
    }
    if done.audit_begins_anew {
        words.push_str(
            "- the audit's checkpoints belong to another master key, too: the next start makes new \
             ones. `tegata audit verify` then proves nothing about earlier events; only an \
             earlier export does, checked with the public key noted at that time\n",
        );
    }
    words.push_str("- then start `tegata serve`, and make a backup\n");
    words
}

pub async fn migrate(out: &Output, Migrate { place }: Migrate) -> anyhow::Result<()> {
    let place = place.find_existing()?.place;
    let Some(database) = &place.database else {
        let (before, after) = sqlite::migrate(&place.store)?;
        let result = json!({ "store": place.store, "schema_before": before, "schema": after });
        return out.thing(&result, &["store"]);
    };
    let address = database.direct.as_ref().unwrap_or(&database.address);
    let (before, after) = migrate_database(address.reveal()).await?;
    let result = json!({ "store": "postgres", "schema_before": before, "schema": after });
    out.thing(&result, &["store", "schema_before", "schema"])
}

/// Runs a copy with a progress bar, if stderr is a terminal.
fn with_progress<T>(
    what: &'static str,
    copy: impl FnOnce(sqlite::Progress<'_>) -> Result<T, sqlite::OpenError>,
) -> anyhow::Result<T> {
    let bar = progress_bar()?;
    bar.set_message(what);
    let done = copy(&mut |pages, all| {
        bar.set_length(all);
        bar.set_position(pages);
    });
    bar.finish_and_clear();
    Ok(done?)
}

fn moment(time: UnixTime) -> String {
    let at = jiff::Timestamp::from_second(time.0);
    at.map_or_else(|_| format!("{} s after 1970", time.0), |at| at.to_string())
}
