//! `tegata move`: moves a whole authority from a SQLite file to a PostgreSQL database.

use crate::{
    failure::BadUsage,
    files::read_secret,
    output::Output,
    place::check_file_exists,
    serve::{StoreAddress, with_password},
    taking::Confirmation,
    terminal::{note, progress_bar},
};
use serde_json::json;
use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};
use tegata_policy::text::counted;
use tegata_server::authority::{master_key::MasterKey, place::Files, random};
use tegata_store::moving::{self, Move, MoveBefore, Moved, Step};

#[derive(clap::Args)]
pub struct Moving {
    /// The store to move. No server may run on it; none starts on it afterwards.
    #[arg(long, value_name = "sqlite:FILE")]
    from: StoreAddress,
    /// The database to move it to, which must be empty, or hold a part of the same move.
    #[arg(long, value_name = "postgres://…")]
    to: StoreAddress,
    /// Let servers start on the file again, and none on the database; refused if a server has
    /// been started on the database since the move.
    #[arg(long)]
    undo: bool,
    /// File with the password of the PostgreSQL database, which then is in no URL.
    #[arg(long, env, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
    /// File with the master key, which stays the same [default: master.key in the store's
    /// folder].
    #[arg(long, env, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// The rollback guard of the file [default: in the master key's folder].
    #[arg(long, env, value_name = "FILE")]
    rollback_guard_file: Option<PathBuf>,
    /// Change nothing; check both ends and print what would be copied.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
}

pub async fn run(out: &Output, args: Moving) -> anyhow::Result<()> {
    let (master_key_file, rollback_guard_file) = (args.master_key_file, args.rollback_guard_file);
    let store = args.from.file()?;
    check_file_exists(&store)?;
    let place = Files { store, master_key_file, rollback_guard_file, ..Files::default() };
    let password = args.store_password_file.as_deref().map(read_secret).transpose()?;
    let to = with_password(args.to.database("to")?, password.as_ref());
    if args.undo {
        return undo(out, &place, to.reveal(), args.dry_run, &args.confirm).await;
    }
    let from = place.store.display();
    let moving = Move::open(&place.store, &place.guard(), to.reveal()).await?;
    let keys = moving.signing_keys()?;
    if !keys.is_empty() {
        MasterKey::load_for(&place.master_key(), &keys)?;
    }
    let (before, rows) = (moving.before(), moving.rows().map(|(_, rows)| rows).sum::<u64>());
    let tables: serde_json::Map<_, _> =
        moving.rows().map(|(table, rows)| (table.to_owned(), rows.into())).collect();
    let result = |moved: &Moved| {
        json!({
            "dry_run": args.dry_run, "from": place.store, "rows": rows, "tables": tables,
            "database_held": held(before), "audit_problem": moved.audit_problem,
        })
    };
    let columns = &["dry_run", "from", "rows", "database_held"];
    if args.dry_run {
        out.thing(&result(&Moved::default()), columns)?;
        note("both ends can be used, and the master key is the right one; nothing was changed");
        return Ok(());
    }
    if before != MoveBefore::All {
        let goes = format!(
            "moves {} rows of {from} to the database; no server starts on the file any more\n",
            rows
        );
        args.confirm.ask(&goes, false)?;
    }
    let fresh = random::bytes::<16>().map_err(|_| BadUsage(NO_RANDOMNESS.to_owned()))?;
    let moved = with_progress(async |progress| moving.run(fresh, progress).await).await?;
    out.thing(&result(&moved), columns)?;
    note(next_steps(&place, before, &moved).trim_end());
    Ok(())
}

const NO_RANDOMNESS: &str = "the system returned no random bytes";

fn held(before: MoveBefore) -> &'static str {
    match before {
        MoveBefore::Nothing => "nothing",
        MoveBefore::Part => "a part of this move",
        MoveBefore::All => "all of it already",
    }
}

fn next_steps(place: &Files, before: MoveBefore, moved: &Moved) -> String {
    let mut words = match before {
        MoveBefore::All => "the move was complete before; nothing was copied\n".to_owned(),
        _ => "every row was compared, and the revocation view is the same\n".to_owned(),
    };
    if let Some(problem) = &moved.audit_problem {
        words.push_str(&format!(
            "the audit does not match its checkpoints, neither in the file nor in the database: \
             {problem}; see docs/book/src/runbooks/audit-broken.md\n"
        ));
    }
    let (key, store) = (place.master_key(), place.store.display());
    words.push_str(&format!(
        "start every server with the same --public-url as before, and with\n  \
         tegata serve --store postgres://… --master-key-file {key}\n",
        key = key.display()
    ));
    let token = place.admin_token();
    if token.exists() {
        words.push_str(&format!(
            "if the administrator's token is that of {0}: --admin-token-file {0}\n",
            token.display()
        ));
    }
    let anchor = place.audit_anchor();
    if anchor.exists() {
        words.push_str(&format!(
            "before the first one starts, bring the audit's anchor to its working folder:\n  \
             cp {} tegata.guard.audit\n",
            anchor.display()
        ));
    }
    words.push_str(
        "a server that keeps a revocation journal needs a new file for it: --revocation-journal; the \
         old file stays with the backups of the SQLite file\n",
    );
    words.push_str(&format!(
        "keep {store} until the database has a backup; no server starts on it. Only if none has \
         started on the database, you can go back: repeat this command with --undo\n"
    ));
    words
}

async fn undo(
    out: &Output,
    place: &Files,
    to: &str,
    dry_run: bool,
    confirm: &Confirmation,
) -> anyhow::Result<()> {
    let store = place.store.display();
    if !dry_run {
        let goes = format!("lets servers start on {store} again, and none on the database\n");
        confirm.ask(&goes, false)?;
    }
    let was_moved = moving::undo(&place.store, &place.guard(), to, dry_run).await?;
    out.thing(
        &json!({ "dry_run": dry_run, "store": place.store, "was_moved": was_moved }),
        &["dry_run", "store", "was_moved"],
    )
}

/// How often progress is printed where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Moves with a progress bar; without a terminal, with a line now and then.
async fn with_progress<T, E>(
    work: impl AsyncFnOnce(moving::MoveProgress<'_>) -> Result<T, E>,
) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    let on_terminal = std::io::stderr().is_terminal();
    let bar = progress_bar()?;
    let mut last = steady();
    let done = work(&mut |step, rows, all| {
        let what = match step {
            Step::Copying(table) => format!("copying {table}"),
            Step::Comparing(table) => format!("comparing {table}"),
            Step::VerifyingAudit => "verifying the audit".to_owned(),
        };
        if !on_terminal && last.elapsed() > LINES {
            last = steady();
            note(&format!("{what}: {rows} of {}", counted(all, "row", "rows")));
        }
        bar.set_message(what);
        bar.set_length(all);
        bar.set_position(rows);
    })
    .await;
    bar.finish_and_clear();
    Ok(done?)
}

#[expect(clippy::disallowed_methods, reason = "only how often a line is printed")]
fn steady() -> Instant {
    Instant::now()
}
