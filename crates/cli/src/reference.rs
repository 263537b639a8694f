//! The book's pages about the command line and the settings, generated from the
//! commands' help texts. `cargo xtask reference` writes them; the tests only compare.

use clap::{Arg, Command};
use std::{fmt::Write, fs, path::Path};

pub const HEAD: &str = "<!-- Written by `cargo xtask reference`; do not edit. -->\n";

#[test]
fn the_pages_about_the_command_line_and_its_settings_are_up_to_date() {
    check("command-line.md", &command_line());
    check("configuration.md", &configuration());
}

/// Compares a page with the one in the book, or writes it.
pub fn check(name: &str, page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src/reference");
    let path = folder.join(name);
    if std::env::var_os("TEGATA_WRITE_REFERENCE").is_some() {
        fs::write(&path, page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{name} differs from the help texts; run: cargo xtask reference");
}

/// Makes the help texts independent of the terminal and the environment.
fn steady(command: Command) -> Command {
    command
        .term_width(90)
        .mut_args(|arg| arg.hide_env_values(true))
        .mut_subcommands(|sub| if sub.get_name() == "help" { sub } else { steady(sub) })
}

fn command_line() -> String {
    let mut page = format!("{HEAD}# Command line\n\nNoun, then verb. `-o json` is stable.\n");
    let mut root = steady(crate::command_line());
    root.build();
    describe(&mut root, &mut page);
    page
}

fn describe(command: &mut Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim()).unwrap();
    for sub in command.get_subcommands_mut() {
        if sub.get_name() != "help" && !sub.is_hide_set() {
            describe(sub, page);
        }
    }
}

fn configuration() -> String {
    let mut page = format!(
        "{HEAD}# Configuration\n\nA setting of `tegata serve` is taken from its flag, else from the \
         environment, else from\n`tegata.toml` (or the file of `--config`). A variable that is \
         empty counts as unset. An\nunknown key in the file is an error. `tegata serve --config \
         FILE` names another file.\n\n\
         | flag | environment | key | default | meaning |\n|---|---|---|---|---|\n"
    );
    let root = crate::command_line();
    let serve = root.find_subcommand("serve").unwrap();
    for arg in serve.get_arguments() {
        let code = |it: Option<&str>| it.map_or("–".to_owned(), |it| format!("`{it}`"));
        let flag = arg.get_long().map(|it| format!("--{it}"));
        let variable = arg.get_env().and_then(|it| it.to_str());
        let key = Some(arg.get_id().as_str()).filter(|it| *it != "config");
        let default = arg.get_default_values().first().and_then(|it| it.to_str());
        let [flag, variable, key, default] = [flag.as_deref(), variable, key, default].map(code);
        writeln!(page, "| {flag} | {variable} | {key} | {default} | {} |", meaning(arg)).unwrap();
    }
    page
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let words = help.map(ToString::to_string).unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
