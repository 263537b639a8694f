//! Rows that expired or were revoked long ago are swept, and no token becomes active
//! again by it; the revocation of a provider's tokens continues after a crash.

use crate::world::{ALL, Ask, NOW, World, by};
use tegata_store::{
    AuditFilter, Error, Old, ProviderRevocation, RevocationTarget, Store, TokenFilter, TokenName,
};
use tegata_token::{
    id::{ProviderId, Serial},
    kind::Kind,
    time::{DAY, UnixTime},
};

/// Sweeps all that expired or was revoked by `before`, a few rows at a time.
pub async fn sweep(world: &World, before: UnixTime) -> usize {
    let (mut place, mut gone) = (Some(0), 0);
    while let Some(after) = place {
        let (over, next) = world.inactive_before(after, before, 3).await.unwrap();
        gone += world.trim(Old::Tokens { rows: over, before }, UnixTime(0)).await.unwrap();
        place = next;
    }
    gone
}

pub async fn rows_are_swept_after_their_expiry_and_the_view_stays_the_same(mut world: World) {
    let shop = world.shop().await;
    let revoked = world.get(&shop, Ask::new(Kind::V21)).await;
    let evicted = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::ShortLived)).await;
    }
    let lives = world.get(&shop, Ask::new(Kind::LongLived)).await;
    world.revoke_at(&shop, RevocationTarget::Stored { serial: revoked }, NOW.plus(5)).await;
    let all = world.tokens(shop.id, TokenFilter::default(), ALL, NOW).await.unwrap().len();
    assert_eq!(sweep(&world, NOW).await, 0, "nothing had expired before now");
    let before = world.state().await.unwrap().view;
    // Both were revoked at once; of the active ones v2.1 and short-lived expire by then.
    assert_eq!(sweep(&world, NOW.plus(6)).await, 2);
    for gone in [revoked, evicted] {
        let name = TokenName::Serial(gone);
        assert!(world.token(shop.id, name, NOW).await.unwrap().is_none());
    }
    assert_eq!(sweep(&world, NOW.plus(31 * DAY)).await, all - 3, "the long-lived one stays");
    assert!(world.token(shop.id, TokenName::Serial(lives), NOW).await.unwrap().is_some());
    let same = |view: tegata_token::view::View| {
        crate::agree::views(&before, &view, [shop.id]);
    };
    same(world.state().await.unwrap().view);
    world.reopen().await;
    same(world.state().await.unwrap().view);
    let next = world.get(&shop, Ask::new(Kind::LongLived).at(NOW.plus(31 * DAY))).await;
    assert!(next > lives, "no serial is used again");
}

pub async fn an_active_row_that_is_named_is_not_swept(world: World) {
    let shop = world.shop().await;
    let serial = world.get(&shop, Ask::new(Kind::V21)).await;
    // The caller names it, but it is active: the store reads the row again.
    let gone =
        world.trim(Old::Tokens { rows: vec![1, 2, 3], before: NOW }, UnixTime(0)).await.unwrap();
    assert_eq!(gone, 0);
    assert!(world.token(shop.id, TokenName::Serial(serial), NOW).await.unwrap().is_some());
}

