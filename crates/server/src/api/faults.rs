//! Faults that a development server is to simulate: an error instead of the next answers,
//! late or at once.

use serde::{Deserialize, Serialize};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What is wrong with a request for a fault, and what to send.
const ADVICE: &str = "send {\"status\": 429, 500 or 503, \"delay_ms\": 0 to 60000, \"count\": 1 to \
                      1000000, \"path\": \"/…\" (optional)}";

/// The paths that no fault concerns: by them, faults are set and cleared.
const FREE: &str = "/dev/";

/// The maximum number of faults at a time.
const MOST: usize = 100;

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The status of the responses.
    status: u16,
    /// How long each response takes.
    #[serde(default)]
    delay_ms: u32,
    /// How many answers are still to come.
    #[serde(default = "one")]
    count: u32,
    /// The beginning of the paths that are affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

fn one() -> u32 {
    1
}

/// A response that a fault prescribes.
#[derive(Debug, PartialEq, Eq)]
pub struct FaultyAnswer {
    /// Its status.
    pub status: u16,
    /// How long it takes.
    pub delay: Duration,
}

impl Fault {
    /// Reads a fault from JSON.
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let fault: Self = serde_json::from_slice(body).map_err(|_| ADVICE)?;
        let is_good = matches!(fault.status, 429 | 500 | 503)
            && fault.delay_ms <= 60_000
            && (1..=1_000_000).contains(&fault.count)
            && fault.path.as_ref().is_none_or(|it| it.starts_with('/') && it.len() <= 256);
        if is_good { Ok(fault) } else { Err(ADVICE) }
    }

    /// Without a path, the probes and the metrics are not affected.
    fn concerns(&self, path: &str) -> bool {
        match &self.path {
            Some(begin) => path.starts_with(begin.as_str()),
            None => !matches!(path, "/livez" | "/readyz" | "/metrics"),
        }
    }
}

/// The faults of a server, in their order.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault; returns all.
    pub fn add(&self, fault: Fault) -> Result<Vec<Fault>, &'static str> {
        let mut all = self.lock();
        if all.len() == MOST {
            return Err("there are 100 faults; clear them with DELETE");
        }
        all.push(fault);
        Ok(all.clone())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The faults still to come.
    pub fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Removes all faults.
    pub fn clear(&self) -> Vec<Fault> {
        self.lock().clear();
        Vec::new()
    }

    /// Takes the response to a request for `path`, if a fault prescribes one.
    pub fn take(&self, path: &str) -> Option<FaultyAnswer> {
        if path.starts_with(FREE) {
            return None;
        }
        let mut all = self.lock();
        let at = all.iter().position(|it| it.concerns(path))?;
        let fault = &mut all[at];
        fault.count -= 1;
        let delay = Duration::from_millis(fault.delay_ms.into());
        let response = FaultyAnswer { status: fault.status, delay };
        if fault.count == 0 {
            all.remove(at);
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        Fault::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn faults_apply_in_their_order_to_the_paths_that_they_name_and_so_often() {
        let faults = Faults::default();
        faults.add(fault(r#"{"status":503,"count":2,"path":"/oauth2/"}"#)).unwrap();
        faults.add(fault(r#"{"status":500,"delay_ms":7}"#)).unwrap();
        let taken = |path| faults.take(path).map(|it| (it.status, it.delay.as_millis()));
        for free in ["/dev/clock", "/dev/faults", "/livez", "/readyz", "/metrics"] {
            assert_eq!(taken(free), None, "{free}");
        }
        assert_eq!(taken("/oauth2/v3/token"), Some((503, 0)));
        assert_eq!(taken("/v2/oauth/verify"), Some((500, 7)));
        assert_eq!(taken("/v2/oauth/verify"), None);
        assert_eq!(faults.list().len(), 1);
        assert_eq!(taken("/oauth2/v3/token"), Some((503, 0)));
        assert_eq!(taken("/oauth2/v3/token"), None);
        faults.add(fault(r#"{"status":429,"path":"/livez"}"#)).unwrap();
        assert_eq!(taken("/livez"), Some((429, 0)));
        faults.add(fault(r#"{"status":429}"#)).unwrap();
        assert!(faults.clear().is_empty() && taken("/v2/oauth/verify").is_none());
    }

    #[test]
    fn a_fault_that_cannot_be_meant_is_refused_with_what_to_send() {
        for bad in [
            "",
            "{}",
            r#"{"status":200}"#,
            r#"{"status":503,"count":0}"#,
            r#"{"status":503,"count":-1}"#,
            r#"{"status":503,"delay_ms":60001}"#,
            r#"{"status":503,"path":"oauth2"}"#,
            r#"{"status":503,"x":1}"#,
        ] {
            assert!(Fault::parse(bad.as_bytes()).unwrap_err().contains("\"status\""), "{bad}");
        }
    }
}
