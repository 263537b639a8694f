//! The packages for Python and Node.js: built from the sources, installed in fresh environments
//! and used there without a compiler. Their own tests, which are next to their sources, and the
//! worked examples of bots with LINE's unmodified SDKs run in these environments.
//!
//! `cargo xtask test` installs what they need. Without it these tests fail: a skipped test proves
//! nothing.

mod built;

use built::{built, parts, root};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

#[test]
fn the_package_for_python_passes_its_tests_in_a_fresh_environment() {
    let fresh = Python::fresh();
    fresh.pytest(&root().join("bindings/python/tests"));
}

#[test]
fn a_bot_on_lines_sdk_for_python_passes_its_tests_against_the_stand_in() {
    let fresh = Python::fresh();
    fresh.pytest(&root().join("examples/bots/python"));
    // The first test of a developer, as the page and the package's own page have it.
    for page in ["docs/book/src/python-and-node.md", "bindings/python/README.md"] {
        let test = fresh.folder.path().join("test_first.py");
        fs::write(&test, block(page, "python", "def test_")).expect("written");
        fresh.pytest(&test);
    }
}

#[test]
fn the_package_for_node_passes_its_tests_in_a_fresh_folder() {
    let fresh = Node::fresh();
    fresh.test(&root().join("bindings/node/test"));
}

#[test]
fn a_bot_on_lines_sdk_for_node_passes_its_tests_against_the_stand_in() {
    let fresh = Node::fresh();
    fresh.test(&root().join("examples/bots/node"));
    // The first test of a developer, as the page and the package's own page have it.
    for page in ["docs/book/src/python-and-node.md", "bindings/node/README.md"] {
        let first = tempfile::tempdir().expect("a folder");
        let test = block(page, "js", "withStandIn(");
        fs::write(first.path().join("first.test.js"), test).expect("written");
        fresh.test(first.path());
    }
}

/// A virtual environment with the package alone, and with a path to what the tests need.
struct Python {
    folder: TempDir,
}

impl Python {
    fn fresh() -> Self {
        let wheel = &built().wheel;
        let folder = tempfile::tempdir().expect("a folder");
        let it = Self { folder };
        let base = parts("bindings/bin/python");
        let at = it.folder.path().join("venv");
        run(Command::new(&base).args(["-m", "venv", "--without-pip"]).arg(&at));
        let pip = ["-m", "pip", "--disable-pip-version-check", "--python"];
        let install = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile"];
        let mut pip = with(Command::new(&base).args(pip).arg(it.program()), &install);
        run(pip.arg(wheel));
        let packages = "import site; print(site.getsitepackages()[0], end='')";
        let shown = |python: &Path| run(Command::new(python).args(["-c", packages]));
        let path = Path::new(&shown(&it.program())).join("parts.pth");
        fs::write(path, shown(&base)).expect("written");
        it
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("venv/bin/python")
    }

    fn pytest(&self, tests: &Path) {
        let mut command = Command::new(self.program());
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(tests);
        let bin = self.folder.path().join("venv/bin");
        println!("{}", run(clean(&mut command, self.folder.path(), &bin)));
    }
}

/// A folder with the package alone; what the tests need is found by a variable.
struct Node {
    folder: TempDir,
}

impl Node {
    fn fresh() -> Self {
        let archive = &built().archive;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("package.json"), "{}").expect("written");
        let install = ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(install).arg(archive).current_dir(folder.path()));
        Self { folder }
    }

    /// Runs the test files of a folder, copied: from the sources, the name of the package would
    /// lead to the sources.
    fn test(&self, tests: &Path) {
        let copied = self.folder.path().join("copied");
        if copied.exists() {
            fs::remove_dir_all(&copied).expect("removed");
        }
        fs::create_dir(&copied).expect("made");
        let mut command = Command::new(parts("node/node_modules/.bin/node"));
        command.args(["--test", "--test-concurrency=2"]);
        for entry in fs::read_dir(tests).expect("a folder") {
            let file = entry.expect("a file").path();
            let copy = copied.join(file.file_name().expect("a name"));
            fs::copy(&file, &copy).expect("copied");
            if copy.to_string_lossy().ends_with(".test.js") {
                command.arg(copy);
            }
        }
        let own = self.folder.path().join("node_modules");
        let others = parts("bindings-node/node_modules");
        let bin = own.join(".bin");
        let command = clean(&mut command, self.folder.path(), &bin);
        let path = std::env::join_paths([own, others]).expect("a path");
        println!("{}", run(command.env("NODE_PATH", path)));
    }
}

/// A command that finds no compiler, and has no settings of this machine's.
fn clean<'a>(command: &'a mut Command, folder: &Path, path: &Path) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["TEGATA_", "OTEL_", "PYTEST_", "NODE_"].iter().any(|it| text.starts_with(it)) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("PATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TESTDATA", root().join("testdata/feed"))
}

fn with(command: &mut Command, words: &[&str]) -> Command {
    let mut longer = Command::new(command.get_program());
    longer.args(command.get_args()).args(words);
    longer
}

/// Runs a command; returns its output, or fails with it.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{errors}", output.status);
    printed
}

/// The block of code on a page, in this language, that contains `text`.
fn block(page: &str, language: &str, text: &str) -> String {
    let page = fs::read_to_string(root().join(page)).expect(page);
    let begin = format!("```{language}\n");
    let mut blocks = page.split(&begin).skip(1).filter_map(|it| it.split_once("```"));
    let found = blocks.find(|(code, _)| code.contains(text));
    found.expect("the page has such a block").0.to_owned()
}
