//! What `tegata doctor` says of a database that is not as it should be.

use crate::{Field, wall::Wall};
use postgres_fixture::{PostgresServer, ReservedPort, ServerSettings, until};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

impl Field<'_> {
    /// What it prints with another address, or with other variables.
    fn doctor_with(&self, change: impl FnOnce(&mut Command)) -> String {
        let mut command = self.command_of("a", &["doctor"]);
        change(&mut command);
        let out = command.output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// Asserts that it reports a problem, and the next step.
#[track_caller]
fn advises(said: &str, what: &str, next_step: &str) {
    let found = said
        .lines()
        .zip(said.lines().skip(1))
        .any(|(line, next)| line.contains(what) && next.contains("=>") && next.contains(next_step));
    assert!(found, "no {what:?} with {next_step:?} in {said}");
}

fn reload(postgres: &PostgresServer, settings: &[&str]) {
    for it in settings {
        postgres.sql("postgres", it).unwrap();
    }
    postgres.sql("postgres", "SELECT pg_reload_conf()").unwrap();
}

#[test]
fn a_wrong_password_a_host_that_is_not_let_in_and_a_database_that_is_not_there_are_distinguished() {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let field = Field::on(&postgres);
    let port = postgres.port();
    let at = |user: &str, database: &str| {
        format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable")
    };
    postgres.sql("postgres", "ALTER ROLE tegata PASSWORD 'the-right-one'").unwrap();
    postgres.sql("postgres", "CREATE ROLE stranger LOGIN").unwrap();
    let file = postgres.ask("postgres", "SHOW hba_file").unwrap()[0][0].clone().unwrap();
    let lines = format!(
        "COPY (VALUES ('host all tegata 127.0.0.1/32 scram-sha-256'),
             ('host all stranger 127.0.0.1/32 reject'), ('host all all 127.0.0.1/32 trust'))
         TO '{file}'"
    );
    reload(&postgres, &[&lines]);
    let named = format!("/{}", field.database);
    // The settings are read again a moment later.
    let refused = || field.doctor_with(|_| {}).contains("refuses the password").then_some(());
    until(refused).expect("it asks for a password");
    advises(&field.doctor_with(|_| {}), "refuses the password", "--store-password-file");
    let password = |text: &str| -> PathBuf {
        let file = field.home.path().join("password");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    };
    let with = |text: &str| {
        let file = password(text);
        field.doctor_with(|it| {
            it.env("TEGATA_STORE_PASSWORD_FILE", file);
        })
    };
    let said = with("a-wrong-one");
    advises(&said, "refuses the password", "ALTER ROLE");
    assert!(!said.contains("a-wrong-one"), "{said}");
    assert!(with("the-right-one").contains("PostgreSQL 15"), "{}", with("the-right-one"));
    let store = |url: String| {
        field.doctor_with(|it| {
            it.env("TEGATA_STORE", url);
        })
    };
    advises(&store(at("stranger", &named[1..])), "does not let this user in", "pg_hba.conf");
    advises(&store(at("postgres", "nosuch")), "there is no such database", "createdb");
    let port = ReservedPort::new().unwrap();
    let silent = format!("postgres://tegata@{}/t?sslmode=disable", port.at());
    advises(&store(silent), "the database cannot be reached", "see that it runs");
}

#[test]
fn a_clock_that_is_off_the_databases_is_reported_by_how_far() {
    let field = Field::new();
    let at = |moment: &str| {
        field.doctor_with(|it| {
            Wall::of(it, field.home.path(), moment);
        })
    };
    assert!(at("+0").contains("the database's clock and this machine's agree"));
    let said = at("+60");
    advises(&said, "s apart", "synchronise both with NTP");
    assert!(said.contains("WARNING  clock   the database's clock"), "{said}");
    let said = at("-600");
    advises(&said, "s apart", "synchronise both with NTP");
    assert!(said.contains("WRONG    clock   the database's clock"), "{said}");
}

