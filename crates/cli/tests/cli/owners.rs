//! Commands that root runs beside a server of another user leave every file to that user.
//! Without the rights of root, the first tests only show that no owner changes, and the last fail.

use crate::program::{Home, Server, finish};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

const USER: u32 = 65_534;

/// The user that servers run as here.
fn user(home: &Home) -> u32 {
    let _ = chown(home.path(""), Some(USER), Some(USER));
    fs::metadata(home.path("")).unwrap().uid()
}

fn start(home: &Home, user: u32) -> Server {
    let mut command =
        home.tegata(&["serve", "--listen", "127.0.0.1:0", "--revocation-journal", "log"]);
    as_user(&mut command, user);
    Server::start(&mut command)
}

fn as_user(command: &mut Command, user: u32) {
    if fs::metadata("/proc/self").unwrap().uid() != user {
        command.uid(user).gid(user);
    }
}

#[track_caller]
fn all_belong_to(home: &Home, user: u32, after: &str) {
    for entry in fs::read_dir(home.path("")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        assert_eq!(entry.metadata().unwrap().uid(), user, "{} after {after}", name.display());
    }
}

#[test]
fn what_root_does_beside_a_server_of_another_user_leaves_that_user_every_file() {
    let home = Home::new();
    let user = user(&home);
    let server = start(&home, user);
    let list = |server: &Server| {
        let mut command = home.tegata(&["provider", "list"]);
        command.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
        finish(&mut command).expect(0);
    };
    let run = |words: &[&str]| {
        home.run(words).expect(0);
        all_belong_to(&home, user, &words.join(" "));
    };
    all_belong_to(&home, user, "the first start");
    run(&["admin", "reset"]);
    list(&server);
    run(&["backup", "copy.db"]);
    let mut rotate = home.tegata(&["master-key", "rotate"]);
    rotate.env("TEGATA_URL", &server.url).env("TEGATA_ADMIN_TOKEN_FILE", "admin.token");
    finish(&mut rotate).expect(0);
    assert!(server.stop().success());
    run(&["master-key", "rotate"]);
    run(&["backup", "newer.db"]);
    run(&["migrate"]);
    run(&["audit", "verify", "--store", "sqlite:tegata.db"]);
    run(&["doctor", "--listen", "127.0.0.1:0"]);
    run(&["restore", "newer.db"]);
    fs::remove_file(home.path("tegata.db.lock")).unwrap();
    fs::remove_file(home.path("log")).unwrap();
    run(&["recover", "--revoke-everything", "--revocation-journal", "log"]);
    run(&["audit", "accept"]);
    run(&["admin", "reset"]);
    fs::remove_file(home.path("admin.token")).unwrap();
    run(&["admin", "reset"]);
    let server = start(&home, user);
    list(&server);
    assert_eq!(server.status("/readyz"), 200);
    assert!(server.stop().success());
    let store = home.path("tegata.db");
    fs::set_permissions(&store, PermissionsExt::from_mode(0o640)).unwrap();
    run(&["backup", "third.db"]);
    run(&["restore", "third.db"]);
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn links_that_an_operator_made_are_followed_by_every_command() {
    let home = Home::new();
    assert!(home.serve(&[]).stop().success());
    fs::create_dir(home.path("elsewhere")).unwrap();
    let names = ["master.key", "admin.token", "tegata.db.guard", "tegata.db.guard.audit"];
    for name in names {
        fs::rename(home.path(name), home.path("elsewhere").join(name)).unwrap();
        symlink(Path::new("elsewhere").join(name), home.path(name)).unwrap();
    }
    home.run(&["admin", "reset"]).expect(0);
    home.run(&["master-key", "rotate"]).expect(0);
    home.run(&["backup", "copy.db"]).expect(0);
    home.run(&["restore", "copy.db"]).expect(0);
    home.run(&["recover", "--revoke-everything"]).expect(0);
    assert!(home.serve(&[]).stop().success());
    for name in names {
        let link = fs::symlink_metadata(home.path(name)).unwrap();
        assert!(link.is_symlink(), "{name} is no link any more");
    }
}

#[test]
fn a_master_key_in_a_volume_of_kubernetes_is_roots_and_readable_by_the_group_alone() {
    let home = Home::new();
    let user = user(&home);
    assert!(start(&home, user).stop().success());
    // A secret's volume with `fsGroup`: links to files of root, which the group may read.
    let volume = tempfile::tempdir().unwrap();
    fs::set_permissions(volume.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let key = volume.path().join("..2026").join("master.key");
    fs::create_dir(key.parent().unwrap()).unwrap();
    fs::copy(home.path("master.key"), &key).unwrap();
    fs::remove_file(home.path("master.key")).unwrap();
    symlink("..2026", volume.path().join("..data")).unwrap();
    symlink("..data/master.key", volume.path().join("master.key")).unwrap();
    let named = volume.path().join("master.key");
    let serve = |mode: u32| {
        fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let mut command = home.tegata(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--rollback-guard-file", "tegata.db.guard", "--revocation-journal", "log"]);
        command.args(["--admin-token-file", "admin.token", "--master-key-file"]).arg(&named);
        as_user(&mut command, user);
        command
    };
    chown(&key, Some(0), Some(user)).expect("run this as root: a file of root's is made");
    for mode in [0o440, 0o640] {
        assert!(Server::start(&mut serve(mode)).stop().success(), "{mode:o}");
    }
    for (mode, said) in [(0o444, "chmod 640"), (0o660, "chmod 640"), (0o400, "Permission denied")] {
        let done = finish(&mut serve(mode));
        assert!(done.code != 0 && done.err.contains(said), "{mode:o}: {done:?}");
    }
}

#[test]
fn doctor_compares_the_owners_of_all_files_beside_the_store() {
    let home = Home::new();
    let user = user(&home);
    assert!(start(&home, user).stop().success());
    for name in ["admin.token", "tegata.db.guard.audit", "tegata.db.server"] {
        let path = home.path(name);
        chown(&path, Some(USER - 1), None).expect("run this as root: a file is given away");
        let said = home.run(&["doctor", "--listen", "127.0.0.1:0"]).expect(1);
        let advice =
            |line: &str| line.contains(&format!("run: chown {user} ")) && line.ends_with(name);
        assert!(said.lines().any(advice), "{name}: {said}");
        chown(&path, Some(user), None).unwrap();
    }
}
