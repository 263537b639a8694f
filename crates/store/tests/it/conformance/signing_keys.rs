//! The authority's own keys, through their states.

use crate::world::{Ask, NOW, World, by, signing_key};
use tegata_store::{Error, SigningKeyChange};
use tegata_token::{
    key::KeyState::{self, Active, Pending, Retired, Revoked},
    kind::Kind,
    time::UnixTime,
    verify::{Invalid, verify_claims},
    view::RevokedBy,
};

/// The states of the keys made from 1, 2, 3, ..., on which the store, its view and its
/// follower agree.
async fn states(world: &World) -> Vec<KeyState> {
    let state = world.state().await.unwrap();
    let states: Vec<_> = state.signing_keys.iter().map(|key| key.state).collect();
    for key in &state.signing_keys {
        assert_eq!(state.view.key(key.id).unwrap().state, key.state);
    }
    crate::agree::views(&state.view, &world.follower.followed().view, []);
    assert_eq!(states.iter().filter(|&&state| state == Active).count(), 1);
    states
}

async fn change(world: &World, change: SigningKeyChange, at: UnixTime) -> Result<usize, Error> {
    let done = world.change_signing_keys(change, by(at)).await;
    done.map(|revoked| revoked.tokens.expect("few tokens are counted"))
}

pub async fn the_first_key_is_active_at_once_and_the_next_is_pending(mut world: World) {
    assert_eq!(states(&world).await, [Active]);
    change(&world, SigningKeyChange::Add(signing_key(2)), NOW).await.unwrap();
    assert_eq!(states(&world).await, [Active, Pending]);
    let third = change(&world, SigningKeyChange::Add(signing_key(3)), NOW).await;
    assert!(matches!(third, Err(Error::Conflict(_))), "one pending key at a time");
    assert_eq!(states(&world).await, [Active, Pending]);
    let shop = world.shop().await;
    let issued = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap();
    assert_eq!(issued.claims.key, signing_key(1).id);
    world.reopen().await;
    assert_eq!(states(&world).await, [Active, Pending]);
    let key = world.state().await.unwrap().signing_keys.swap_remove(1);
    assert_eq!((key.id, key.public), (signing_key(2).id, signing_key(2).public));
    assert_eq!(key.wrapped.0, [2]);
}

pub async fn a_promoted_key_is_active_and_its_predecessor_retired(world: World) {
    let shop = world.shop().await;
    let old = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
    let unknown = change(&world, SigningKeyChange::Promote(signing_key(2).id), NOW).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
    change(&world, SigningKeyChange::Add(signing_key(2)), NOW).await.unwrap();
    let at = NOW.plus(5);
    change(&world, SigningKeyChange::Promote(signing_key(2).id), at).await.unwrap();
    assert_eq!(states(&world).await, [Retired { issued_before: None }, Active]);
    assert_eq!(world.state().await.unwrap().signing_keys[0].changed_at, at);
    let new = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
    assert_eq!(new.key, signing_key(2).id);
    crate::agree::everything(&world, &[old, new], at).await;
    let again = change(&world, SigningKeyChange::Promote(signing_key(2).id), at).await;
    assert!(matches!(again, Err(Error::NotFound(_))));
}

pub async fn a_revoked_active_key_is_replaced_by_the_pending_one_or_by_the_successor(world: World) {
    let shop = world.shop().await;
    let mut tokens = vec![world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims];
    let remove = |seed, successor| SigningKeyChange::Revoke {
        key: signing_key(seed).id,
        successor: signing_key(successor),
    };
    change(&world, SigningKeyChange::Add(signing_key(2)), NOW).await.unwrap();
    let revoked = change(&world, remove(1, 9), NOW.plus(1)).await.unwrap();
    assert_eq!(revoked, 1);
    assert_eq!(states(&world).await, [Revoked, Active], "the successor was not needed");

    tokens.push(world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims);
    assert_eq!(change(&world, remove(2, 3), NOW.plus(2)).await.unwrap(), 1);
    assert_eq!(states(&world).await, [Revoked, Revoked, Active]);
    assert_eq!(world.state().await.unwrap().signing_keys[2].id, signing_key(3).id);

    // A revoked key stays revoked; a key that is not active needs no successor.
    let head = world.state().await.unwrap().view.position();
    assert_eq!(change(&world, remove(1, 9), NOW.plus(3)).await.unwrap(), 0);
    let after = world.state().await.unwrap().view.position();
    assert_eq!(after.number, head.number + 1, "an act without effects has a position");
    change(&world, SigningKeyChange::Add(signing_key(4)), NOW).await.unwrap();
    change(&world, remove(4, 9), NOW).await.unwrap();
    assert_eq!(states(&world).await, [Revoked, Revoked, Active, Revoked]);
    let unknown = change(&world, remove(9, 10), NOW).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
    tokens.push(world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims);
    crate::agree::everything(&world, &tokens, NOW.plus(3)).await;
}

