//! The `tegata` command line: a noun, then a verb.
//!
//! Each noun is a module with the arguments and the actions of its verbs; `run`
//! dispatches to them. Administrative commands use the HTTP API of a running
//! authority; those that work on the store itself take `--store`.

// They panic if the stream is closed: `terminal::note` and `Output` do not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod admin;
mod admin_tokens;
mod advice;
mod agent;
mod api;
mod audit;
mod channel;
mod created_by;
mod doctor;
mod duration;
mod explain;
mod failure;
mod feed;
mod files;
mod group;
mod ids;
mod inspect;
mod keeping;
mod key;
mod log;
mod man;
mod master_key;
mod moving;
#[cfg(test)]
mod named;
mod namesakes;
mod output;
mod person;
mod place;
mod provider;
mod receipt;
#[cfg(test)]
mod reference;
mod rotate;
mod scan;
mod serve;
mod sign_in;
mod signing_key;
mod taking;
mod terminal;
mod token;
mod variables;
mod verifier;
mod verify_proxy;
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
    /// Run the authority; the first start creates its store, keys and administrator's token.
    Serve(Box<serve::Serve>),
    /// Verify tokens for the proxies on this machine, without a request to the authority for
    /// each.
    VerifyProxy(Box<verify_proxy::VerifyProxy>),
    /// Manage providers, the organisations that own channels.
    #[command(subcommand)]
    Provider(provider::Verb),
    /// Manage channels and their secrets.
    #[command(subcommand)]
    Channel(channel::Verb),
    /// Manage a channel's assertion signing keys.
    #[command(subcommand)]
    Key(key::Verb),
    /// Manage groups, which divide a channel's tokens among teams.
    #[command(subcommand)]
    Group(group::Verb),
    /// Issue, verify, list, explain, revoke and find channel access tokens.
    #[command(subcommand)]
    Token(token::Verb),
    /// Manage the keys that sign tokens.
    #[command(subcommand)]
    SigningKey(signing_key::Verb),
    /// Replace the key that encrypts the signing keys.
    #[command(subcommand)]
    MasterKey(master_key::Verb),
    /// Invite an administrator on the machine of the store; replace the root administrator's
    /// token.
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Manage people and their roles.
    #[command(subcommand)]
    Person(person::Verb),
    /// Manage personal administrator's tokens.
    #[command(subcommand)]
    AdminToken(admin_tokens::Verb),
    /// Copy the store to a file; a running server goes on serving.
    Backup(keeping::Backup),
    /// Replace the store by a backup; run `recover` next.
    Restore(keeping::Restore),
    /// Recover a store restored from an old copy without reviving revoked tokens.
    Recover(keeping::Recover),
    /// Update the store's schema without starting a server.
    Migrate(keeping::Migrate),
    /// Move the authority to a PostgreSQL database; it can be interrupted and repeated.
    Move(Box<moving::Moving>),
    /// List and verify the audit: who changed what, and when.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Manage verifiers, the credentials of programs that verify tokens.
    #[command(subcommand)]
    Verifier(verifier::Verb),
    /// Show which programs have applied an act that takes something away.
    #[command(subcommand)]
    Receipt(receipt::Verb),
    /// List what expires soon, is unused, or is still used after its replacement.
    #[command(subcommand)]
    Warning(warning::Verb),
    /// Test programs that follow the feed of revocations.
    #[command(subcommand)]
    Feed(feed::Verb),
    /// Renew tokens for programs in any language.
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Check settings, files, store, keys and addresses; report problems and how to fix them.
    Doctor(Box<serve::Serve>),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages, one for each command, to a folder.
    Man {
        /// The folder; it is created if it does not exist.
        folder: std::path::PathBuf,
    },
}

/// Returns free memory to the system, also while idle: see decision 12.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long tasks that were not awaited may still run at exit.
const LAST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

