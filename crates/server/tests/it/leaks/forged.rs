//! What is refused on every path of reports: nothing is revoked, and nothing is learnt.

use super::{Desk, GITLAB, Signer, array_of, github_headers, keys_file};
use crate::world::JSON;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tegata_server::authority::leaks::Programme;
use tegata_token::kind::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_without_the_programmes_signature_revokes_nothing() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    let body = array_of(&[&token]);
    // Each has other random bytes: one is taken whose text differs in the other alphabet.
    let good = loop {
        let signature = desk.github.sign(body.as_bytes());
        if signature.contains(['+', '/']) {
            break signature;
        }
    };
    let other = Signer::new("hub").sign(body.as_bytes());
    let of_other_body = desk.github.sign(array_of(&["x"]).as_bytes());
    let url_safe = good.replace('+', "-").replace('/', "_").replace('=', ".");
    let der = STANDARD.encode([0x30, 6, 2, 1, 0, 2, 1, 0]);
    let key = "github-public-key-identifier";
    let signature = "github-public-key-signature";
    let forged: [&[(&str, &str)]; 10] = [
        &[JSON],
        &[JSON, (key, "hub")],
        &[JSON, (signature, &good)],
        &github_headers("other", &good),
        &github_headers("hub", &other),
        &github_headers("hub", &of_other_body),
        &github_headers("hub", &url_safe),
        &github_headers("hub", &der),
        &[JSON, (key, "hub"), (signature, &good), (signature, &good)],
        &[JSON, (key, "hub"), (key, "hub"), (signature, &good)],
    ];
    for headers in forged {
        let reply = desk.post("/leaks/github", headers, body.clone()).await;
        assert_eq!(reply.status, 401, "{headers:?}: {}", reply.text);
        assert!(!reply.text.contains("positive"));
    }
    assert!(desk.world.is_good(&token).await);
    // Further ones wait; GitHub's own report does not.
    let reply = desk.post("/leaks/github", forged[4], body.clone()).await;
    assert_eq!(reply.status, 429);
    assert!(reply.headers.contains_key("retry-after"));
    let names: [(&str, &str); 3] = [JSON, (key, "hub"), (signature, &good)];
    assert_eq!(desk.post("/leaks/gitlab", &names, body.clone()).await.status, 429, "another's");
    let wrong = [JSON, ("authorization", "Bearer a-token-that-gitlab-shares-with-the-operator")];
    assert_eq!(desk.post("/v1/revoke_tokens", &wrong, body.clone()).await.status, 429);
    assert!(desk.world.is_good(&token).await);
    assert_eq!(desk.events("leak.report").await.len(), 0);
    assert_eq!(desk.github(&body).await.status, 200);
    assert!(!desk.world.is_good(&token).await);
    while desk.events("leak.throttle").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.events("leak.throttle").await.len(), 1, "it is recorded when it begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_of_a_self_managed_gitlab_is_401() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    let body = array_of(&[&token]).replace("\"tegata\"", "\"gitleaks_rule_id_tegata\"");
    let bearer = format!("Bearer {GITLAB}");
    for wrong in ["", "other", &bearer, &GITLAB[1..]] {
        let headers = [JSON, ("authorization", wrong)];
        assert_eq!(desk.post("/v1/revoke_tokens", &headers, body.clone()).await.status, 401);
        let types = desk.world.get_with("/v1/revocable_token_types", &headers[1..]).await;
        assert_eq!(types.status, 401, "{wrong}");
    }
    assert!(desk.world.is_good(&token).await);
    assert_eq!(desk.self_managed(&body).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_again_on_request_and_a_broken_file_changes_nothing() {
    let desk = Desk::new().await;
    let file = keys_file(desk.folder.path(), Programme::GitHub);
    let next = Signer::new("next");
    let body = array_of(&["unknown"]);
    let signature = next.sign(body.as_bytes());
    let headers = github_headers("next", &signature);
    let by_next = || desk.post("/leaks/github", &headers, body.clone());
    assert_eq!(by_next().await.status, 401, "the file is stale");
    std::fs::write(&file, "<html>").unwrap();
    desk.world.running().reload().await;
    assert_eq!(desk.github(&body).await.status, 200, "the old keys stay in force");
    std::fs::write(&file, next.file()).unwrap();
    assert_eq!(by_next().await.status, 401, "not before the request");
    desk.world.running().reload().await;
    assert_eq!(by_next().await.status, 200);
    assert_eq!(desk.github(&body).await.status, 401, "the old key is not in the file");
    assert_eq!(desk.gitlab(&body).await.status, 204, "the other programme's keys are the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_another_form_is_refused_on_every_path_and_revokes_nothing() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    let kind = "gitleaks_rule_id_tegata";
    let entry = format!("{{\"token\":\"{token}\",\"type\":\"{kind}\"}}");
    let array = format!("[{entry}]");
    let utf16: Vec<u8> = array.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep =
        format!("[{{\"token\":\"{token}\",\"type\":\"{kind}\",\"x\":{}", "[".repeat(200_000));
    let twice = format!("[{{\"token\":\"{token}\",\"token\":\"{token}\",\"type\":\"{kind}\"}}]");
    let cases: [(&str, u16, Vec<u8>); 10] = [
        ("empty", 400, Vec::new()),
        ("an empty array", 422, b"[]".to_vec()),
        ("too many", 422, format!("[{}]", vec![entry; 1_001].join(",")[..].to_owned()).into()),
        ("an object", 400, format!("{{\"entries\":{array}}}").into()),
        ("a byte order mark", 400, format!("\u{feff}{array}").into()),
        ("UTF-16", 400, utf16),
        ("gzip without a header", 400, gzip(array.as_bytes())),
        ("deep nesting", 400, deep.into()),
        ("repeated members", 400, twice.into()),
        ("two values", 400, format!("{array}{array}").into()),
    ];
    for (what, status, body) in cases {
        // Too many entries of a real token exceed 1 MiB.
        let status = if body.len() > 1 << 20 { 413 } else { status };
        let hub = desk.github.sign(&body);
        let lab = desk.gitlab.sign(&body);
        let of_lab =
            [JSON, ("gitlab-public-key-identifier", "lab"), ("gitlab-public-key-signature", &lab)];
        let own = [JSON, ("authorization", GITLAB)];
        for (path, headers) in [
            ("/leaks/github", &github_headers("hub", &hub)[..]),
            ("/leaks/gitlab", &of_lab),
            ("/v1/revoke_tokens", &own),
        ] {
            let reply = desk.post(path, headers, body.clone()).await;
            assert_eq!(reply.status, status, "{what} at {path}: {}", reply.text);
            assert!(!reply.text.contains(&token), "{what} at {path}");
        }
        if what != "too many" {
            for path in ["/report", "/credentials/revoke"] {
                let reply = desk.post(path, &[JSON], body.clone()).await;
                assert_eq!(reply.status, 400, "{what} at {path}: {}", reply.text);
            }
        }
    }
    assert!(desk.world.is_good(&token).await);
    assert_eq!(desk.events("leak.report").await.len(), 0);
}

/// A path, headers, a body, and the status of the response.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16);

#[tokio::test(flavor = "multi_thread")]
async fn an_open_path_refuses_what_is_no_text_and_no_list() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::ShortLived).await;
    let text = ("content-type", "text/plain");
    let utf16: Vec<u8> = token.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let list = |tokens: Vec<&str>| json!({ "credentials": tokens }).to_string();
    let long = json!({ "token": format!("{token}{}", " ".repeat(9_000)) }).to_string();
    let many = vec!["a"; 1_001];
    let with = |header| [JSON, header];
    let (gzip_header, form) =
        (with(("content-encoding", "gzip")), [("content-type", "application/octet-stream")]);
    let cases: [Case<'_>; 9] = [
        ("/report", &[text], utf16, 400),
        ("/report", &[text], [token.as_bytes(), b"\xff"].concat(), 400),
        ("/report", &[text], gzip(token.as_bytes()), 400),
        ("/report", &[JSON], long.into(), 400),
        ("/report", &gzip_header, gzip(json!({ "token": token }).to_string().as_bytes()), 415),
        ("/credentials/revoke", &[text], list(vec![&token]).into(), 415),
        ("/credentials/revoke", &form, list(vec![&token]).into(), 415),
        ("/credentials/revoke", &[JSON], list(Vec::new()).into(), 422),
        ("/credentials/revoke", &[JSON], list([many, vec![&token]].concat()).into(), 422),
    ];
    for (path, headers, body, status) in cases {
        let reply = desk.post(path, headers, body).await;
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text);
    }
    let large = format!("{token}{}", " ".repeat(1 << 20));
    let reply = desk.post("/report", &[text], large).await;
    assert_eq!(reply.status, 413);
    assert!(reply.text.contains("1048576"), "{}", reply.text);
    assert!(desk.world.is_good(&token).await);
    let fits = format!("{token}{}", " ".repeat((1 << 20) - token.len()));
    // Names of codings have no case (RFC 9110, section 8.4.1).
    let plain = [text, ("content-encoding", "Identity")];
    assert_eq!(desk.post("/report", &plain, fits).await.status, 202);
    assert!(!desk.world.is_good(&token).await, "1 MiB is read");
}

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(data).unwrap();
    to.finish().unwrap()
}
