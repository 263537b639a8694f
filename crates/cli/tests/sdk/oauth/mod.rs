//! The crate `oauth2`, unmodified. It revokes over https alone, so the server has a public address
//! with TLS, and the test stands in for the proxy that ends it.

use crate::process::{
    Server,
    http::{Connection, Request},
    serve,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IntrospectionUrl, RequestTokenError, RevocationErrorResponseType, RevocationUrl, Scope,
    StandardRevocableToken, TokenIntrospectionResponse, TokenResponse, TokenUrl,
    basic::{
        BasicClient, BasicErrorResponseType, BasicRequestTokenError, BasicRevocationErrorResponse,
        BasicTokenType,
    },
};
use serde_json::json;
use std::{future::Future, io, net::SocketAddr, pin::Pin};

const ISSUER: &str = "https://tokens.example";

type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

#[tokio::test]
async fn a_rust_client_issues_introspects_and_revokes_and_reads_each_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(folder.path(), &["--public-url", ISSUER])).await;
    let made = server.create("/providers", json!({ "name": "oauth2" })).await;
    let path = format!("/providers/{}/channels", made["provider_id"].as_str().expect("an id"));
    let mut channels = Vec::new();
    for name in ["own", "other"] {
        let made = server.create(&path, json!({ "name": name, "type": "messaging-api" })).await;
        let member = |name: &str| made[name].as_str().expect("a text").to_owned();
        channels.push((member("channel_id"), member("channel_secret")));
    }
    let [(id, secret), other] = &channels[..] else { panic!("two channels") };
    let send = proxy(server.address());
    let foreign = client(&other.0, &other.1, AuthType::RequestBody);
    let foreign = foreign.exchange_client_credentials().request_async(&send).await;
    let foreign = foreign.expect("issued");

    for how in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = client(id, secret, how.clone());
        let issued = client.exchange_client_credentials().request_async(&send).await;
        let issued = issued.expect("issued");
        assert_eq!(*issued.token_type(), BasicTokenType::Bearer);
        let scopes: Vec<&str> = issued.scopes().expect("scopes").iter().map(|it| &***it).collect();
        assert_eq!(scopes, ["profile", "chat_message.write"]);
        let token = issued.access_token();
        let about = client.introspect(token).request_async(&send).await.expect("an answer");
        assert!(about.active());
        assert_eq!((&***about.client_id().expect("an id"), about.iss()), (&**id, Some(ISSUER)));
        let revoke = async |token: &oauth2::AccessToken| {
            let token = StandardRevocableToken::AccessToken(token.clone());
            client.revoke_token(token).expect("over https").request_async(&send).await
        };
        for _ in 0..2 {
            revoke(token).await.expect("revoked");
        }
        let about = client.introspect(token).request_async(&send).await.expect("an answer");
        assert!(!about.active() && about.client_id().is_none());

        let Err(RequestTokenError::ServerResponse(refused)) = revoke(foreign.access_token()).await
        else {
            panic!("another channel's token was revoked");
        };
        let refused: BasicRevocationErrorResponse = refused;
        let unauthorized = BasicErrorResponseType::UnauthorizedClient;
        assert_eq!(*refused.error(), RevocationErrorResponseType::Basic(unauthorized));

        let wrong = self::client(id, "wrong + %", how.clone());
        let wrong = wrong.exchange_client_credentials().request_async(&send).await;
        assert_eq!(error(wrong), BasicErrorResponseType::InvalidClient);
        for (name, value, expected) in [
            ("kind", "v3", BasicErrorResponseType::InvalidRequest),
            ("kind", "v2.1", BasicErrorResponseType::UnauthorizedClient),
        ] {
            let request = client.exchange_client_credentials().add_extra_param(name, value);
            assert_eq!(error(request.request_async(&send).await), expected);
        }
        let request = client.exchange_client_credentials().add_scope(Scope::new("openid".into()));
        assert_eq!(error(request.request_async(&send).await), BasicErrorResponseType::InvalidScope);
    }
}

fn client(id: &str, secret: &str, how: AuthType) -> Client {
    let at = |path: &str| format!("{ISSUER}{path}");
    BasicClient::new(ClientId::new(id.to_owned()))
        .set_client_secret(ClientSecret::new(secret.to_owned()))
        .set_auth_type(how)
        .set_token_uri(TokenUrl::new(at("/oauth2/token")).expect("a URL"))
        .set_introspection_url(IntrospectionUrl::new(at("/oauth2/introspect")).expect("a URL"))
        .set_revocation_url(RevocationUrl::new(at("/oauth2/revoke")).expect("a URL"))
}

/// What the server refused.
fn error<T: std::fmt::Debug>(
    response: Result<T, BasicRequestTokenError<io::Error>>,
) -> BasicErrorResponseType {
    match response {
        Err(RequestTokenError::ServerResponse(refused)) => {
            assert!(refused.error_description().is_some_and(|it| !it.is_empty()));
            refused.error().clone()
        }
        other => panic!("{other:?}, expected an error of the server"),
    }
}

type Sent = Pin<Box<dyn Future<Output = io::Result<HttpResponse>> + Send>>;

/// Sends requests for the public address to the server.
fn proxy(server: SocketAddr) -> impl Fn(HttpRequest) -> Sent {
    move |request| {
        Box::pin(async move {
            assert_eq!(request.uri().authority().map(|it| it.as_str()), Some("tokens.example"));
            let headers: Vec<_> = request.headers().iter().collect();
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
                .collect();
            let body = std::str::from_utf8(request.body()).expect("a form");
            let method = request.method().as_str();
            let request = Request::new(method, request.uri().path(), &headers, body);
            let response = Connection::open(server).await?.ask(&request).await?;
            let mut answer = http::Response::builder().status(response.status);
            if let Some(media) = response.header("content-type") {
                answer = answer.header("content-type", media);
            }
            answer.body(response.text().into_bytes()).map_err(io::Error::other)
        })
    }
}
