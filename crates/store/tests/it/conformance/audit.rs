//! The audit: one event for each act of an actor, in the act's own transaction.

use crate::world::{ALL, Ask, NOW, World, by, denied, group, signing_key};
use tegata_policy::channel::RevokeTokens;
use tegata_policy::{channel::GroupSettings, rules::TokenRules, secret::PlainSecret};
use tegata_store::{
    AuditFilter, AuditRow, By, ChannelPatch, Event, ExpectedSettings, Page, RevocationTarget,
    SigningKeyChange, TokenName,
    audit_event::{AuditEvent, SecretThrottled},
};
use tegata_token::{
    id::{ChannelId, Serial, TokenId},
    kind::Kind,
    view::ChannelState,
};

/// All rows, oldest first.
async fn rows(world: &World) -> Vec<AuditRow> {
    let mut rows = world.audit(AuditFilter::default(), ALL).await.unwrap();
    rows.reverse();
    rows
}

pub async fn every_act_writes_its_audit_event_in_the_same_transaction(mut world: World) {
    let who = || By {
        actor: "alice".into(),
        source: Some("192.0.2.1".into()),
        reason: Some("because".into()),
        at: NOW.plus(9),
        expected: ExpectedSettings::default(),
        request_id: None,
    };
    let shop = world.shop().await;
    let first = rows(&world).await;
    let acts: Vec<_> = first.iter().map(|row| row.act.as_str()).collect();
    assert_eq!(acts, ["provider.create", "signing-key.rotate", "channel.create", "key.register"]);
    macro_rules! writes {
        ($act:expr, $name:literal) => {{
            let before = rows(&world).await.len();
            $act.await.unwrap();
            let new = rows(&world).await.split_off(before);
            assert_eq!(new.len(), 1, "{}", stringify!($act));
            let row = &new[0];
            assert_eq!((row.act.as_str(), row.actor.as_str()), ($name, "alice"));
            assert_eq!(row.source.as_deref(), Some("192.0.2.1"));
            assert_eq!((row.at, &row.detail["reason"]), (NOW.plus(9), &"because".into()));
        }};
    }
    let id = shop.id;
    let patch = |patch: ChannelPatch| world.change_channel(id, patch, who());
    let none = ChannelPatch::default;
    let secret = || PlainSecret::from_random([2; 16]);
    let settings = || GroupSettings { cap: Some(3), ..GroupSettings::default() };
    let provider = tegata_token::id::ProviderId::from_number(5).unwrap();

    writes!(world.create_provider(provider, "P".into(), who()), "provider.create");
    writes!(world.create_channel(world.new_channel(&secret()), who()), "channel.create");
    writes!(patch(ChannelPatch { name: Some("N".into()), ..none() }), "channel.set");
    assert_eq!(rows(&world).await.last().unwrap().detail["name"], "N");
    writes!(patch(ChannelPatch { rules: Some(TokenRules::Legacy2020), ..none() }), "channel.set");
    writes!(
        patch(ChannelPatch { state: Some(ChannelState::Suspended), ..none() }),
        "channel.suspend"
    );
    writes!(patch(ChannelPatch { state: Some(ChannelState::Active), ..none() }), "channel.resume");
    writes!(
        world.replace_secret(id, secret().hash(), 60, RevokeTokens::All, who()),
        "channel.rotate-secret"
    );
    let key = world.register(id, 1, None).await.unwrap();
    writes!(world.delete_key(id, key, true, who()), "key.delete");
    writes!(world.set_group(id, group("a"), settings().into(), who()), "group.set");
    writes!(world.delete_group(id, group("a"), who()), "group.delete");
    writes!(world.revoke(id, RevocationTarget::All, false, who()), "token.revoke");
    writes!(
        world.revoke(id, RevocationTarget::Stored { serial: Serial(1) }, false, who()),
        "token.revoke"
    );
    let add = SigningKeyChange::Add(signing_key(2));
    writes!(world.change_signing_keys(add, who()), "signing-key.rotate");
    let promote = SigningKeyChange::Promote(signing_key(2).id);
    writes!(world.change_signing_keys(promote, who()), "signing-key.promote");
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(3) };
    writes!(world.change_signing_keys(remove, who()), "signing-key.revoke");
    let all = SigningKeyChange::RevokeAll { successor: signing_key(3) };
    writes!(world.change_signing_keys(all, who()), "signing-key.revoke-all");
    let grant = world.grant(&shop, &Ask::new(Kind::LongLived)).await;
    writes!(world.issue(grant, TokenId([1; 16]), NOW, Some(who())), "token.issue");
    writes!(patch(ChannelPatch { state: Some(ChannelState::Deleted), ..none() }), "channel.delete");

    // An issue has no actor; its own row records it.
    let other = world.shop().await;
    let seen = rows(&world).await;
    world.get(&other, Ask::new(Kind::V21)).await;
    world.reopen().await;
    let kept = rows(&world).await;
    assert_eq!(format!("{kept:?}"), format!("{seen:?}"));
}

