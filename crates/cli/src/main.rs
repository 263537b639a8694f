//! The `tegata` command: noun, then verb, as people say them.
//!
//! Each noun is a module that holds its verbs' arguments and what they do; the
//! one `match` below is the whole map. Commands other than `serve` talk to a
//! running authority and know nothing but its HTTP interface.

mod admin;
mod agent;
mod api;
mod audit;
mod channel;
mod doctor;
mod failure;
mod files;
mod group;
mod inspect;
mod keeping;
mod key;
mod log;
mod man;
mod master_key;
mod output;
mod place;
mod provider;
#[cfg(test)]
mod reference;
mod scan;
mod serve;
mod signing_key;
mod token;
mod variables;
mod warning;

use crate::{api::Remote, output::Output};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// A self-hosted authority for channel access tokens.
#[derive(Parser)]
#[command(name = "tegata", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 authority not reachable.";

#[derive(Subcommand)]
enum Command {
    /// Run the authority.
    Serve(Box<serve::Serve>),
    /// The organisations that own channels.
    #[command(subcommand)]
    Provider(provider::Verb),
    /// What tokens give access to.
    #[command(subcommand)]
    Channel(channel::Verb),
    /// A channel's assertion signing keys.
    #[command(subcommand)]
    Key(key::Verb),
    /// Teams within a channel that hold tokens of their own.
    #[command(subcommand)]
    Group(group::Verb),
    /// Channel access tokens.
    #[command(subcommand)]
    Token(token::Verb),
    /// The authority's own signing keys.
    #[command(subcommand)]
    SigningKey(signing_key::Verb),
    /// The key that seals the signing keys.
    #[command(subcommand)]
    MasterKey(master_key::Verb),
    /// Who may administer.
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Copy the store to a file, beside a running server.
    Backup(keeping::Backup),
    /// Put a backup in the store's place; `recover` comes next.
    Restore(keeping::Restore),
    /// Go on with a store that went backwards, without waking what was ended.
    Recover(keeping::Recover),
    /// Bring the store's schema up to date without starting a server.
    Migrate(keeping::Migrate),
    /// Who changed what.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// What is about to end, lies unused, or is used though it was replaced.
    #[command(subcommand)]
    Warning(warning::Verb),
    /// Keep tokens fresh for programs in any language.
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Look at settings, files, store, keys and addresses; say what is wrong, and how to mend it.
    Doctor(Box<serve::Serve>),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages, one for each command, into a folder.
    Man {
        /// Where to; made if it is not there.
        folder: std::path::PathBuf,
    },
}

/// Gives memory back once it is free, also when nothing happens: see decision 12.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long what was not waited for may still take at the end.
const LAST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

fn main() -> ExitCode {
    // Keys and tokens are in memory: a crash leaves none of it in a file, and no other
    // program of the same user reads it. Where the system has no such thing, so be it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let cli = parse();
    let runtime = match &cli.command {
        // Of its threads each would cost the memory that it is to do without.
        Command::Agent(_) => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Runtime::new(),
    };
    let runtime = runtime.map_err(anyhow::Error::from);
    failure::exit_code(runtime.and_then(|runtime| {
        let outcome = runtime.block_on(run(cli));
        // A read from a disk that hangs must not delay the exit.
        runtime.shutdown_timeout(LAST_PATIENCE);
        outcome
    }))
}

/// The whole command line, with its variables.
fn command_line() -> clap::Command {
    variables::apply(Cli::command())
}

/// Exits where the arguments are wrong, and after a help text.
fn parse() -> Cli {
    let mut command = command_line();
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|mut matches| {
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    });
    parsed.unwrap_or_else(|error| variables::explain(error, &mut command).exit())
}