pub async fn the_revocation_of_a_providers_tokens_continues_after_a_crash(mut world: World) {
    let mut shops = Vec::new();
    for _ in 0..7 {
        let shop = world.shop().await;
        world.get(&shop, Ask::new(Kind::V21)).await;
        shops.push(shop);
    }
    let job = world.begin_provider_revocation(world.provider, by(NOW.plus(1))).await.unwrap();
    let later = world.shop().await;
    // The numbers of rows do not say which of two channels is the newer one: some databases
    // give them out by the hundred to each of their nodes.
    let id = later.id.number();
    world.place.write(&format!("UPDATE channel SET number = -number WHERE id = {id}")).await;
    let kept = world.get(&later, Ask::new(Kind::V21)).await;
    let (revoked, done) = world.continue_provider_revocation(job, 3, NOW.plus(1)).await.unwrap();
    assert_eq!((revoked.tokens, done), (3, false));
    world.reopen().await;
    let under_way = world.provider_revocations().await.unwrap();
    let provider = world.provider;
    assert_eq!(under_way, [ProviderRevocation { job, provider, revoked: 3, channels_left: 4 }]);
    let (revoked, done) = world.continue_provider_revocation(job, 3, NOW.plus(2)).await.unwrap();
    assert_eq!((revoked.tokens, done), (6, false));
    let (revoked, done) = world.continue_provider_revocation(job, 3, NOW.plus(2)).await.unwrap();
    assert_eq!((revoked.tokens, done), (7, true));
    assert_eq!(revoked.position, world.state().await.unwrap().view.position());
    assert!(world.provider_revocations().await.unwrap().is_empty());
    let again = world.continue_provider_revocation(job, 3, NOW.plus(2)).await;
    assert!(matches!(again, Err(Error::NotFound(_))));
    for shop in &shops {
        assert!(world.living(shop, Kind::V21, NOW.plus(2)).await.is_empty());
    }
    assert_eq!(world.living(&later, Kind::V21, NOW.plus(2)).await, [kept.0], "it was made later");
    let acts: Vec<_> = world
        .audit(AuditFilter::default(), ALL)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.act)
        .collect();
    assert_eq!(acts.iter().filter(|act| *act == "provider.revoke").count(), 1);
    assert_eq!(acts.iter().filter(|act| *act == "token.revoke").count(), 7);
    // Who still goes on with the first one does not meet the next one.
    let next = world.begin_provider_revocation(world.provider, by(NOW.plus(3))).await.unwrap();
    assert_ne!(next, job);
}

pub async fn two_that_go_on_with_one_revocation_of_a_providers_tokens_complete_it(world: World) {
    let mut shops = Vec::new();
    for _ in 0..60 {
        let shop = world.shop().await;
        world.get(&shop, Ask::new(Kind::V21)).await;
        shops.push(shop);
    }
    let more = world.place.more().await;
    let stores = [&*world, more.first().map_or(&*world, |it| &**it)];
    let job = world.begin_provider_revocation(world.provider, by(NOW.plus(1))).await.unwrap();
    let go_on = async |store: &dyn Store| {
        loop {
            match store.continue_provider_revocation(job, 10, NOW.plus(1)).await {
                Ok((_, false)) => {}
                end => return end,
            }
        }
    };
    let ends = <[_; 2]>::from(tokio::join!(go_on(stores[0]), go_on(stores[1])));
    let last = ends.iter().find_map(|it| it.as_ref().ok()).expect("one takes the last step");
    assert_eq!(last.0.tokens, 60);
    let other = ends.iter().find_map(|it| it.as_ref().err());
    assert!(matches!(other, Some(Error::NotFound(_))), "{other:?}");
    assert!(world.provider_revocations().await.unwrap().is_empty());
    for shop in &shops {
        assert!(world.living(shop, Kind::V21, NOW.plus(1)).await.is_empty());
    }
    let receipt = world.newest_receipt(world.provider).await.unwrap().unwrap();
    assert_eq!(receipt.position, last.0.position);
    world.revoke_at(&shops[0], RevocationTarget::All, NOW.plus(2)).await;
    let next = world.newest_receipt(world.provider).await.unwrap().unwrap();
    assert!(next.position > receipt.position, "a later act on the provider has a newer one");
    let other = ProviderId::from_number(9).unwrap();
    assert_eq!(world.newest_receipt(other).await.unwrap(), None);
}

pub async fn a_row_names_the_act_that_revoked_it(world: World) {
    let shop = world.shop().await;
    let serial = world.get(&shop, Ask::new(Kind::V21)).await;
    world.revoke_at(&shop, RevocationTarget::Kind(Kind::V21), NOW).await;
    let row = world.token(shop.id, TokenName::Serial(serial), NOW).await.unwrap().unwrap();
    let event = world.audit_row(row.revoked_act.unwrap()).await.unwrap().unwrap();
    assert_eq!((event.act.as_str(), &event.detail["kind"]), ("token.revoke", &"v2.1".into()));
    assert_eq!(event.channel, Some(shop.id));
    let pushed = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::ShortLived)).await;
    }
    let row = world.token(shop.id, TokenName::Serial(pushed), NOW).await.unwrap().unwrap();
    assert_eq!(row.revoked_act, None, "an eviction has no actor");
    assert_eq!(row.replaced_by, Some(Serial(pushed.0 + 30)));
}