pub async fn an_event_that_changes_nothing_is_written_too(world: World) {
    let shop = world.shop().await;
    let event = AuditEvent::SecretThrottle(SecretThrottled { seconds: 10 });
    let event = Event { event, provider: Some(world.provider), channel: Some(shop.id) };
    let position = world.state().await.unwrap().view.position();
    world.record(event, by(NOW.plus(3))).await.unwrap();
    let row = rows(&world).await.pop().unwrap();
    assert_eq!((row.act.as_str(), row.at), ("secret.throttle", NOW.plus(3)));
    assert_eq!((row.channel, row.position), (Some(shop.id), None));
    assert_eq!(row.detail["seconds"], 10);
    assert_eq!(world.state().await.unwrap().view.position(), position);
}

pub async fn a_denied_act_and_a_dry_run_write_no_audit_event(world: World) {
    let shop = world.shop().await;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::V21)).await;
    }
    let before = rows(&world).await.len();
    world.revoke(shop.id, RevocationTarget::All, true, by(NOW)).await.unwrap();
    world
        .revoke(shop.id, RevocationTarget::Stored { serial: Serial(1) }, true, by(NOW))
        .await
        .unwrap();
    let grant = world.grant(&shop, &Ask::new(Kind::V21)).await;
    denied(world.issue(grant, TokenId([1; 16]), NOW, Some(by(NOW))).await);
    let nowhere = ChannelId::from_number(1).unwrap();
    world.revoke(nowhere, RevocationTarget::All, false, by(NOW)).await.unwrap_err();
    world.register(shop.id, 0, None).await.unwrap_err();
    world.create_provider(world.provider, "P".into(), by(NOW)).await.unwrap_err();
    let promote = SigningKeyChange::Promote(signing_key(9).id);
    world.change_signing_keys(promote, by(NOW)).await.unwrap_err();
    assert_eq!(rows(&world).await.len(), before);
}