async fn run(Cli { remote, output: out, command }: Cli) -> anyhow::Result<()> {
    let api = || remote.connect();
    match command {
        Command::Serve(args) => serve::run(*args, remote.admin_token_file).await,

        Command::Provider(provider::Verb::Create(args)) => {
            provider::create(&api()?, &out, args).await
        }
        Command::Provider(provider::Verb::List(page)) => provider::list(&api()?, &out, page).await,

        Command::Channel(channel::Verb::Create(args)) => channel::create(&api()?, &out, args).await,
        Command::Channel(channel::Verb::List(args)) => channel::list(&api()?, &out, args).await,
        Command::Channel(channel::Verb::Show(args)) => channel::show(&api()?, &out, args).await,
        Command::Channel(channel::Verb::Suspend(args)) => {
            channel::suspend(&api()?, &out, args).await
        }
        Command::Channel(channel::Verb::Resume(args)) => channel::resume(&api()?, &out, args).await,
        Command::Channel(channel::Verb::Set(args)) => channel::set(&api()?, &out, *args).await,
        Command::Channel(channel::Verb::RotateSecret(args)) => {
            channel::rotate_secret(&api()?, &out, args).await
        }
        Command::Channel(channel::Verb::Delete(args)) => channel::delete(&api()?, &out, args).await,

        Command::Key(key::Verb::Generate(args)) => key::generate(&api()?, &out, args).await,
        Command::Key(key::Verb::Register(args)) => key::register(&api()?, &out, args).await,
        Command::Key(key::Verb::List(args)) => key::list(&api()?, &out, args).await,
        Command::Key(key::Verb::Delete(args)) => key::delete(&api()?, &out, args).await,

        Command::Group(group::Verb::List(args)) => group::list(&api()?, &out, args).await,
        Command::Group(group::Verb::Set(args)) => group::set(&api()?, &out, args).await,
        Command::Group(group::Verb::Delete(args)) => group::delete(&api()?, &out, args).await,

        Command::Token(token::Verb::Issue(args)) => token::issue(&api()?, &out, args).await,
        Command::Token(token::Verb::Verify(args)) => token::verify(&api()?, &out, args).await,
        Command::Token(token::Verb::List(args)) => token::list(&api()?, &out, args).await,
        Command::Token(token::Verb::Show(args)) => token::show(&api()?, &out, args).await,
        Command::Token(token::Verb::Explain(args)) => token::explain(&api()?, &out, args).await,
        Command::Token(token::Verb::Revoke(args)) => token::revoke(&api()?, &out, args).await,
        Command::Token(token::Verb::Reissue(args)) => token::reissue(&api()?, &out, args).await,

        Command::SigningKey(signing_key::Verb::List(page)) => {
            signing_key::list(&api()?, &out, page).await
        }
        Command::SigningKey(signing_key::Verb::Rotate) => signing_key::rotate(&api()?, &out).await,
        Command::SigningKey(signing_key::Verb::Revoke(args)) => {
            signing_key::revoke(&api()?, &out, args).await
        }

        Command::MasterKey(master_key::Verb::Rotate(args)) => {
            master_key::rotate(api, &out, args).await
        }
        Command::Admin(admin::Verb::Reset(args)) => {
            admin::reset(&out, args, remote.admin_token_file).await
        }
        Command::Backup(args) => keeping::backup(&out, args),
        Command::Restore(args) => keeping::restore(&out, args),
        Command::Recover(args) => keeping::recover(&out, args).await,
        Command::Migrate(args) => keeping::migrate(&out, args),

        Command::Audit(audit::Verb::List(args)) => audit::list(&api()?, &out, args).await,
        Command::Audit(audit::Verb::Verify(args)) => audit::verify(api, &out, args).await,
        Command::Audit(audit::Verb::Accept(args)) => audit::accept(&out, args).await,

        Command::Warning(warning::Verb::List(args)) => warning::list(&api()?, &out, args).await,

        Command::Agent(agent::Verb::Run(args)) => agent::run(args).await,
        Command::Agent(agent::Verb::Check(args)) => agent::check(&out, args).await,

        Command::Token(token::Verb::Inspect(args)) => inspect::inspect(&out, args).await,
        Command::Doctor(args) => doctor::run(&out, *args, remote.admin_token_file).await,
        Command::Man { folder } => man::write(command_line(), &folder, &out),
        Command::Completions { shell } => out.text(&completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line(), "tegata", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        command_line().debug_assert();
    }
}
