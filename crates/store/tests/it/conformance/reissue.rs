//! The long-lived token: one at a time, with or without a delay.

use crate::world::{Ask, NOW, World, by, signing_key};
use tegata_store::{RevocationCause, RevocationTarget, SigningKeyChange, TokenState};
use tegata_token::{
    kind::Kind,
    time::{DAY, UnixTime},
    verify::verify_claims,
};

fn reissue(delay: i64, at: UnixTime) -> Ask {
    Ask::new(Kind::LongLived).delay(delay).at(at)
}

pub async fn a_reissue_revokes_the_current_token_at_once(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, reissue(0, NOW)).await.unwrap();
    assert_eq!(first.previous_until, None);
    let second = world.ask(&shop, reissue(0, NOW.plus(5))).await.unwrap();
    assert_eq!(second.previous_until, None);
    let row = world.row(&shop, first.claims.serial, NOW.plus(5)).await;
    assert_eq!(row.state, TokenState::Revoked);
    assert_eq!(row.revocation, Some((RevocationCause::Reissued, NOW.plus(5))));
    assert_eq!(row.replaced_by, Some(second.claims.serial));
    crate::agree::everything(&world, &[first.claims, second.claims], NOW.plus(5)).await;
}

pub async fn a_reissue_with_a_delay_keeps_the_current_token_active_until_then(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, reissue(DAY, NOW)).await.unwrap();
    assert_eq!(first.previous_until, None, "there is no previous token");
    let second = world.ask(&shop, reissue(DAY, NOW)).await.unwrap();
    assert_eq!(second.previous_until, Some(NOW.plus(DAY)));
    let tokens = [first.claims, second.claims];

    let last = NOW.plus(DAY - 1);
    let row = world.row(&shop, tokens[0].serial, last).await;
    assert_eq!((row.state, row.revocation), (TokenState::Active, None));
    assert_eq!(row.expires_at, NOW.plus(DAY));
    assert_eq!(row.replaced_by, Some(tokens[1].serial));
    crate::agree::everything(&world, &tokens, last).await;
    let row = world.row(&shop, tokens[0].serial, NOW.plus(DAY)).await;
    assert_eq!(row.state, TokenState::Revoked);
    assert_eq!(row.revocation, Some((RevocationCause::Reissued, NOW.plus(DAY))));
    crate::agree::everything(&world, &tokens, NOW.plus(DAY)).await;
    assert_eq!(world.living(&shop, Kind::LongLived, NOW.plus(DAY)).await, [2]);
    // An expired predecessor is not revoked again.
    let revoked = world.revoke_at(&shop, RevocationTarget::All, NOW.plus(DAY)).await;
    assert_eq!(revoked.tokens, 1);
    let row = world.row(&shop, tokens[0].serial, NOW.plus(DAY)).await;
    assert_eq!(row.revocation, Some((RevocationCause::Reissued, NOW.plus(DAY))));
}

pub async fn a_reissue_within_a_running_delay_revokes_all_but_its_direct_predecessor(world: World) {
    let shop = world.shop().await;
    let mut tokens = Vec::new();
    for (delay, at) in [(0, 0), (1000, 10), (500, 20), (2000, 30)] {
        let issued = world.ask(&shop, reissue(delay, NOW.plus(at))).await.unwrap();
        tokens.push(issued.claims);
        let living = world.living(&shop, Kind::LongLived, NOW.plus(at)).await;
        let serial = tokens.len() as u64;
        assert_eq!(living, Vec::from_iter((serial - 1).max(1)..=serial));
        crate::agree::everything(&world, &tokens, NOW.plus(at)).await;
    }
    let at = NOW.plus(30);
    let ends: Vec<_> =
        world.rows(&shop, at).await.iter().map(|row| (row.revocation, row.expires_at)).collect();
    assert_eq!(ends[0].0, Some((RevocationCause::Reissued, NOW.plus(20))));
    assert_eq!(ends[1].0, Some((RevocationCause::Reissued, at)));
    assert_eq!(ends[2], (None, at.plus(2000)));
    // Without a delay all are revoked at once.
    let issued = world.ask(&shop, reissue(0, at.plus(5))).await.unwrap();
    tokens.push(issued.claims);
    assert_eq!(world.living(&shop, Kind::LongLived, at.plus(5)).await, [5]);
    crate::agree::everything(&world, &tokens, at.plus(5)).await;
    crate::agree::everything(&world, &tokens, at.plus(5000)).await;
}

pub async fn no_reissue_postpones_a_revocation_already_set(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, reissue(0, NOW)).await.unwrap().claims;
    let second = world.ask(&shop, reissue(1000, NOW)).await.unwrap().claims;
    world.revoke_at(&shop, RevocationTarget::Stored { serial: second.serial }, NOW.plus(10)).await;
    // The first is the newest active one, and gets no second delay.
    let at = NOW.plus(20);
    let third = world.ask(&shop, reissue(5000, at).key("k")).await.unwrap();
    assert_eq!(third.previous_until, Some(NOW.plus(1000)));
    let again = world.ask(&shop, reissue(5000, at).key("k")).await.unwrap();
    assert_eq!(again.previous_until, Some(NOW.plus(1000)));
    let row = world.row(&shop, first.serial, at).await;
    assert_eq!((row.state, row.expires_at), (TokenState::Active, NOW.plus(1000)));
    let tokens = [first, second, third.claims];
    for at in [at, NOW.plus(999), NOW.plus(1000), NOW.plus(6000)] {
        crate::agree::everything(&world, &tokens, at).await;
    }
    // But a shorter delay shortens it.
    let fourth = world.ask(&shop, reissue(30, NOW.plus(50))).await.unwrap();
    assert_eq!(fourth.previous_until, Some(NOW.plus(80)));
    assert_eq!(world.living(&shop, Kind::LongLived, NOW.plus(50)).await, [3, 4]);
}

pub async fn a_revoked_successor_does_not_reactivate_its_predecessor(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, reissue(0, NOW)).await.unwrap().claims;
    let second = world.ask(&shop, reissue(0, NOW)).await.unwrap().claims;
    world.revoke_at(&shop, RevocationTarget::Stored { serial: second.serial }, NOW).await;
    assert!(world.living(&shop, Kind::LongLived, NOW).await.is_empty());
    let view = world.state().await.unwrap().view;
    assert!(
        verify_claims(&first, NOW, &view).is_err() && verify_claims(&second, NOW, &view).is_err()
    );
    crate::agree::everything(&world, &[first, second], NOW).await;
}

pub async fn a_past_revocation_keeps_its_time_whatever_revokes_the_rest_later(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, reissue(0, NOW)).await.unwrap().claims;
    let second = world.ask(&shop, reissue(60, NOW)).await.unwrap().claims;
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(2) };
    let at = NOW.plus(100);
    let revoked = world.change_signing_keys(remove, by(at)).await.unwrap();
    assert_eq!(revoked.tokens, Some(1));
    let row = world.row(&shop, first.serial, at).await;
    assert_eq!(row.revocation, Some((RevocationCause::Reissued, NOW.plus(60))));
    let row = world.row(&shop, second.serial, at).await;
    assert_eq!(row.revocation, Some((RevocationCause::Requested, at)));
    crate::agree::everything(&world, &[first, second], at).await;
}
