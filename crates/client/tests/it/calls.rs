//! The requests on the wire, and the parsing of responses.

use super::authority::{Authority, ok, token, with_status};
use axum::response::IntoResponse;
use std::time::Duration;
use tegata_client::{
    Failure,
    call::{ClientAuthentication, With},
    exchange::fetch,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::id::ChannelId;

fn channel() -> ChannelId {
    "1234567890".parse().unwrap()
}

fn secret(text: &str) -> PlainSecret {
    PlainSecret::from_caller(text.to_owned())
}

#[tokio::test]
async fn every_operation_is_called_as_line_documents_it() {
    let line = Authority::start(|_, asked| match asked.line.split('?').next().unwrap() {
        "GET /oauth2/v2.1/tokens/kid" => ok(r#"{"kids":["a"]}"#),
        path if path.ends_with("verify") => ok(r#"{"client_id":"1","expires_in":5}"#),
        path if path.ends_with("revoke") => ok(""),
        _ => token("t", 60),
    })
    .await;
    let client = &line.client;
    let (word, t) = (secret("a+b"), secret("x/y+z"));
    client.issue_v21("j.w.t", With::default()).await.unwrap();
    client
        .issue_stateless(&ClientAuthentication::Assertion("j.w.t"), With::default())
        .await
        .unwrap();
    let group = "bots".parse().unwrap();
    let with = With { group: Some(&group), idempotency_key: Some("key/1") };
    client.issue_stateless(&ClientAuthentication::Secret(channel(), &word), with).await.unwrap();
    client.issue_short_lived(channel(), &word, With::default()).await.unwrap();
    assert_eq!(client.key_ids("j.w.t").await.unwrap(), ["a"]);
    assert_eq!(client.verify(&secret("j.w.t")).await.unwrap().expires_in, 5);
    assert_eq!(client.verify(&t).await.unwrap().client_id, "1");
    client.revoke_v21(channel(), &word, &secret("j.w.t")).await.unwrap();
    client.revoke_opaque(&t).await.unwrap();

    let asked = line.asked();
    let seen: Vec<_> = asked.iter().map(|it| format!("{} {}", it.line, it.body)).collect();
    let jwt = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type\
               %3Ajwt-bearer&client_assertion=j.w.t";
    let grant = "grant_type=client_credentials";
    let by_secret = "client_id=1234567890&client_secret=a%2Bb";
    assert_eq!(
        seen,
        [
            format!("POST /oauth2/v2.1/token {grant}&{jwt}"),
            format!("POST /oauth2/v3/token {grant}&{jwt}"),
            format!("POST /oauth2/v3/token {grant}&{by_secret}&group=bots"),
            format!("POST /v2/oauth/accessToken {grant}&{by_secret}"),
            format!("GET /oauth2/v2.1/tokens/kid?{jwt} "),
            "GET /oauth2/v2.1/verify?access_token=j.w.t ".to_owned(),
            "POST /v2/oauth/verify access_token=x%2Fy%2Bz".to_owned(),
            format!("POST /oauth2/v2.1/revoke {by_secret}&access_token=j.w.t"),
            "POST /v2/oauth/revoke access_token=x%2Fy%2Bz".to_owned(),
        ]
    );
    let keys: Vec<_> = asked.iter().filter_map(|it| it.headers.get("idempotency-key")).collect();
    assert_eq!(keys, ["key/1"], "sent where it was given and nowhere else");
}

#[tokio::test]
async fn only_a_4xx_response_is_a_refusal() {
    let responses: [fn() -> axum::response::Response; 10] = [
        || with_status(400, r#"{"error":"invalid_client","error_description":"Invalid exp"}"#),
        || with_status(404, r#"{"message":"Cannot find channel key"}"#),
        || (with_status(429, "{}").status(), [("Retry-After", "7")], "{}").into_response(),
        || (with_status(503, "{}").status(), [("Retry-After", "2")], "{}").into_response(),
        || with_status(500, "<html>"),
        || (with_status(302, "").status(), [("Location", "/elsewhere")], "").into_response(),
        || ok("{\"access_token\":\"t\"}"),
        || token("two words", 60),
        || token("a$(reboot)", 60),
        || token("t", 0),
    ];
    let line = Authority::start(move |number, _| responses[number]()).await;
    let mut failures = Vec::new();
    for _ in 0..responses.len() {
        failures.push(line.client.issue_v21("j", With::default()).await.unwrap_err());
    }
    let said = |said: &str, status| Failure::Denied { status, said: said.to_owned() };
    assert_eq!(failures[0], said("Invalid exp (invalid_client)", 400));
    assert_eq!(failures[1], said("Cannot find channel key", 404));
    assert_eq!(failures[2], Failure::LimitExceeded { retry_after: Some(7) });
    assert!(matches!(failures[3], Failure::Unavailable { retry_after: Some(2), .. }));
    for other in &failures[4..] {
        assert!(matches!(other, Failure::Unavailable { retry_after: None, .. }), "{other}");
    }
    assert_eq!(line.asked().len(), responses.len(), "a redirect is not followed");
}

#[tokio::test]
async fn an_endless_response_is_cut_off_and_an_absent_server_is_not_a_refusal() {
    let line = Authority::start(|_, _| ok(&" ".repeat(1 << 20))).await;
    let t = secret("t");
    let failure = line.client.verify(&t).await.unwrap_err();
    assert!(failure.to_string().contains("too long"), "{failure}");
    let absent = tegata_client::call::Client::new("http://127.0.0.1:1").unwrap();
    let failure = absent.verify(&secret("canary.token.canary")).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable { .. }));
    assert!(!failure.to_string().contains("canary"), "no token in the message: {failure}");
}

#[tokio::test]
async fn a_document_is_fetched_whole_or_not_at_all() {
    let line = Authority::start(|_, asked| match asked.line.as_str() {
        "GET /keys?of=1" => ok(r#"{"keys":[]}"#),
        "GET /endless" => ok(&" ".repeat(101)),
        _ => with_status(404, ""),
    })
    .await;
    let get =
        async |path: &str| fetch(&format!("{}{path}", line.url), Duration::from_secs(5), 100).await;
    assert_eq!(get("/keys?of=1").await.unwrap(), br#"{"keys":[]}"#);
    for (path, said) in [("/endless", "longer than 100 bytes"), ("/none", "answered 404")] {
        let error = get(path).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(fetch("ftp://a.example/", Duration::from_secs(5), 100).await.is_err());
}
