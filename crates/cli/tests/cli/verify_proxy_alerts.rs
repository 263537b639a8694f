//! The metrics of `tegata verify-proxy`, compared with the shipped alerts and dashboard.

use crate::{
    book::root,
    program::Desk,
    proxies::token,
    verify_proxy::{ask, start, until_ready_is, verifier, verify},
};
use std::{collections::BTreeSet, fs};

const PREFIX: &str = "tegata_verify_proxy_";

/// The metrics of the proxy that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with(PREFIX)).map(str::to_owned).collect()
}

#[test]
fn the_alerts_and_the_dashboard_use_the_metrics_of_a_verifying_proxy_and_a_stale_one_is_seen() {
    let desk = Desk::new();
    let words = ["--max-staleness", "1s", "--on-stale", "allow"];
    let proxy = start(&desk, &verifier(&desk, &["--allow"]), &words);
    until_ready_is(&proxy, 200);
    let token = token(&desk, &[]);
    assert_eq!(verify(&proxy, &token, "").status, 200);
    let scrape = || ask(&proxy, "/metrics", &[]).body;
    let fresh = scrape();
    let samples = fresh.lines().filter(|line| !line.starts_with('#'));
    let known = named(&samples.collect::<Vec<_>>().join("\n"));
    let read = |file: &str| fs::read_to_string(root().join("docs").join(file)).unwrap();
    let (alerts, dashboard) = (read("prometheus/alerts.yml"), read("grafana/tegata.json"));
    let used = &named(&alerts) | &named(&dashboard);
    assert_eq!(&used - &known, BTreeSet::new(), "they are in no scrape");
    let build = BTreeSet::from([format!("{PREFIX}build_info")]);
    assert_eq!(&known - &(&named(&dashboard) | &build), BTreeSet::new(), "not in the dashboard");

    // Each condition holds for a stale proxy that accepts, and for no fresh one.
    let stale = format!("{PREFIX}view_stale");
    assert!(alerts.contains(&format!("expr: {stale} == 1\n")));
    let accepts = format!(r#"{PREFIX}verifications_total{{result="active_stale"}}"#);
    assert!(alerts.contains(&accepts));
    let accepts = |count: u8| {
        let labels = r#"api="gateway",result="active_stale""#;
        format!("{PREFIX}verifications_total{{{labels}}} {count}\n")
    };
    // At 0 before the first: an increase is seen only of a series that is there.
    assert!(fresh.contains(&format!("{stale} 0\n")) && fresh.contains(&accepts(0)), "{fresh}");
    assert!(!desk.server.crash().success());
    until_ready_is(&proxy, 503);
    assert_eq!(verify(&proxy, &token, "").status, 200);
    let old = scrape();
    assert!(old.contains(&format!("{stale} 1\n")) && old.contains(&accepts(1)), "{old}");
}