pub async fn audit_events_are_listed_newest_first_and_by_channel(world: World) {
    let (shop, other) = (world.shop().await, world.shop().await);
    for n in 0..5 {
        world.revoke_at(&shop, RevocationTarget::All, NOW.plus(n)).await;
        world.revoke_at(&other, RevocationTarget::Kind(Kind::V21), NOW.plus(n)).await;
    }
    let of_shop = world.audit(AuditFilter::of(shop.id), ALL).await.unwrap();
    assert_eq!(of_shop.len(), 7);
    assert!(of_shop.iter().all(|row| row.channel == Some(shop.id)));
    assert!(of_shop.iter().all(|row| row.provider == Some(world.provider)));
    let (mut before, mut paged) = (None, Vec::new());
    loop {
        let page = world.audit(AuditFilter::of(shop.id), Page { before, most: 3 }).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        paged.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(paged, of_shop.iter().map(|row| row.id).collect::<Vec<_>>());
    assert!(paged.is_sorted_by(|a, b| a > b));
    assert_eq!(world.audit(AuditFilter::default(), ALL).await.unwrap().len(), 2 + 14);
}

pub async fn an_audit_event_has_a_position_only_if_its_act_wrote_to_the_log(world: World) {
    let shop = world.shop().await;
    let serial = world.get(&shop, Ask::new(Kind::V21)).await;
    let last = || async { rows(&world).await.pop().unwrap().position };
    let head = || async { Some(world.state().await.unwrap().view.position()) };
    assert_eq!(last().await, head().await, "a new key is logged for replicas");
    let target = RevocationTarget::Stored { serial };
    let revoked = world.revoke_at(&shop, target.clone(), NOW).await;
    assert_eq!(last().await, Some(revoked.position));
    let detail = rows(&world).await.pop().unwrap().detail;
    let named = world.token(shop.id, TokenName::Serial(serial), NOW).await.unwrap().unwrap();
    assert_eq!(detail["token_id"], named.id.to_string(), "operators use its id");
    world.revoke_at(&shop, target, NOW).await;
    assert_ne!(last().await, Some(revoked.position), "an act without effects has its own");
    assert_eq!(last().await, head().await);
    let rules = ChannelPatch { rules: Some(TokenRules::Legacy2020), ..ChannelPatch::default() };
    world.patch(&shop, rules).await;
    assert_eq!(last().await, head().await, "and so are other rules");
    let state = Some(ChannelState::Suspended);
    world.patch(&shop, ChannelPatch { state, ..ChannelPatch::default() }).await;
    assert_eq!(last().await, head().await);
}

pub async fn no_secret_is_in_an_audit_event(world: World) {
    let shop = world.shop().await;
    let secret = PlainSecret::from_random([0xCA; 16]);
    world.replace_secret(shop.id, secret.hash(), 60, RevokeTokens::All, by(NOW)).await.unwrap();
    let add = SigningKeyChange::Add(signing_key(0xCA));
    world.change_signing_keys(add, by(NOW)).await.unwrap();
    let text = format!("{:?}", rows(&world).await);
    let hash: String = secret.hash().to_stored().iter().map(|it| format!("{it:02x}")).collect();
    for canary in [secret.reveal(), shop.secret.reveal(), &hash, "cacaca"] {
        assert!(!text.to_lowercase().contains(canary), "{canary}");
    }
}

pub async fn events_after_a_recovery_that_took_an_earlier_time_are_found_by_their_times(
    world: World,
) {
    let shop = world.shop().await;
    for n in 0..3 {
        world.revoke(shop.id, RevocationTarget::All, false, by(NOW.plus(n))).await.unwrap();
    }
    let all = world.audit(AuditFilter::default(), ALL).await.unwrap();
    let (newest, recovery) = (all[0].id, all[1].id);
    let ahead: Vec<_> = all[2..].iter().map(|it| it.id).collect();
    // As if the clock had been ahead until a recovery took the right time.
    let sql = format!(
        "UPDATE audit SET at = at + 1000000 WHERE id < {recovery};
         UPDATE audit SET act = 'store.recover' WHERE id = {recovery}"
    );
    world.place.write(&sql).await;
    let listed = async |filter: AuditFilter| -> Vec<_> {
        world.audit(filter, ALL).await.unwrap().iter().map(|it| it.id).collect()
    };
    let until = Some(NOW.plus(100));
    assert_eq!(listed(AuditFilter { until, ..<_>::default() }).await, [newest, recovery]);
    let since = Some(NOW);
    assert_eq!(listed(AuditFilter { since, until, ..<_>::default() }).await, [newest, recovery]);
    // After the right time, and before the wrong ones; after the recovery; after all of them.
    let since = Some(NOW.plus(500_000));
    assert_eq!(listed(AuditFilter { since, ..<_>::default() }).await, ahead);
    let since = Some(all[0].at);
    let and_newest = [&[newest][..], &ahead].concat();
    assert_eq!(listed(AuditFilter { since, ..<_>::default() }).await, and_newest);
    let since = Some(NOW.plus(2_000_000));
    assert!(listed(AuditFilter { since, ..<_>::default() }).await.is_empty());
}
