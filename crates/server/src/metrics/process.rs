//! Metrics of the process, read from `/proc` on request, under the names that
//! Prometheus's client libraries use.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

/// The values from `/proc`; 0 where it has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    /// Resident memory in bytes.
    pub resident: u64,
    /// Address space in bytes.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Maximum number of open file descriptors.
    pub max_fds: u64,
    /// The start time, as a Unix time in seconds.
    pub started: f64,
    /// Processor time used, in seconds.
    pub cpu: f64,
}

impl Process {
    /// Reads the values. Accesses no disk.
    #[must_use]
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // After the name, which can contain anything: fields 3 and on (proc(5)).
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, cooldown)| {
                cooldown.split_whitespace().map(|it| it.parse().unwrap_or(0)).collect()
            })
            .unwrap_or_default();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        Self {
            resident: resident(),
            virtual_bytes: field(23),
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64),
            max_fds: most_fds(),
            started: boot_time() + field(22) as f64 / TICKS,
            cpu: (field(14) + field(15)) as f64 / TICKS,
        }
    }
}

/// Ticks per second. The kernel reports times to programs in these, whatever its own
/// ticks are (`USER_HZ`).
const TICKS: f64 = 100.0;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn most_fds() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(0)
}

/// When the machine was started, by both clocks: the packaged unit hides `/proc/stat`. Read once,
/// since a wall clock that is corrected later would move it.
fn boot_time() -> f64 {
    static AT: OnceLock<f64> = OnceLock::new();
    *AT.get_or_init(|| {
        let seconds = |clock| {
            let now = clock_gettime(clock);
            now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
        };
        seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
    })
}

/// The registered metrics.
pub(super) struct Gauges {
    resident: Gauge,
    virtual_bytes: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    started: Gauge<f64, AtomicU64>,
    cpu: Counter<f64, AtomicU64>,
}

impl Gauges {
    pub fn register(registry: &mut Registry) -> Self {
        let mut whole = |name: &str, help: &str| {
            let gauge = Gauge::<i64, AtomicI64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let resident = whole("process_resident_memory_bytes", "Resident memory size in bytes");
        let virtual_bytes = whole("process_virtual_memory_bytes", "Virtual memory size in bytes");
        let open_fds = whole("process_open_fds", "Number of open file descriptors");
        let max_fds = whole("process_max_fds", "Maximum number of open file descriptors");
        let started = Gauge::default();
        let help = "Start time of the process since the Unix epoch in seconds";
        registry.register("process_start_time_seconds", help, started.clone());
        let cpu = Counter::default();
        let help = "User and system processor time in seconds";
        registry.register("process_cpu_seconds", help, cpu.clone());
        Self { resident, virtual_bytes, open_fds, max_fds, started, cpu }
    }

    pub fn set(&self, now: &Process) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.resident.set(whole(now.resident));
        self.virtual_bytes.set(whole(now.virtual_bytes));
        self.open_fds.set(whole(now.open_fds));
        self.max_fds.set(whole(now.max_fds));
        self.started.set(now.started);
        self.cpu.inner().store(now.cpu.to_bits(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compared with the machine's own clock")]
    fn the_figures_of_this_process_are_plausible() {
        let now = Process::read();
        assert!((1 << 20..1 << 40).contains(&now.resident), "{now:?}");
        assert!(now.virtual_bytes >= now.resident, "{now:?}");
        assert!(now.open_fds >= 3 && now.max_fds >= now.open_fds, "{now:?}");
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = clock.as_secs_f64() - now.started;
        assert!((-2.0..86_400.0).contains(&age), "{now:?}");
        assert!((0.0..86_400.0).contains(&now.cpu), "{now:?}");
    }
}
