//! The administration's requests over the wire, and how their responses are read.

use super::authority::{Authority, ok, with_status};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tegata_client::{
    admin::{AdminClient, Method, TakingCall},
    exchange::{Problem, RequestError},
};
use tegata_policy::secret::PlainSecret;

fn admin(authority: &Authority) -> AdminClient {
    let token = PlainSecret::from_caller("canary-token".to_owned());
    AdminClient::new(&authority.url, token).unwrap()
}

fn problem(error: RequestError) -> Problem {
    match error {
        RequestError::Problem(problem) => *problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_request_carries_the_token_and_its_path_query_body_and_key() {
    let authority = Authority::start(|_, _| ok(r#"{"a":1}"#)).await;
    let admin = admin(&authority);
    let body = json!({ "b": 2 });
    assert_eq!(admin.get(&["channels", "1/2"], &[("limit", 3)]).await.unwrap(), json!({ "a": 1 }));
    admin.get_and_wait(&["audit", "verify"], &(), 600).await.unwrap();
    admin.post(&["providers"], &body).await.unwrap();
    let members = json!({ "dry_run": true, "reason": "a b", "wait_seconds": 3 });
    let members = members.as_object().unwrap();
    let taking = |method, idempotency_key| TakingCall { method, members, wait: 3, idempotency_key };
    admin.take(&["revocations"], taking(Method::POST, None)).await.unwrap();
    let path = ["channels", "1", "long-lived-token"];
    admin.take(&path, taking(Method::POST, Some("key/1"))).await.unwrap();
    admin.patch(&["channels", "1"], &body).await.unwrap();
    admin.take(&["channels", "1"], taking(Method::PATCH, None)).await.unwrap();
    admin.take(&["channels", "1"], taking(Method::DELETE, None)).await.unwrap();
    let asked = authority.asked();
    let seen: Vec<_> = asked.iter().map(|it| format!("{} {}", it.line, it.body)).collect();
    assert_eq!(
        seen,
        [
            "GET /admin/v1/channels/1%2F2?limit=3 ",
            "GET /admin/v1/audit/verify ",
            r#"POST /admin/v1/providers {"b":2}"#,
            r#"POST /admin/v1/revocations {"dry_run":true,"reason":"a b","wait_seconds":3}"#,
            r#"POST /admin/v1/channels/1/long-lived-token {"dry_run":true,"reason":"a b","wait_seconds":3}"#,
            r#"PATCH /admin/v1/channels/1 {"b":2}"#,
            r#"PATCH /admin/v1/channels/1 {"dry_run":true,"reason":"a b","wait_seconds":3}"#,
            "DELETE /admin/v1/channels/1?dry_run=true&reason=a+b&wait_seconds=3 ",
        ]
    );
    assert!(asked.iter().all(|it| it.headers["authorization"] == "Bearer canary-token"));
    let keys: Vec<_> = asked.iter().filter_map(|it| it.headers.get("idempotency-key")).collect();
    assert_eq!(keys, ["key/1"]);
    assert!(!format!("{admin:?}").contains("canary"), "{admin:?}");
}

#[tokio::test]
async fn a_list_is_read_from_all_its_pages_and_a_repeated_cursor_is_an_error() {
    let authority = Authority::start(|_, asked| match asked.line.split_once('?').unwrap() {
        ("GET /admin/v1/groups", "limit=1000") => ok(r#"{"groups":[1,2],"next":"a b"}"#),
        ("GET /admin/v1/groups", "limit=1000&after=a+b") => ok(r#"{"groups":[3],"next":null}"#),
        ("GET /admin/v1/endless", _) => ok(r#"{"rows":[1],"next":"again"}"#),
        ("GET /admin/v1/none", _) => ok(r#"{"next":null}"#),
        other => panic!("{other:?}"),
    })
    .await;
    let admin = admin(&authority);
    assert_eq!(admin.rows(&["groups"], "groups").await.unwrap(), [1, 2, 3].map(Value::from));
    for path in ["endless", "none"] {
        assert_eq!(admin.rows(&[path], "rows").await, Err(RequestError::Unreadable), "{path}");
    }
    assert_eq!(authority.asked().len(), 5);
}

#[tokio::test]
async fn a_problem_an_unreadable_response_and_no_response_are_different_errors() {
    let responses: [fn() -> axum::response::Response; 6] = [
        || {
            let body = r#"{"title":"Conflict","status":409,"code":"full","detail":"no room"}"#;
            (with_status(409, "").status(), [("Retry-After", "7")], body).into_response()
        },
        || with_status(503, "<html>"),
        || (with_status(307, "").status(), [("Location", "/elsewhere")], "").into_response(),
        || with_status(204, ""),
        || ok("<html>"),
        || ok(&" ".repeat(17 << 20)),
    ];
    let authority = Authority::start(move |number, _| responses[number]()).await;
    let admin = admin(&authority);
    let get = async || admin.get(&["providers"], &()).await;
    let full = problem(get().await.unwrap_err());
    assert_eq!(full.status, 409);
    assert_eq!((full.code.as_deref(), full.title.as_deref()), (Some("full"), Some("Conflict")));
    assert_eq!((full.detail.as_deref(), full.retry_after), (Some("no room"), Some(7)));
    let bare = problem(get().await.unwrap_err());
    assert_eq!((bare.status.as_u16(), bare.summary()), (503, None));
    assert_eq!(problem(get().await.unwrap_err()).status, 307);
    assert_eq!(get().await.unwrap(), Value::Null);
    assert_eq!(get().await, Err(RequestError::Unreadable));
    assert!(matches!(get().await, Err(RequestError::TooLong(_))));
    assert_eq!(authority.asked().len(), 6, "the redirect is not followed");

    let token = PlainSecret::from_caller("canary-token".to_owned());
    let absent = AdminClient::new("http://127.0.0.1:1", token).unwrap();
    let error = absent.get(&["providers"], &[("x", "canary")]).await.unwrap_err();
    assert!(matches!(error, RequestError::NoResponse(_)));
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn the_authoritys_time_is_read_from_a_response_that_every_server_has() {
    let authority = Authority::start(|number, _| {
        let mut response = with_status(if number == 1 { 404 } else { 200 }, "");
        response.headers_mut().insert("date", "Fri, 15 Jan 2027 08:00:00 GMT".parse().unwrap());
        response
    })
    .await;
    for _ in 0..2 {
        assert_eq!(authority.client.authority_time().await.unwrap().0, 1_800_000_000);
    }
    assert_eq!(authority.asked()[0].line, "GET /livez");
    assert!(authority.asked()[0].headers.get("authorization").is_none());
}