fn main() -> ExitCode {
    // Keys and tokens are in memory: a crash must not write them to a core file, and no
    // other program of the same user may read them. Systems without this call go without.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let cli = parse();
    let runtime = match &cli.command {
        // The agent must use little memory, and each thread costs some.
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

/// The command line with its environment variables.
fn command_line() -> clap::Command {
    variables::apply(Cli::command())
}

/// Parses the arguments; exits on wrong ones, and after a help text.
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
        Command::Provider(provider::Verb::List(args)) => provider::list(&api()?, &out, args).await,
        Command::Provider(provider::Verb::Show(args)) => provider::show(&api()?, &out, args).await,
        Command::Provider(provider::Verb::Set(args)) => provider::set(&api()?, &out, args).await,
        Command::Provider(provider::Verb::Delete(args)) => {
            provider::delete(&api()?, &out, args).await
        }

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
        Command::Channel(channel::Verb::DeletePreviousSecret(args)) => {
            channel::delete_previous_secret(&api()?, &out, args).await
        }
        Command::Channel(channel::Verb::Delete(args)) => channel::delete(&api()?, &out, args).await,

        Command::Key(key::Verb::Generate(args)) => key::generate(&api()?, &out, args).await,
        Command::Key(key::Verb::Assertion(args)) => key::assertion(&out, args),
        Command::Key(key::Verb::Register(args)) => key::register(&api()?, &out, args).await,
        Command::Key(key::Verb::List(args)) => key::list(&api()?, &out, args).await,
        Command::Key(key::Verb::Delete(args)) => key::delete(&api()?, &out, args).await,

        Command::Group(group::Verb::List(args)) => group::list(&api()?, &out, args).await,
        Command::Group(group::Verb::Set(args)) => group::set(&api()?, &out, args).await,
        Command::Group(group::Verb::Delete(args)) => group::delete(&api()?, &out, args).await,
        Command::Group(group::Verb::Rotate(args)) => rotate::rotate(&api()?, &out, args).await,

        Command::Token(token::Verb::Issue(args)) => token::issue(&api()?, &out, args).await,
        Command::Token(token::Verb::Verify(args)) => token::verify(&api()?, &out, args).await,
        Command::Token(token::Verb::List(args)) => token::list(&api()?, &out, args).await,
        Command::Token(token::Verb::Show(args)) => token::show(&api()?, &out, args).await,
        Command::Token(token::Verb::Explain(args)) => explain::explain(&api()?, &out, args).await,
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
            admin::reset(api, &out, args, remote.admin_token_file.clone()).await
        }
        Command::Admin(admin::Verb::Invite(args)) => admin::invite(api, &out, args).await,
        Command::Person(verb) => person::run(&api()?, &out, verb).await,
        Command::AdminToken(verb) => admin_tokens::run(&api()?, &out, verb).await,
        Command::Backup(args) => keeping::backup(&out, args),
        Command::Restore(args) => keeping::restore(&out, args),
        Command::Recover(args) => {
            keeping::recover(&out, args, remote.admin_token_file.clone()).await
        }
        Command::Migrate(args) => keeping::migrate(&out, args).await,
        Command::Move(args) => moving::run(&out, *args).await,

        Command::Audit(audit::Verb::List(args)) => audit::list(&api()?, &out, args).await,
        Command::Audit(audit::Verb::Export) => audit::export(&api()?).await,
        Command::Audit(audit::Verb::Verify(args)) => audit::verify(api, &out, args).await,
        Command::Audit(audit::Verb::Accept(args)) => audit::accept(&out, args).await,

        Command::Verifier(verb) => verifier::run(&api()?, &out, verb).await,
        Command::Receipt(receipt::Verb::Show(args)) => receipt::show(&api()?, &out, args).await,

        Command::Warning(warning::Verb::List(args)) => warning::list(&api()?, &out, args).await,
        Command::Warning(warning::Verb::SendTest) => warning::send_test(&api()?, &out).await,

        Command::Feed(feed::Verb::Conform(args)) => feed::conform(&out, args),

        Command::VerifyProxy(args) => verify_proxy::run(*args).await,
        Command::Agent(agent::Verb::Run(args)) => agent::run(args).await,
        Command::Agent(agent::Verb::Check(args)) => agent::check(&out, args).await,

        Command::Token(token::Verb::Inspect(args)) => inspect::inspect(api, &out, args).await,
        Command::Doctor(args) => doctor::run(&out, *args, remote.admin_token_file).await,
        Command::Man { folder } => man::write(command_line(), &folder, &out),
        Command::Completions { shell } => Output::own_text(&completions(shell)),
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