#[test]
fn commits_that_can_be_lost_are_reported_and_those_that_wait_for_a_standby_are_not() {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let field = Field::on(&postgres);
    let said = || field.doctor_with(|_| {});
    advises(&said(), "does not make commits durable (fsync is off)", "fsync = on");
    reload(&postgres, &["ALTER ROLE tegata SET synchronous_commit = off"]);
    advises(&said(), "synchronous_commit is off", "ALTER ROLE");
    reload(&postgres, &["ALTER ROLE tegata RESET synchronous_commit"]);
    assert!(!said().contains("standby"), "{}", said());

    let missing = "commits wait for a standby that synchronous_standby_names demands, and none";
    reload(&postgres, &["ALTER SYSTEM SET synchronous_standby_names = 'gone'"]);
    until(|| said().contains(missing).then_some(())).unwrap_or_else(|| panic!("{}", said()));
    advises(&said(), missing, "database-down.md");
    reload(&postgres, &["ALTER SYSTEM RESET synchronous_standby_names"]);
    until(|| (!said().contains(missing)).then_some(())).unwrap_or_else(|| panic!("{}", said()));
    let port = postgres.add_standby().unwrap();
    let what = "1 standby follows the database, and commits wait for none";
    advises(&said(), what, "synchronous_standby_names");
    reload(&postgres, &["ALTER SYSTEM SET synchronous_standby_names = '*'"]);
    let waits = || said().contains("1 standby follows the database, and commits wait for one");
    until(|| waits().then_some(())).unwrap_or_else(|| panic!("{}", said()));
    // Before, since it would wait as well.
    reload(&postgres, &["GRANT pg_monitor TO tegata"]);
    reload(&postgres, &["ALTER SYSTEM SET synchronous_standby_names = 'gone'"]);
    until(|| said().contains(missing).then_some(())).unwrap_or_else(|| panic!("{}", said()));
    reload(&postgres, &["ALTER SYSTEM SET synchronous_standby_names = '*'"]);
    until(|| waits().then_some(())).unwrap_or_else(|| panic!("{}", said()));
    // It follows, and has not applied what a commit waits for.
    postgres.ask_standby(&port, "SELECT pg_wal_replay_pause()").unwrap();
    std::thread::scope(|scope| {
        let commit = "SET synchronous_commit = remote_apply; CREATE TABLE slow ()";
        let waiting = scope.spawn(|| postgres.sql(&field.database, commit));
        let slow = "1 commit waits for longer than a second for a standby that \
                    synchronous_standby_names demands: it is missing or slow (1 standby follows";
        let seen = until(|| said().contains(slow).then_some(()));
        postgres.ask_standby(&port, "SELECT pg_wal_replay_resume()").unwrap();
        waiting.join().unwrap().unwrap();
        seen.unwrap_or_else(|| panic!("{}", said()));
    });
    reload(&postgres, &["ALTER ROLE tegata SET synchronous_commit = local"]);
    advises(&said(), what, "synchronous_commit = on");
    reload(&postgres, &["ALTER ROLE tegata RESET synchronous_commit"]);
    let of_standby = field.doctor_with(|it| {
        let database = &field.database;
        let url = format!("postgres://tegata@{}/{database}?sslmode=disable", port.at());
        it.env("TEGATA_STORE", url);
    });
    advises(&of_standby, "this database is a standby", "name the primary server");
}

#[test]
fn a_database_whose_encoding_lacks_characters_is_reported() {
    let mut field = Field::new();
    let (server, name) = (field.postgres, format!("{}_euc", field.database));
    let sql = format!(
        "CREATE DATABASE {name} OWNER tegata ENCODING 'EUC_JP' LOCALE 'C' TEMPLATE template0"
    );
    server.sql("postgres", &sql).unwrap();
    field.database = name;
    advises(&field.doctor("a"), "the encoding of the database is EUC_JP", "ENCODING 'UTF8'");
}
