//! How fast one may ask, and where a request is taken to come from.

use crate::world::World;
use tegata_server::source::TrustedProxies;
use tegata_store::Page;

fn behind_a_proxy(settings: &mut tegata_server::config::Settings) {
    settings.trusted_proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_guesses_count_by_whom_it_names() {
    let world = World::with(behind_a_proxy).await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let guess = async |from: &str| {
        let headers = [("x-forwarded-for", from)];
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &*id),
            ("client_secret", "not the secret"),
        ];
        world.post_with("/v2/oauth/accessToken", &headers, &fields).await.status
    };
    for number in 0..10 {
        // What the guesser wrote itself stands in front, and does not help.
        assert_eq!(guess(&format!("198.51.100.{number}, 192.0.2.1")).await, 400);
    }
    assert_eq!(guess("192.0.2.1").await, 429);
    assert_eq!(guess("192.0.2.2").await, 400, "another source");
    assert_eq!(guess("what is that?").await, 400, "the proxy itself");
    world.short_lived(&shop, &[]).await.token();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_names_whom_a_trusted_proxy_names_and_nobody_else_is_believed() {
    for (trusted, expected) in [(true, "192.0.2.1"), (false, "127.0.0.1")] {
        let world = World::with(|it| {
            if trusted {
                behind_a_proxy(it)
            }
        })
        .await;
        let shop = world.channel("shop").await;
        let token = world.short_lived(&shop, &[]).await.token();
        let fields = [("access_token", &*token)];
        let headers = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(world.post_with("/v2/oauth/revoke", &headers, &fields).await.status, 200);
        let page = Page { before: None, most: 1 };
        let audit = world.authority().store().audit(Some(shop.id), page).await.unwrap();
        assert_eq!(audit[0].source.as_deref(), Some(expected));
    }
}
