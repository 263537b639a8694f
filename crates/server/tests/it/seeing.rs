//! The metrics that the dashboard, the alerts and the book name, compared with those of
//! a running server.

use crate::world::World;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use tegata_system::http::client_for;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

fn read(file: &str) -> String {
    let path = docs(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One metric, as a scrape describes it.
#[derive(Default)]
struct Metric {
    help: String,
    kind: String,
    values: BTreeMap<String, BTreeSet<String>>,
    samples: BTreeSet<String>,
}

/// By name, as in `# TYPE`.
fn metrics(scrape: &str) -> BTreeMap<String, Metric> {
    let mut all = BTreeMap::<String, Metric>::new();
    for line in scrape.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                all.entry(name.into()).or_default().help = help.trim_end_matches('.').into();
            }
            ["#", "TYPE", name, kind] => all.entry(name.into()).or_default().kind = kind.into(),
            ["#", ..] => {}
            _ => {
                let name = &line[..line.find(['{', ' ']).unwrap()];
                let of = all.iter_mut().rev().find(|(of, _)| name.starts_with(of.as_str()));
                let (_, metric) = of.unwrap_or_else(|| panic!("no TYPE for {line}"));
                metric.samples.insert(name.to_owned());
                let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
                for label in labels.map_or("", |(labels, _)| labels).split(',') {
                    let Some((label, value)) = label.split_once('=') else { continue };
                    if label != "le" {
                        let value = value.trim_matches('"').to_owned();
                        metric.values.entry(label.to_owned()).or_default().insert(value);
                    }
                }
            }
        }
    }
    all
}

/// The words of `text` that name a metric of the server or of its process. Those of
/// `tegata verify-proxy` are compared with its own scrape, in the tests of the program.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("tegata_") || word.starts_with("process_"))
        .filter(|word| !word.starts_with("tegata_verify_proxy_"))
        .collect()
}

