//! Reports of the partner programmes and of a self-managed GitLab.

use super::{Desk, GITLAB, array_of, flag};
use crate::world::{JSON, World};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tegata_policy::secret::sha256;
use tegata_token::kind::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn github_learns_which_of_its_matches_are_tokens_and_they_are_revoked() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let tokens = desk.tokens(&shop).await;
    let foreign = format!("tgs_{}", "A".repeat(228));
    let named: Vec<&str> = tokens.iter().map(String::as_str).chain([foreign.as_str()]).collect();
    let body = array_of(&named);
    // Repeating a report succeeds again: a revoked token is a token.
    for _ in 0..2 {
        let reply = desk.github(&body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let said: Value = serde_json::from_str(&reply.text).unwrap();
        for (at, token) in named.iter().enumerate() {
            let hash = HEXLOWER.encode(&sha256(&[token.as_bytes()]));
            let label = if *token == foreign { "false_positive" } else { "true_positive" };
            let expected = json!({ "token_hash": hash, "token_type": "tegata", "label": label });
            assert_eq!(said[at], expected);
        }
        assert!(named.iter().all(|it| !reply.text.contains(it)), "no token is in the answer");
    }
    for token in &tokens {
        assert!(!desk.world.is_good(token).await);
    }
    let events = desk.events("leak.report").await;
    assert_eq!(events.len(), 1, "the second report found nothing to do");
    assert_eq!(events[0].actor, "reporter github");
    let places = &events[0].detail["found_at"];
    assert_eq!(*places, json!(["https://github.com/a/b/blob/main/c.env"]), "without its query");
    let receipt = events[0].position.unwrap();
    assert!(desk.world.admin().receipt(receipt, std::time::Duration::ZERO).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_of_an_entry_counts_and_a_long_one_rejects_no_others() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(desk.world.issue(&shop, Kind::ShortLived).await);
    }
    let foreign = format!("tgs_{}", "A".repeat(228));
    let long = "a".repeat(9_000);
    let two = format!("{foreign} {} {}", tokens[0], tokens[1]);
    let reply = desk.github(&array_of(&[&long, &two, &foreign, &tokens[2]])).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let said: Vec<Value> = serde_json::from_str(&reply.text).unwrap();
    let labels: Vec<_> = said.iter().map(|it| it["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["false_positive", "true_positive", "false_positive", "true_positive"]);
    for token in &tokens {
        assert!(!desk.world.is_good(token).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_report_of_a_flagged_token_does_not_hide_a_signed_one() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    desk.world.change(&shop, flag()).await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    for _ in 0..2 {
        let body = json!({ "token": token }).to_string();
        assert_eq!(desk.post("/report", &[JSON], body).await.status, 202);
        assert_eq!(desk.github(&array_of(&[&token])).await.status, 200);
    }
    let actors: Vec<_> = desk.events("leak.report").await.into_iter().map(|it| it.actor).collect();
    assert_eq!(actors, ["reporter github", "reporter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_any_secret_of_ours_is_not_kept() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let token = desk.world.issue(&shop, Kind::V21).await;
    let administrators = format!("tga_{}", "0123456789abcdef".repeat(4));
    let url = format!("https://github.com/{administrators}/x");
    let body = json!([{ "token": token, "type": "tegata", "url": url }]).to_string();
    assert_eq!(desk.github(&body).await.status, 200);
    let events = desk.events("leak.report").await;
    assert!(!events[0].detail.to_string().contains("tga_"), "{}", events[0].detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_com_and_a_self_managed_gitlab_are_answered_with_204() {
    let desk = Desk::new().await;
    let shop = desk.world.channel("shop").await;
    let (one, two) =
        (desk.world.issue(&shop, Kind::V21).await, desk.world.issue(&shop, Kind::Stateless).await);
    let body = array_of(&[&one, "unknown"]);
    for _ in 0..2 {
        let reply = desk.gitlab(&body).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    }
    assert!(!desk.world.is_good(&one).await && desk.world.is_good(&two).await);

    let types =
        desk.world.get_with("/v1/revocable_token_types", &[("authorization", GITLAB)]).await;
    let said: Value = serde_json::from_str(&types.text).unwrap();
    assert_eq!((types.status, said), (200, json!({ "types": ["gitleaks_rule_id_tegata"] })));
    let entry = |kind: &str| json!([{ "type": kind, "token": two, "location": "https://gitlab.example.com/a/-/blob/b" }]);
    let reply = desk.self_managed(&entry("gitleaks_rule_id_aws").to_string()).await;
    assert_eq!(reply.status, 400, "GitLab does not repeat it: {}", reply.text);
    assert!(desk.world.is_good(&two).await);
    for _ in 0..2 {
        let reply = desk.self_managed(&entry("gitleaks_rule_id_tegata").to_string()).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    }
    assert!(!desk.world.is_good(&two).await);
    let actors: Vec<String> =
        desk.events("leak.report").await.into_iter().map(|it| it.actor).collect();
    assert_eq!(actors, ["reporter gitlab-self-managed", "reporter gitlab"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_or_a_token_the_paths_of_programmes_do_not_exist() {
    let world = World::new().await;
    for path in ["/leaks/github", "/leaks/gitlab", "/v1/revoke_tokens"] {
        let reply = world.send(reqwest::Method::POST, path, &[JSON], "[]".to_owned()).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    assert_eq!(world.get("/v1/revocable_token_types").await.status, 404);
    for path in ["/report", "/leaks/github", "/credentials/revoke"] {
        assert_eq!(world.get(path).await.status, 405, "{path}");
    }
}
