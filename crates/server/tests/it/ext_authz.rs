//! Envoy's ext_authz over gRPC, at a listener of its own.

use crate::{connections::first_response, world::World};
use prost::Message;
use tegata_gateway::ext_authz::{
    PATH,
    messages::{
        Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse,
        HeaderAppendAction, HeaderMap, HeaderValue, HeaderValueOption, HttpRequest, HttpResponse,
        OkHttpResponse, Peer, RequestAttributes, SocketAddress,
    },
};
use tegata_server::http::proxies::TrustedProxies;
use tegata_system::http::client_for;
use tegata_token::{kind::Kind, view::ChannelState};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// A server that serves it, and trusts Envoys on this machine.
async fn world() -> World {
    World::with(|settings| {
        settings.ext_authz_listen = Some(([127, 0, 0, 1], 0).into());
        settings.trusted_proxies = TrustedProxies::loopback();
    })
    .await
}

/// A check of a request with these headers.
fn of_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> CheckRequest {
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let http = Some(HttpRequest { headers: headers.collect(), header_map: None });
    let request = Some(RequestAttributes { http });
    CheckRequest { attributes: Some(AttributeContext { request, ..Default::default() }) }
}

fn of_token(token: &str) -> CheckRequest {
    of_headers([("authorization", format!("Bearer {token}").as_str())])
}

