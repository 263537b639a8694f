//! Report of a run: measured figures, and the aims that they are compared with.
//!
//! Each line is printed at once and kept for `latest.json`.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::median;

/// Aim of a ratio.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// Printed for information only.
    None,
}

impl Aim {
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(aim) => ratio >= aim,
            Self::AtMost(aim) => ratio <= aim,
            Self::None => true,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(aim) => format!("aim >= {aim}"),
            Self::AtMost(aim) => format!("aim <= {aim:.4}"),
            Self::None => "no aim".into(),
        }
    }
}

/// All lines of one run.
pub(super) struct Report {
    long: bool,
    lines: Vec<Value>,
    missed: Vec<String>,
    broken: Vec<String>,
}

impl Report {
    pub(super) fn new(long: bool) -> Self {
        Self { long, lines: Vec::new(), missed: Vec::new(), broken: Vec::new() }
    }

    /// Adds a ratio, as the median over its rounds. `beside` holds the raw figures that
    /// it was computed from, with their names; they are not comparable between runs.
    pub(super) fn ratio(&mut self, name: &str, rounds: &[f64], aim: Aim, beside: &[(&str, f64)]) {
        let ratio = median(rounds);
        let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rounds.iter().copied().fold(0.0, f64::max);
        let met = aim.met(ratio);
        let verdict = if met { "" } else { "  MISSED" };
        println!(
            "  {name:<52} {ratio:>7.4}  ({}; rounds {least:.4} to {most:.4}){verdict}\n  {:<52} {}",
            aim.words(),
            "",
            words(beside),
        );
        if !met {
            self.missed.push(format!("{name}: {ratio:.4} ({})", aim.words()));
        }
        let (at_least, at_most) = match aim {
            Aim::AtLeast(aim) => (Some(aim), None),
            Aim::AtMost(aim) => (None, Some(aim)),
            Aim::None => (None, None),
        };
        self.lines.push(json!({
            "name": name, "ratio": ratio, "rounds": rounds, "met": met,
            "aim_at_least": at_least, "aim_at_most": at_most, "beside": figures(beside),
        }));
    }

    /// Adds figures without a ratio.
    pub(super) fn note(&mut self, name: &str, beside: &[(&str, f64)]) {
        println!("  {name:<52} {}", words(beside));
        self.lines.push(json!({"name": name, "beside": figures(beside)}));
    }

    /// Adds a section that failed, or whose figures cannot be trusted.
    pub(super) fn broken(&mut self, section: &str, why: &anyhow::Error) {
        println!("  BROKEN: {why:#}");
        self.broken.push(format!("{section}: {why:#}"));
    }

    /// Writes the file and prints a summary; an error if any section failed.
    pub(super) fn finish(self, took: Duration, file: &Path) -> anyhow::Result<()> {
        let all = json!({
            "unix_time": super::now_unix(),
            "long": self.long,
            "seconds": took.as_secs(),
            "lines": self.lines,
            "missed": self.missed,
            "broken": self.broken,
        });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
        println!("\n{} s; written to {}", took.as_secs(), file.display());
        for missed in &self.missed {
            println!("MISSED  {missed}");
        }
        for broken in &self.broken {
            println!("BROKEN  {}", broken.lines().next().unwrap_or_default());
        }
        if !self.broken.is_empty() {
            bail!("{} of the sections could not be measured", self.broken.len());
        }
        Ok(())
    }
}

fn figures(beside: &[(&str, f64)]) -> Value {
    beside
        .iter()
        .map(|(name, figure)| ((*name).to_owned(), json!(figure)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn words(beside: &[(&str, f64)]) -> String {
    let words: Vec<_> = beside
        .iter()
        .map(|(name, figure)| {
            if figure.abs() < 100.0 {
                format!("{name} {figure:.2}")
            } else {
                format!("{name} {figure:.0}")
            }
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_compared_with_the_median_and_missing_it_is_no_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut report = Report::new(false);
        report.ratio("met", &[0.9, 0.1, 0.95], Aim::AtLeast(0.85), &[]);
        report.ratio("missed", &[0.8, 0.99, 0.7], Aim::AtLeast(0.85), &[]);
        report.ratio("also missed", &[0.05], Aim::AtMost(1.0 / 30.0), &[]);
        assert_eq!(report.missed.len(), 2);
        report.finish(Duration::ZERO, file.path()).unwrap();
        let written: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(written["lines"][0]["met"], true);
        assert_eq!(written["lines"][1]["met"], false);
    }

    #[test]
    fn a_broken_measurement_is_a_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut report = Report::new(false);
        report.broken("http", &anyhow::anyhow!("a response was 500"));
        assert!(report.finish(Duration::ZERO, file.path()).is_err());
    }
}
