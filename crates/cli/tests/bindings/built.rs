//! Builds both packages, once for all tests.

#[path = "../../../xtask/src/package.rs"]
mod package;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The packages.
pub(crate) struct Built {
    pub(crate) wheel: PathBuf,
    pub(crate) archive: PathBuf,
}

/// The packages, with the program under test inside.
pub(crate) fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings");
        if to.exists() {
            fs::remove_dir_all(&to).expect("removed");
        }
        fs::create_dir_all(&to).expect("made");
        let program = Path::new(env!("CARGO_BIN_EXE_tegata"));
        let profile = program.parent().expect("a folder");
        let stripped = stripped(program, &to.join("tegata"));
        let mut maturin = Command::new(parts("bindings/bin/maturin"));
        maturin.env("CARGO", cargo(&to, profile.parent().expect("a target folder")));
        let options = ["--profile", "dev", "--compatibility", "linux"];
        let wheel = package::wheel(root(), &stripped, &to.join("python"), maturin, &options);
        let wheel = wheel.expect("the wheel is built");
        let library = stripped_library(profile, &to);
        let archive = package::archive(root(), &stripped, &library, &to.join("node"));
        Built { wheel, archive: archive.expect("the archive is packed") }
    })
}

fn stripped_library(profile: &Path, to: &Path) -> PathBuf {
    stripped(&profile.join("libtegata_node.so"), &to.join("tegata.node"))
}

/// A copy without debug information, which is most of it.
fn stripped(file: &Path, to: &Path) -> PathBuf {
    let status = Command::new("objcopy").arg("--strip-all").args([file, to]).status();
    assert!(status.expect("start objcopy").success(), "objcopy {}", file.display());
    to.to_owned()
}

/// A program for maturin to compile with. It compiles the native modules of both packages with
/// the features that all tests are compiled with, and without the settings by which maturin names
/// an interpreter: so nothing is compiled twice.
fn cargo(to: &Path, target: &Path) -> PathBuf {
    let file = to.join("cargo");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let text = format!(
        "#!/bin/sh\n\
         [ \"$1\" = rustc ] || exec '{cargo}' \"$@\"\n\
         unset $(env | sed -n 's/^\\(PYO3_[A-Z_]*\\|PYTHON_SYS_EXECUTABLE\\)=.*/\\1/p')\n\
         exec '{cargo}' build --workspace --lib --example messaging_api --locked \\\n  \
         --message-format=json-render-diagnostics --target-dir '{}'\n",
        target.display()
    );
    fs::write(&file, text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made executable");
    file
}

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.canonicalize().expect("the workspace")
    })
}

/// A file among what `cargo xtask test` installs.
pub(crate) fn parts(path: &str) -> PathBuf {
    let path = root().join("target/test-parts").join(path);
    let missing = "run `cargo xtask test`, which installs what the packages' tests need";
    assert!(path.exists(), "{} is missing: {missing}", path.display());
    path
}
