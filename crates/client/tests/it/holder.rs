//! The holder inside a program: at most one request at a time.

use super::authority::{Authority, token, with_status};
use axum::response::Response;
use tegata_client::{
    call::Client,
    holder::Holder,
    key::AUDIENCE,
    wanted::{Credentials, Wanted},
};
use tegata_policy::secret::PlainSecret;
use tegata_token::kind::Kind;
use tokio::task::JoinSet;

fn holder(client: Client) -> Holder {
    let channel = "1234567890".parse().unwrap();
    let wanted = Wanted { channel, group: None, kind: Kind::Stateless, lifetime: 900 };
    let secret = Some(PlainSecret::from_caller("a-secret".to_owned()));
    Holder::new(client, wanted, Credentials { key: None, secret, audience: AUDIENCE.to_owned() })
}

fn client(authority: &Authority) -> Client {
    Client::new(&authority.url).unwrap()
}

fn numbered(number: usize) -> Response {
    token(&format!("t{number}"), 900)
}

async fn by_many(holder: &Holder) -> Vec<Result<String, String>> {
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let holder = holder.clone();
        asking.spawn(async move {
            let token = holder.token().await.map_err(|failure| failure.to_string());
            token.map(|token| token.reveal().to_owned())
        });
    }
    let mut responses = asking.join_all().await;
    responses.dedup();
    responses
}

#[tokio::test]
async fn fifty_callers_cause_one_request_and_get_one_token() {
    let authority = Authority::start(|number, _| numbered(number)).await;
    let holder = holder(client(&authority));
    assert_eq!(by_many(&holder).await, [Ok("t0".to_owned())]);
    assert_eq!(by_many(&holder).await, [Ok("t0".to_owned())]);
    assert_eq!(authority.asked().len(), 1);
}

#[tokio::test]
async fn a_401_reported_by_many_causes_one_renewal_and_repeated_ones_no_loop() {
    let authority = Authority::start(|number, _| numbered(number)).await;
    let holder = holder(client(&authority));
    let first = holder.token().await.unwrap();
    (0..50).for_each(|_| holder.invalid(&first));
    assert_eq!(by_many(&holder).await, [Ok("t1".to_owned())]);
    (0..50).for_each(|_| holder.invalid(&first));
    assert_eq!(
        by_many(&holder).await,
        [Ok("t1".to_owned())],
        "a report of an old token has no effect"
    );
    // An API that answers 401 to everything must not cause endless requests.
    let second = holder.token().await.unwrap();
    for _ in 0..50 {
        holder.invalid(&second);
        assert_eq!(holder.token().await.unwrap().reveal(), "t1");
    }
    assert_eq!(authority.asked().len(), 2);
}

#[tokio::test]
async fn while_the_authority_refuses_callers_get_the_reason_without_another_request() {
    let authority =
        Authority::start(|_, _| with_status(400, r#"{"error":"invalid_client"}"#)).await;
    let holder = holder(client(&authority));
    let wrong = Err("refused with 400: invalid_client".to_owned());
    assert_eq!(by_many(&holder).await, std::slice::from_ref(&wrong));
    assert_eq!(by_many(&holder).await, [wrong]);
    assert_eq!(authority.asked().len(), 1);
}

#[tokio::test]
async fn a_request_without_a_response_is_repeated_under_the_same_key() {
    let authority = Authority::start(|number, _| match number {
        0 => with_status(503, "{}"),
        _ => numbered(number),
    })
    .await;
    let holder = holder(client(&authority));
    assert!(holder.token().await.is_err());
    // The pause after the first failure is about a second; calls meanwhile send nothing.
    let patience = std::time::Duration::from_millis(50);
    let mut tries = 0;
    while holder.token().await.is_err() {
        tries += 1;
        assert!(tries < 200, "no token within ten seconds");
        tokio::time::sleep(patience).await;
    }
    let keys: Vec<_> =
        authority.asked().iter().map(|it| it.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}