/// Scrapes a server that has all metrics.
async fn scrape() -> String {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = crate::listeners::renew(folder.path());
    let world = World::with(|settings| settings.tls = Some(files)).await;
    // As `tegata backup` leaves it.
    fs::write(world.folder.path().join("tegata.db.backup"), "").unwrap();
    let url = format!("https://{}/metrics", world.running().metrics_address).parse().unwrap();
    let http = client_for(&url).tls_danger_accept_invalid_certs(true);
    http.build().unwrap().get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_uses_metrics_that_exist() {
    let scrape = scrape().await;
    let known: BTreeSet<String> =
        metrics(&scrape).into_values().flat_map(|it| it.samples).collect();
    let dashboard: Value = serde_json::from_str(&read("grafana/tegata.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|it| it["targets"].as_array()).flatten();
    let asked: Vec<&str> = targets.map(|it| it["expr"].as_str().unwrap()).collect();
    assert!(asked.len() >= 25, "{}", asked.len());
    for expression in asked {
        let names = named(expression);
        assert!(!names.is_empty() || expression.contains("tegata_verify_proxy_"), "{expression}");
        for name in names {
            assert!(known.contains(name), "{name} in {expression} is in no scrape");
        }
    }
    // And the dashboard leaves out no metric of the server.
    let shown = named(&dashboard.to_string()).into_iter().map(str::to_owned).collect();
    for (name, metric) in metrics(&scrape) {
        let rare = ["process_virtual_memory_bytes", "tegata_cooldowns"];
        let seen = metric.samples.intersection(&shown).next().is_some();
        assert!(seen || rare.contains(&&*name), "the dashboard does not show {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_uses_metrics_and_a_page_that_exist() {
    let scrape = scrape().await;
    let known: BTreeSet<String> =
        metrics(&scrape).into_values().flat_map(|it| it.samples).collect();
    let rules = read("prometheus/alerts.yml");
    let values = |key: &str| -> Vec<String> {
        let lines = rules.lines().filter_map(|line| line.trim().strip_prefix(key));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let (alerts, expressions) = (values("- alert:"), values("expr:"));
    let pages = values("runbook:");
    assert!(alerts.len() >= 10);
    assert_eq!((alerts.len(), alerts.len()), (expressions.len(), pages.len()));
    for expression in expressions {
        for name in named(&expression) {
            assert!(known.contains(name), "{name} in {expression} is in no scrape");
        }
    }
    for page in pages {
        let page = page.strip_prefix("docs/").unwrap();
        assert!(docs(page).is_file(), "{page} does not exist");
    }
}

#[test]
fn a_trend_alone_raises_no_alert() {
    // A fresh installation fills its disk by the caches of its first hours, however large
    // the disk is.
    let rules = read("prometheus/alerts.yml");
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr:"));
    let trends = expressions.flat_map(|it| it.split(" or ")).filter(|it| it.contains("predict_"));
    let trends: Vec<_> = trends.collect();
    assert!(!trends.is_empty());
    for trend in trends {
        let (_, limit) = trend.split_once(" and ").unwrap_or_else(|| panic!("{trend}"));
        assert!(limit.starts_with("tegata_store_disk_free_bytes < "), "{trend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_labels_follow_the_conventions_of_prometheus() {
    for (name, metric) in metrics(&scrape().await) {
        assert!(name.starts_with("tegata_") || name.starts_with("process_"), "{name}");
        assert!(!metric.help.is_empty(), "{name}");
        if metric.kind == "histogram" {
            assert!(name.ends_with("_seconds") || name == "tegata_commit_acts", "{name}");
        }
        for (label, values) in &metric.values {
            assert!(values.len() <= 10, "{name} {label}: {values:?}");
            for value in values.iter().filter(|_| label != "version") {
                let digits = value.bytes().filter(u8::is_ascii_digit).count();
                assert!(digits <= 3, "{name} {label}={value} looks like an id");
            }
        }
    }
}

/// The page of the book about metrics. `cargo xtask reference` writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_metrics_is_up_to_date() {
    let mut page = "<!-- Written by `cargo xtask reference`; do not edit. -->\n# Metrics\n\n\
        `GET /metrics` answers in the OpenMetrics text format. Counters only grow and begin at 0\n\
        with the process; a histogram has `_bucket`, `_sum` and `_count`. No label holds an id,\n\
        a name or anything else that a caller chose.\n\n\
        | metric | type | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for (name, metric) in metrics(&scrape().await) {
        let shown = match &*metric.kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name,
        };
        let labels: Vec<String> = metric
            .values
            .iter()
            .filter(|(label, _)| *label != "version")
            .map(|(label, values)| {
                let values: Vec<String> = values.iter().map(|it| format!("`{it}`")).collect();
                format!("`{label}`: {}", values.join(", "))
            })
            .collect();
        writeln!(page, "| `{shown}` | {} | {} | {} |", metric.kind, labels.join("; "), metric.help)
            .unwrap();
    }
    same("book/src/reference/metrics.md", &page);
}

/// The pages about the API and its errors are generated from its description, which the
/// administrators' tests compare with the routes.
#[test]
fn the_pages_about_the_api_are_up_to_date() {
    let api: Value = serde_json::from_str(&read("openapi.json")).unwrap();
    let mut page = "<!-- Written by `cargo xtask reference`; do not edit. -->\n# API\n\n\
        LINE's eight operations are in `docs/line-compatibility.md`. The calls below `/admin/v1`\n\
        need `Authorization: Bearer` with the administrator's token; `/admin/v1/openapi.json`\n\
        describes them in full:\n\n| call | what |\n|---|---|\n"
        .to_owned();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let Some(what) = call["summary"].as_str() else { continue };
            writeln!(page, "| `{} {path}` | {what} |", method.to_uppercase()).unwrap();
        }
    }
    page.push_str("\nOther addresses: `GET /gateway/verify`, `/.well-known/jwks.json`, `/.well-known/oauth-authorization-server`, `POST /oauth2/token`, `/oauth2/introspect`, `/oauth2/revoke`, `/report`, `/credentials/revoke`, `/leaks/github`, `/leaks/gitlab`, `/v1/revoke_tokens`, `GET /v1/revocable_token_types`, `/livez`, `/readyz`, `/metrics`.\n");
    same("book/src/reference/api.md", &page);

    let mut page = "<!-- Written by `cargo xtask reference`; do not edit. -->\n# Error codes\n\n\
        The administrators' API answers errors with problem details (RFC 9457). `code` is stable,\n\
        for programs; `detail` names the error and the next step, for operators. The codes:\n\n"
        .to_owned();
    for code in api["components"]["schemas"]["Code"]["enum"].as_array().unwrap() {
        writeln!(page, "- `{}`", code.as_str().unwrap()).unwrap();
    }
    page.push_str(
        "\nLINE's operations answer in LINE's two forms, `error` with `error_description`, or a\n\
         single `message`; `docs/line-compatibility.md` lists them. 503 means that the response\n\
         cannot be known now: retry after `Retry-After`.\n",
    );
    same("book/src/reference/errors.md", &page);
}

#[track_caller]
fn same(path: &str, page: &str) {
    if std::env::var_os("TEGATA_WRITE_REFERENCE").is_some() {
        fs::write(docs(path), page).unwrap();
    }
    assert!(read(path) == page, "{path} differs from the program; run: cargo xtask reference");
}
