//! Elapsed time, for the output of long tasks.

use std::time::{Duration, Instant};

/// The current time of the steady clock.
#[expect(clippy::disallowed_methods, reason = "progress is shown in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Formats a duration: `3 min 20 s`.
pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn little_is_compiled_before_the_first_line_of_output() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let names: Vec<_> = manifest["dependencies"].as_table().unwrap().keys().collect();
        assert_eq!(names, ["anyhow", "serde_json", "toml"]);
    }
}
