//! A packaged unit under a systemd that runs as the first process of namespaces of its own.
//! Shared by the test programs beside this folder.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

pub(crate) fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(path)
}

/// All that a command printed.
pub(crate) fn words(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// What is on the machine besides systemd.
pub(crate) struct Boot<'a> {
    /// A folder that it shares with the test; its file `said` gets what the service prints.
    pub home: &'a Path,
    /// The unit's name without `.service`, and the service's user.
    pub name: &'a str,
    /// Files of `home` that are copied to `/etc/tegata`.
    pub config: &'a str,
    /// Lines of a drop-in for the unit's section `[Service]`.
    pub service: &'a str,
}

/// systemd in namespaces of its own; all processes in them are killed with it.
pub(crate) struct Machine {
    unshare: Child,
    cgroup: PathBuf,
    name: String,
    /// The kinds of its namespaces, as options.
    spaces: Vec<&'static str>,
}

impl Machine {
    /// Boots the machine outside once more, with one unit and nothing else.
    pub(crate) fn boot(boot: &Boot<'_>) -> Self {
        fs::create_dir(boot.home.join("over")).expect("made");
        let mut script = Command::new("sh");
        script
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/boot.sh"))
            .env("HOME_OF_TEST", boot.home)
            .env("NAME", boot.name)
            .env("CONFIG", boot.config)
            .env("SERVICE", boot.service)
            .env("UNIT", packaged(&format!("systemd/{}.service", boot.name)))
            .env("TEGATA", env!("CARGO_BIN_EXE_tegata"));
        let spaces = ["--pid", "--mount", "--cgroup", "--ipc", "--uts"];
        Self::start(&script, &spaces, boot.name)
    }

    /// Runs `script`, which starts systemd in the end, in these namespaces of its own.
    pub(crate) fn start(script: &Command, spaces: &[&'static str], name: &str) -> Self {
        let cgroup = own_cgroup().join(format!("tegata-test-{}-{name}", std::process::id()));
        fs::create_dir(&cgroup).expect("a cgroup: run this as root");
        let procs = cgroup.join("cgroup.procs");
        // Into its cgroup before its namespaces are made, so that those begin there.
        // All of it is killed with the test, even if the test is killed.
        let mut joined = Command::new("setpriv");
        joined.args(["--pdeathsig", "KILL", "sh"]);
        joined.args(["-c", "echo $$ > \"$PROCS\"; exec \"$@\"", "sh"]).env("PROCS", procs);
        joined.arg("unshare").args(spaces).args(["--fork", "--mount-proc", "--kill-child"]);
        joined.arg(script.get_program()).args(script.get_args());
        joined.envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let unshare = joined.stdin(Stdio::null()).process_group(0).spawn().expect("unshare");
        Self { unshare, cgroup, name: name.to_owned(), spaces: spaces.to_vec() }
    }

    /// The id of the first process in there.
    pub(crate) fn first(&self) -> String {
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.unwrap_or_default().trim().to_owned()
    }

    /// A command that runs in there, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first()]).args(&self.spaces).arg(program);
        command
    }

    /// `systemctl` in there. While systemd is not up yet it fails.
    pub(crate) fn systemctl(&self, words: &[&str]) -> Output {
        let mut command = self.command("systemctl");
        command.args(words).env("SYSTEMD_IGNORE_CHROOT", "1").output().expect("nsenter")
    }

    /// The state of the unit that the machine is named after.
    pub(crate) fn unit(&self) -> HashMap<String, String> {
        self.state(&self.name)
    }

    /// The state of a unit.
    pub(crate) fn state(&self, unit: &str) -> HashMap<String, String> {
        let shown = self.systemctl(&[
            "show",
            unit,
            "--property=ActiveState,SubState,MainPID,NRestarts,StatusText,Result",
        ]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub(crate) fn kill(&self, signal: &str) {
        let done = self.systemctl(&["kill", "--kill-who=main", "--signal", signal, &self.name]);
        assert!(done.status.success(), "{}", words(&done));
    }

    /// Where a file in there is for this process.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.first()).into()
    }

    /// A file as it is in there.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its child, the first process in there, gets the same, and takes all with it.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let mut left = 100;
        while left > 0 && !remove(&self.cgroup) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            left -= 1;
        }
    }
}

/// Removes a cgroup and those below; `false` while anything runs in one.
fn remove(cgroup: &Path) -> bool {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    let below = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
    let busy = below.filter(|it| !remove(&it.path())).count();
    busy == 0 && fs::remove_dir(cgroup).is_ok()
}

/// Where this process is in the hierarchy that systemd uses.
fn own_cgroup() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = fields.into_iter().find(|it| it[2] == "cgroup2").expect("cgroup2 is mounted");
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroups");
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("in cgroup2");
    Path::new(mount[1]).join(path)
}

/// Asserts that systemd accepts a packaged unit and finds it little exposed: at most
/// `tenths` tenths of a point of 10.
pub(crate) fn is_valid_and_little_exposed(unit: &str, folder: &Path, tenths: u32) {
    let file = folder.join(unit);
    let text = fs::read_to_string(packaged(&format!("systemd/{unit}"))).expect("it");
    // The test does not install the program.
    fs::write(&file, text.replace("/usr/bin/tegata ", "/bin/true ")).expect("written");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output();
    let verified = verified.expect("systemd-analyze");
    let said = words(&verified);
    assert!(verified.status.success() && !said.contains(&format!("{unit}:")), "{said}");
    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", &format!("--threshold={tenths}")])
        .arg(&file)
        .output()
        .expect("systemd-analyze");
    assert!(exposed.status.success(), "{}", words(&exposed));
}