fn narrowed(token: &str, extensions: &[(&str, &str)]) -> CheckRequest {
    let mut check = of_token(token);
    let to = &mut check.attributes.as_mut().unwrap().context_extensions;
    to.extend(extensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    check
}

/// Sends bytes as a gRPC call; its HTTP status, its gRPC status if there is no message, and
/// the message.
async fn call(world: &World, path: &str, message: Vec<u8>) -> (u16, Option<String>, Vec<u8>) {
    let address = world.running().ext_authz_address.unwrap();
    let url: reqwest::Url = format!("http://{address}{path}").parse().unwrap();
    let http = client_for(&url).http2_prior_knowledge().build().unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let request =
        http.post(url).header("content-type", "application/grpc").header("te", "trailers");
    let response = request.body(body).send().await.unwrap();
    let status = response.headers().get("grpc-status");
    let status = status.map(|it| it.to_str().unwrap().to_owned());
    let code = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (code, status, body.get(5..).unwrap_or_default().to_vec())
}

async fn check(world: &World, request: &CheckRequest) -> CheckResponse {
    let (code, status, message) = call(world, PATH, request.encode_to_vec()).await;
    assert_eq!((code, status), (200, None));
    CheckResponse::decode(&*message).unwrap()
}

async fn ok(world: &World, request: &CheckRequest) -> OkHttpResponse {
    let response = check(world, request).await;
    assert_eq!(response.status.unwrap().code, 0);
    match response.http_response {
        Some(HttpResponse::Ok(ok)) => ok,
        other => panic!("{other:?}"),
    }
}

/// A denial: its gRPC code, the client's status, its headers by [`value`] and its body.
async fn denied(world: &World, request: &CheckRequest) -> (i32, i32, DeniedHttpResponse) {
    let response = check(world, request).await;
    match response.http_response {
        Some(HttpResponse::Denied(it)) => {
            (response.status.unwrap().code, it.status.clone().unwrap().code, it)
        }
        other => panic!("{other:?}"),
    }
}

/// The value of a header, which must replace all of its name, even if it is empty.
#[track_caller]
fn value(headers: &[HeaderValueOption], name: &str) -> Option<String> {
    let mut found = headers.iter().filter(|it| it.header.as_ref().unwrap().key == name);
    let one = found.next()?;
    assert!(found.next().is_none(), "{name} is there twice");
    assert_eq!(one.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd, "{name}");
    assert!(one.keep_empty_value, "{name}");
    Some(one.header.as_ref().unwrap().value.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_token_is_described_in_headers_that_replace_the_clients_own() {
    let world = world().await;
    let shop = world.channel("shop").await;
    let of_group = world.issue_to(&shop, Kind::ShortLived, "team").await;
    let of_none = world.issue(&shop, Kind::Stateless).await;
    for (token, kind, group) in [(&of_group, "short-lived", "team"), (&of_none, "stateless", "")] {
        let ok = ok(&world, &of_token(token)).await;
        let value =
            |name: &str| value(&ok.headers, name).unwrap_or_else(|| panic!("{name}: {ok:?}"));
        assert_eq!(value("x-tegata-channel"), shop.id.to_string());
        assert_eq!(value("x-tegata-kind"), kind);
        // There without a group, too: it replaces what the client sent.
        assert_eq!(value("x-tegata-group"), group);
        assert_eq!(value("x-tegata-token-id").len(), 22);
        assert!(value("x-tegata-expires-in").parse::<u32>().unwrap() > 0);
        assert_eq!((ok.headers.len(), ok.headers_to_remove.len()), (5, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_its_headers_are_removed() {
    let world = world().await;
    let shop = world.channel("shop").await;
    let bearer = format!("Bearer {}", world.issue(&shop, Kind::Stateless).await);
    let forged = ["x_tegata_group", "x-tegata_group", "x.tegata.group", "x-tegata-other"];
    let plain = ["x-tegata-group", "x-tegat-group", "x-tegatas", "tegata-group", "accept"];
    let all = forged.iter().chain(&plain).map(|name| (*name, "forged"));
    let request = of_headers(all.chain([("authorization", bearer.as_str())]));
    let mut removed = ok(&world, &request).await.headers_to_remove;
    removed.sort_unstable();
    assert_eq!(removed, ["x-tegata-other", "x-tegata_group", "x.tegata.group", "x_tegata_group"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_lines_json_with_status_challenge_and_request_id() {
    const HOW: &str = r#"{"message":"Authorization header required. Must follow the scheme, 'Authorization: Bearer <ACCESS TOKEN>'"}"#;
    const BAD: &str = r#"{"message":"Authentication failed. Confirm that the access token in the authorization header is valid."}"#;
    let world = world().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    // Envoy joins the values of two headers.
    let two = format!("Bearer {token},Bearer {token}");
    let cases = [
        (of_headers([]), 16, 401, HOW),
        (of_headers([("authorization", "")]), 16, 401, HOW),
        (of_headers([("authorization", token.as_str())]), 16, 401, HOW),
        (of_headers([("authorization", two.as_str())]), 16, 401, BAD),
        (of_token("junk"), 16, 401, BAD),
        (of_token(&"x".repeat(8_192)), 16, 401, BAD),
        (
            of_token(&"x".repeat(8_193)),
            3,
            400,
            r#"{"message":"The access token is longer than 8192 bytes"}"#,
        ),
        (narrowed(&token, &[("kind", "stateless")]), 7, 403, r#"{"message":"Access Denied"}"#),
        (CheckRequest::default(), 16, 401, HOW),
    ];
    for (request, grpc, status, body) in cases {
        let (code, shown, denied) = denied(&world, &request).await;
        assert_eq!((code, shown, denied.body.as_str()), (grpc, status, body));
        let value = |name| value(&denied.headers, name);
        assert_eq!(value("content-type").as_deref(), Some("application/json"));
        assert_eq!(value("x-line-request-id").unwrap().len(), 36);
        let challenge = (status == 401).then_some(r#"Bearer error="invalid_token""#);
        assert_eq!(value("www-authenticate").as_deref(), challenge);
    }
    world.set_state(&shop, ChannelState::Suspended).await;
    assert_eq!(denied(&world, &of_token(&token)).await.1, 401);
    world.set_state(&shop, ChannelState::Active).await;
    world.revoke(&shop, &token).await;
    assert_eq!(denied(&world, &of_token(&token)).await.1, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_headers_count_if_there_is_one_authorization() {
    let world = world().await;
    let shop = world.channel("shop").await;
    let bearer = format!("Bearer {}", world.issue(&shop, Kind::Stateless).await);
    let raw = |key: &str, value: &str| HeaderValue {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    let of = |headers: Vec<HeaderValue>| {
        let mut request = of_headers([]);
        let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap();
        http.http.as_mut().unwrap().header_map = Some(HeaderMap { headers });
        request
    };
    let forged = raw("x_tegata_group", "forged");
    let request = of(vec![forged, raw("authorization", &bearer)]);
    assert_eq!(ok(&world, &request).await.headers_to_remove, ["x_tegata_group"]);
    let request = of(vec![raw("authorization", &bearer), raw("authorization", &bearer)]);
    assert_eq!(denied(&world, &request).await.1, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn context_extensions_narrow_what_is_let_through_and_must_be_understood() {
    let world = world().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let token = world.issue_to(&shop, Kind::ShortLived, "a").await;
    let list = format!("0000000000,{id}");
    let through: [&[(&str, &str)]; 4] = [
        &[],
        &[("kind", "short-lived")],
        &[("kind", "v2.1, short-lived"), ("group", "b,a")],
        &[("channel", &list), ("group", "a"), ("kind", "short-lived")],
    ];
    for extensions in through {
        ok(&world, &narrowed(&token, extensions)).await;
    }
    let kept_out: [&[(&str, &str)]; 4] = [
        &[("kind", "stateless")],
        &[("channel", "0000000000")],
        &[("group", "b")],
        &[("channel", &id), ("group", "b")],
    ];
    for extensions in kept_out {
        let (code, status, denied) = denied(&world, &narrowed(&token, extensions)).await;
        assert_eq!((code, status), (7, 403), "{extensions:?}");
        assert_eq!(denied.body, r#"{"message":"Access Denied"}"#);
    }
    for (name, value) in
        [("chanel", "1"), ("kind", ""), ("kind", "short_lived"), ("channel", "1"), ("group", "a b")]
    {
        let (code, status, denied) = denied(&world, &narrowed(&token, &[(name, value)])).await;
        assert_eq!((code, status), (3, 400), "{name}={value}");
        assert!(denied.body.contains("context_extensions"), "{}", denied.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_a_use_is_the_client_that_a_trusted_envoy_names() {
    let world = world().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    let id = world.admin().explain(&token).await.unwrap().token.id.to_string();
    let mut request = of_token(&token);
    let address = Some(SocketAddress { address: "192.0.2.7".to_owned() });
    let source = Some(Peer { address: Some(Address { socket_address: address }) });
    request.attributes.as_mut().unwrap().source = source;
    ok(&world, &request).await;
    let path = ["channels", &shop.id.to_string(), "tokens", &id];
    let shown = world.admin_client().get(&path, &()).await.unwrap();
    assert_eq!(shown["recent_uses"][0]["source"], "192.0.2.7", "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_check_is_a_grpc_error_and_the_listener_serves_nothing_else() {
    let world = world().await;
    let (_, status, _) = call(&world, PATH, vec![0xff; 40]).await;
    assert_eq!(status.as_deref(), Some("13"), "no message");
    let (_, status, _) = call(&world, PATH, vec![0; 256 * 1024 + 1]).await;
    assert_eq!(status.as_deref(), Some("11"), "too long");
    let other = "/envoy.service.auth.v3.Authorization/Other";
    assert_eq!(call(&world, other, vec![]).await.0, 404);
    let address = world.running().ext_authz_address.unwrap();
    for (path, status) in [("/livez", 200), ("/gateway/verify", 404), ("/metrics", 404)] {
        let url: reqwest::Url = format!("http://{address}{path}").parse().unwrap();
        let got = client_for(&url).build().unwrap().get(url).send().await.unwrap();
        assert_eq!(got.status(), status, "{path}");
    }
    let public = client_for(&world.url("").parse().unwrap()).build().unwrap();
    let elsewhere = public.post(world.url(PATH)).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404, "only where it was asked for");
    assert_eq!(world.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_never_end_have_the_room_of_all_bodies() {
    let world = world().await;
    let address = world.running().ext_authz_address.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\n\
         te: trailers\r\ncontent-length: 60001\r\n\r\n"
    );
    let begun = [head.as_bytes(), &[0; 60_000]].concat();
    let mut waiting = Vec::new();
    // 280 of them fill the half of 16 MiB.
    for _ in 0..290 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&begun).await.unwrap();
        waiting.push(stream);
    }
    let (text, waiting) = first_response(waiting).await;
    assert!(text.contains("grpc-status: 14\r\n"), "{text}");
    // A short one is answered.
    let (status, ..) = denied(&world, &of_token("x")).await;
    assert_eq!(status, 16);
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_the_client_gets_503() {
    let (world, rivals) = crate::lease::shared(|settings| {
        settings.ext_authz_listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    rivals.no_lease.store(true, std::sync::atomic::Ordering::SeqCst);
    let (_, status, _) = denied(&world, &of_token(&token)).await;
    assert_eq!(status, 503);
}