pub async fn revoking_all_keys_revokes_every_token(world: World) {
    let shop = world.shop().await;
    let mut tokens = Vec::new();
    for seed in [2, 3] {
        tokens.push(world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims);
        change(&world, SigningKeyChange::Add(signing_key(seed)), NOW).await.unwrap();
        change(&world, SigningKeyChange::Promote(signing_key(seed).id), NOW).await.unwrap();
    }
    tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);
    change(&world, SigningKeyChange::Add(signing_key(4)), NOW).await.unwrap();
    let all = SigningKeyChange::RevokeAll { successor: signing_key(5) };
    assert_eq!(change(&world, all, NOW.plus(1)).await.unwrap(), 3);
    assert_eq!(states(&world).await, [Revoked, Revoked, Revoked, Revoked, Active]);
    let view = world.state().await.unwrap().view;
    for token in &tokens {
        let said = verify_claims(token, NOW.plus(1), &view);
        assert_eq!(said, Err(Invalid::Revoked(RevokedBy::SigningKey)));
    }
    tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);
    crate::agree::everything(&world, &tokens, NOW.plus(1)).await;
}

pub async fn a_revoked_key_loses_its_private_half(world: World) {
    let all = SigningKeyChange::RevokeAll { successor: signing_key(5) };
    change(&world, all, NOW).await.unwrap();
    let keys = world.state().await.unwrap().signing_keys;
    let wrapped: Vec<_> = keys.iter().map(|key| key.wrapped.0.clone()).collect();
    assert_eq!(wrapped, [vec![], vec![5]]);
}

pub async fn a_change_of_keys_that_fails_changes_nothing(world: World) {
    let shop = world.shop().await;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::V21)).await;
    }
    let before = world.state().await.unwrap();
    // A successor that exists already can only be a mistake.
    for mistake in [
        SigningKeyChange::RevokeAll { successor: signing_key(1) },
        SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(1) },
        SigningKeyChange::Add(signing_key(1)),
    ] {
        assert!(matches!(change(&world, mistake, NOW).await, Err(Error::Taken)));
        assert_eq!(states(&world).await, [Active]);
        let after = world.state().await.unwrap();
        assert_eq!(after.view.position(), before.view.position());
        assert_eq!(after.signing_keys[0].wrapped.0, [1]);
        // The writer's memory has not changed either: the key is active, and what it signed
        // counts.
        let full = world.ask(&shop, Ask::new(Kind::V21)).await;
        assert!(matches!(full, Err(Error::Denied(_))), "{full:?}");
        world.get(&shop, Ask::new(Kind::ShortLived)).await;
    }
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 30);
}

pub async fn a_revocation_of_keys_is_acknowledged_even_if_their_tokens_cannot_be_counted(
    world: World,
) {
    let shop = world.shop().await;
    let old = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
    // The revocation itself reads no row of a token.
    world.place.write("ALTER TABLE token RENAME TO token_elsewhere").await;
    let all = SigningKeyChange::RevokeAll { successor: signing_key(2) };
    let revoked = world.change_signing_keys(all, by(NOW.plus(1))).await.unwrap();
    assert_eq!(revoked.tokens, None);
    let view = world.state().await.unwrap().view;
    assert_eq!(revoked.position, view.position());
    assert!(verify_claims(&old, NOW.plus(1), &view).is_err(), "its key is revoked");
    world.place.write("ALTER TABLE token_elsewhere RENAME TO token").await;
}
