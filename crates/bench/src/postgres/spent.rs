//! Processor time of the parts of a measurement, from the kernel's accounting.

use std::fs;

use anyhow::Context as _;

/// Seconds of processor time that each part has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) servers: f64,
    pub(super) postgres: f64,
    /// This process, and pgbench.
    pub(super) clients: f64,
    /// Everything on the machine.
    pub(super) machine: f64,
}

impl Spent {
    /// What was used since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            servers: self.servers - before.servers,
            postgres: self.postgres - before.postgres,
            clients: self.clients - before.clients,
            machine: self.machine - before.machine,
        }
    }

    /// The part of each of `count` acts.
    pub(super) fn per(self, count: f64) -> Self {
        Self {
            servers: self.servers / count,
            postgres: self.postgres / count,
            clients: self.clients / count,
            machine: self.machine / count,
        }
    }

    /// What other programs used.
    pub(super) fn others(&self) -> f64 {
        (self.machine - self.servers - self.postgres - self.clients).max(0.0)
    }
}

/// Ticks of the kernel's clock in a second: 100 on every Linux.
const TICKS: f64 = 100.0;

/// Seconds that a process used; 0 if it has exited. With `children` also those of its
/// children that it has waited for.
pub(super) fn of_process(id: u32, children: bool) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces.
    let after = stat.rsplit_once(") ").map_or("", |it| it.1);
    let fields = after.split(' ').skip(11).take(if children { 4 } else { 2 });
    fields.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Seconds in which a core was not idle, time taken by other virtual machines left out.
pub(super) fn of_machine() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().and_then(|it| it.strip_prefix("cpu "));
    let fields: Vec<f64> = line
        .context("no line for all cores in /proc/stat")?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|&at| fields.get(at)).sum::<f64>();
    Ok(busy / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopwatch;

    #[test]
    fn what_this_process_uses_is_counted_as_its_own_and_the_machines() {
        let (own, machine) = (of_process(std::process::id(), true), of_machine().unwrap());
        let began = stopwatch();
        while began.elapsed().as_secs_f64() < 0.3 {
            std::hint::black_box(0);
        }
        let used = of_process(std::process::id(), true) - own;
        assert!(used > 0.05, "{used}");
        assert!(of_machine().unwrap() - machine > 0.05);
        assert_eq!(of_process(u32::MAX, true), 0.0);
    }
}
