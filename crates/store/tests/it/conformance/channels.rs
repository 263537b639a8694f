//! Providers, channels, their settings, keys and groups.

use crate::world::{ALL, Ask, NOW, World, by, denied, group, signing_key};
use std::num::NonZeroU32;
use tegata_policy::{
    channel::{GroupRule, GroupSettings, OnLeak, RevokeTokens},
    denied::Denied,
    rules::{TokenRules, WhenFull},
    secret::PlainSecret,
};
use tegata_store::{
    Change, ChannelFilter, ChannelPatch, Error, LimitsPatch, Page, RevocationTarget, Stamp,
    TokenState,
};
use tegata_token::{
    id::{ChannelId, ProviderId, Serial},
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

/// Follows the pages of a list, at most `most` rows each.
async fn pages<T, F: Future<Output = Vec<(i64, T)>>>(
    most: usize,
    list: impl Fn(Page) -> F,
) -> Vec<T> {
    let (mut before, mut all) = (None, Vec::new());
    loop {
        let page = list(Page { before, most }).await;
        assert!(page.len() <= most);
        let Some((last, _)) = page.last() else { return all };
        before = Some(*last);
        all.extend(page.into_iter().map(|(_, row)| row));
    }
}

pub async fn providers_and_channels_are_listed_newest_first_and_page_by_page(world: World) {
    let store = &world;
    for number in [5, 3, 4] {
        let id = ProviderId::from_number(number).unwrap();
        store.create_provider(id, format!("P{number}"), by(NOW)).await.unwrap();
    }
    for most in [1, 2, 100] {
        let found =
            pages(
                most,
                |page| async move { store.providers(Default::default(), page).await.unwrap() },
            )
            .await;
        let found: Vec<_> = found.iter().map(|it| (it.id.number(), it.name.as_str())).collect();
        assert_eq!(found, [(4, "P4"), (3, "P3"), (5, "P5"), (77, "Shops")]);
    }
    let (a, b, c) = (store.shop().await, store.shop().await, store.shop().await);
    for most in [1, 2, 100] {
        let list = |page| async move {
            store.channels(ChannelFilter::of(store.provider), page).await.unwrap()
        };
        let found: Vec<_> = pages(most, list).await.iter().map(|it| it.id).collect();
        assert_eq!(found, [c.id, b.id, a.id]);
    }
    let elsewhere =
        store.channels(ChannelFilter::of(ProviderId::from_number(5).unwrap()), ALL).await.unwrap();
    assert!(elsewhere.is_empty());
    for _ in 0..5 {
        store.get(&a, Ask::new(Kind::V21)).await;
    }
    let list =
        |page| async move { store.tokens(a.id, Default::default(), page, NOW).await.unwrap() };
    let found: Vec<_> = pages(2, list).await.iter().map(|it| it.serial.0).collect();
    assert_eq!(found, [5, 4, 3, 2, 1]);
}

pub async fn an_id_is_never_used_again_even_after_deletion(world: World) {
    let secret = PlainSecret::from_random([1; 16]);
    let new = world.new_channel(&secret);
    world.create_channel(new.clone(), by(NOW)).await.unwrap();
    let delete = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    let taken = |result: Result<_, Error>| matches!(result, Err(Error::Taken));
    assert!(taken(world.create_channel(new.clone(), by(NOW)).await));
    world.change_channel(new.id, delete, by(NOW)).await.unwrap();
    assert!(taken(world.create_channel(new, by(NOW)).await));
    let again = world.create_provider(world.provider, "Again".into(), by(NOW)).await;
    assert!(matches!(again, Err(Error::Taken)));
    let [(_, provider)] = &world.providers(Default::default(), ALL).await.unwrap()[..] else {
        panic!("one provider was made")
    };
    assert_eq!(provider.name, "Shops");
}

pub async fn an_act_on_an_object_that_does_not_exist_is_not_found(world: World) {
    let unknown_provider = ProviderId::from_number(1).unwrap();
    let unknown_channel = ChannelId::from_number(1).unwrap();
    let secret = PlainSecret::from_random([1; 16]);
    let mut new = world.new_channel(&secret);
    new.provider = unknown_provider;
    let not_found = |what: &str, error: Error| {
        assert!(matches!(error, Error::NotFound(it) if it == what), "{error:?} for {what}");
    };
    not_found("provider", world.create_channel(new.clone(), by(NOW)).await.unwrap_err());
    not_found(
        "provider",
        world.channels(ChannelFilter::of(unknown_provider), ALL).await.unwrap_err(),
    );
    assert!(world.channel(new.id).await.unwrap().is_none());
    let patch = ChannelPatch::default();
    not_found("channel", world.change_channel(unknown_channel, patch, by(NOW)).await.unwrap_err());
    let replaced =
        world.replace_secret(unknown_channel, secret.hash(), 0, RevokeTokens::None, by(NOW)).await;
    not_found("channel", replaced.unwrap_err());
    not_found(
        "channel",
        world.revoke(unknown_channel, RevocationTarget::All, false, by(NOW)).await.unwrap_err(),
    );
    not_found("channel", world.groups(unknown_channel, NOW).await.unwrap_err());
    not_found("channel", world.register(unknown_channel, 0, None).await.unwrap_err());
    let shop = world.shop().await;
    world.delete_key(shop.id, shop.kid, false, by(NOW)).await.unwrap();
    let again = world.delete_key(shop.id, shop.kid, false, by(NOW)).await;
    not_found("assertion key", again.unwrap_err());
    // Revoking a token that does not exist changes nothing, and is no error.
    let revoked = world.revoke_at(&shop, RevocationTarget::Stored { serial: Serial(9) }, NOW).await;
    assert_eq!(revoked.tokens, 0);
}

pub async fn the_revision_changes_only_with_what_requests_are_authorized_with(world: World) {
    let shop = world.shop().await;
    let mut last = world.snapshot(&shop).await.revision;
    macro_rules! after {
        ($act:expr, moves: $moves:expr) => {{
            $act.await.unwrap();
            let revision = world.snapshot(&shop).await.revision;
            assert_eq!(revision > last, $moves, "{}: {last} and {revision}", stringify!($act));
            last = revision;
        }};
    }
    let patch = |patch: ChannelPatch| world.change_channel(shop.id, patch, by(NOW));
    let none = ChannelPatch::default;

    after!(patch(ChannelPatch { name: Some("Other".into()), ..none() }), moves: false);
    assert_eq!(world.snapshot(&shop).await.name, "Other");
    after!(patch(none()), moves: false);
    let limits = LimitsPatch { surge_limit: Some(Some(7)), ..LimitsPatch::default() };
    after!(patch(ChannelPatch { limits, ..none() }), moves: false);
    after!(world.ask(&shop, Ask::new(Kind::ShortLived)), moves: false);
    after!(world.revoke(shop.id, RevocationTarget::All, false, by(NOW)), moves: false);
    after!(world.stamp(vec![Stamp::Token(shop.id, Serial(1), NOW)]), moves: false);
    let other = world.shop().await;
    after!(world.delete_key(other.id, other.kid, false, by(NOW)), moves: false);

    after!(patch(ChannelPatch { rules: Some(TokenRules::Legacy2020), ..none() }), moves: true);
    after!(patch(ChannelPatch { group_cap: Some(3), ..none() }), moves: true);
    after!(
        patch(ChannelPatch { group_when_full: Some(WhenFull::Deny), ..none() }),
        moves: true
    );
    after!(patch(ChannelPatch { own_audience_only: Some(true), ..none() }), moves: true);
    after!(patch(ChannelPatch { single_use_assertions: Some(true), ..none() }), moves: true);
    after!(patch(ChannelPatch { on_leak: Some(OnLeak::Flag), ..none() }), moves: true);
    after!(patch(ChannelPatch { state: Some(ChannelState::Suspended), ..none() }), moves: true);
    after!(patch(ChannelPatch { state: Some(ChannelState::Active), ..none() }), moves: true);
    let secret = PlainSecret::from_random([2; 16]).hash();
    after!(world.replace_secret(shop.id, secret, 60, RevokeTokens::None, by(NOW)), moves: true);
    after!(world.register(shop.id, 1, Some(group("a"))), moves: true);
    let settings = || GroupSettings { cap: Some(5), ..GroupSettings::default() };
    after!(world.set_group(shop.id, group("b"), settings().into(), by(NOW)), moves: true);
    after!(world.delete_group(shop.id, group("a"), by(NOW)), moves: true);
    after!(world.delete_key(shop.id, shop.kid, false, by(NOW)), moves: true);
    let _ = last;
}

pub async fn a_commit_that_changes_a_snapshot_reports_its_channel(world: World) {
    let shop = world.shop().await;
    let discarded = |since: usize| -> Vec<_> {
        let followed = world.follower.followed();
        let changes = followed.commits[since..].iter().flat_map(|commit| &commit.changes);
        let touched = |change: &Change| match change {
            Change::Channel { channel, .. } => Some(*channel),
            _ => None,
        };
        changes.filter_map(touched).collect()
    };
    let commits = || world.follower.followed().commits.len();
    macro_rules! after {
        ($act:expr, discarded: $channels:expr) => {{
            let since = commits();
            $act.await.unwrap();
            let mut channels = discarded(since);
            channels.dedup();
            assert_eq!(channels, $channels, "{}", stringify!($act));
        }};
    }
    let id = shop.id;
    let none = ChannelPatch::default;
    let patch = |patch: ChannelPatch| world.change_channel(id, patch, by(NOW));
    after!(patch(ChannelPatch { name: Some("Other".into()), ..none() }), discarded: [id]);
    after!(patch(ChannelPatch { rules: Some(TokenRules::Legacy2020), ..none() }), discarded: [id]);
    after!(patch(ChannelPatch { rules: Some(TokenRules::Current), ..none() }), discarded: [id]);
    let secret = PlainSecret::from_random([2; 16]).hash();
    after!(world.replace_secret(id, secret, 60, RevokeTokens::None, by(NOW)), discarded: [id]);
    after!(world.register(id, 1, Some(group("a"))), discarded: [id]);
    after!(world.set_group(id, group("b"), GroupSettings::default().into(), by(NOW)), discarded: [id]);
    after!(world.delete_group(id, group("a"), by(NOW)), discarded: [id]);
    after!(world.delete_key(id, shop.kid, false, by(NOW)), discarded: [id]);
    // Stateless tokens carry the serial of the last bulk revocation.
    after!(world.revoke(id, RevocationTarget::Kind(Kind::Stateless), false, by(NOW)), discarded: [id]);
    let nothing: [ChannelId; 0] = [];
    let before = commits();
    world.revoke(id, RevocationTarget::All, true, by(NOW)).await.unwrap();
    assert_eq!(commits(), before, "a dry run commits nothing");
    after!(world.ask(&shop, Ask::new(Kind::LongLived)), discarded: nothing);
    // It does not exist: an act without effects writes an empty change of its channel.
    after!(world.revoke(id, RevocationTarget::Stored { serial: Serial(9) }, false, by(NOW)), discarded: [id]);
}

pub async fn a_group_counts_while_it_has_tokens_keys_or_settings(world: World) {
    let shop = world.shop().await;
    let settings = || GroupSettings { cap: Some(1), ..GroupSettings::default() };
    let set = |name: String, settings: GroupSettings| {
        world.set_group(shop.id, group(&name), settings.into(), by(NOW))
    };
    for n in 0..98 {
        set(format!("g{n}"), settings()).await.unwrap();
    }
    let token = world.get(&shop, Ask::new(Kind::ShortLived).group("by-token")).await;
    world.register(shop.id, 1, Some(group("by-key"))).await.unwrap();
    let listed = world.groups(shop.id, NOW).await.unwrap();
    assert_eq!(listed.len(), 100);
    let of = |name: &str| {
        let row = listed.iter().find(|row| row.group == group(name)).unwrap();
        (row.settings.cap, row.active_tokens, row.assertion_keys)
    };
    assert_eq!(of("g7"), (Some(1), 0, 0));
    assert_eq!(of("by-token"), (None, 1, 0));
    assert_eq!(of("by-key"), (None, 0, 1));

    // Full: no new group in any way; the existing ones continue.
    let refused = world.ask(&shop, Ask::new(Kind::ShortLived).group("new")).await;
    assert_eq!(denied(refused), Denied::TooManyGroups);
    assert_eq!(denied(set("new".into(), settings()).await), Denied::TooManyGroups);
    let registered = world.register(shop.id, 2, Some(group("new"))).await;
    assert_eq!(denied(registered), Denied::TooManyGroups);
    world.get(&shop, Ask::new(Kind::ShortLived).group("g7")).await;
    world.get(&shop, Ask::new(Kind::ShortLived).group("by-token")).await;
    world.get(&shop, Ask::new(Kind::ShortLived)).await;

    // A group that has nothing left makes room again.
    set("g0".into(), GroupSettings::default()).await.unwrap();
    world.get(&shop, Ask::new(Kind::ShortLived).group("new")).await;
    let full = world.ask(&shop, Ask::new(Kind::ShortLived).group("newer")).await;
    assert_eq!(denied(full), Denied::TooManyGroups);
    world.revoke_at(&shop, RevocationTarget::Group(group("new")), NOW).await;
    world.delete_group(shop.id, group("by-key"), by(NOW)).await.unwrap();
    world.get(&shop, Ask::new(Kind::ShortLived).group("newer")).await;
    world.get(&shop, Ask::new(Kind::ShortLived).group("newest")).await;
    // Expired tokens do not count either.
    let later = NOW.plus(30 * DAY);
    assert_eq!(world.row(&shop, token, later).await.state, TokenState::Expired);
    world.get(&shop, Ask::new(Kind::ShortLived).group("after").at(later)).await;
    assert_eq!(world.groups(shop.id, later).await.unwrap().len(), 98);
}

pub async fn a_channel_has_two_keys_at_large_and_two_for_each_group(world: World) {
    let shop = world.shop().await;
    let conflict = |result: Result<_, Error>| matches!(result, Err(Error::Conflict(_)));
    assert!(conflict(world.register(shop.id, 0, None).await), "the same key twice");
    let second = world.register(shop.id, 1, None).await.unwrap();
    assert!(conflict(world.register(shop.id, 2, None).await), "a third key");
    let bound = world.register(shop.id, 2, Some(group("a"))).await.unwrap();
    let keys = world.snapshot(&shop).await.assertion_keys;
    let keys: Vec<_> = keys.iter().map(|key| (key.id, key.group.clone())).collect();
    assert_eq!(keys, [(shop.kid, None), (second, None), (bound, Some(group("a")))]);
    // The same key may be registered on another channel.
    let other = world.shop().await;
    world.register(other.id, 1, None).await.unwrap();
    // A key id is taken across all channels.
    let key = world.snapshot(&shop).await.assertion_keys.swap_remove(2);
    assert!(matches!(world.register_key(other.id, key, by(NOW)).await, Err(Error::Taken)));
}

pub async fn a_deleted_channel_is_deleted_with_its_credentials_and_tokens(world: World) {
    let (shop, other) = (world.shop().await, world.shop().await);
    world.register(shop.id, 1, Some(group("a"))).await.unwrap();
    let mine = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
    let theirs = world.ask(&other, Ask::new(Kind::V21)).await.unwrap().claims;
    let delete = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    assert!(world.patch(&shop, delete.clone()).await.is_none());

    assert!(world.channel(shop.id).await.unwrap().is_none());
    let listed = world.channels(ChannelFilter::of(world.provider), ALL).await.unwrap();
    assert_eq!(listed.iter().map(|(_, it)| it.id).collect::<Vec<_>>(), [other.id]);
    let again = world.change_channel(shop.id, delete, by(NOW)).await;
    assert!(matches!(again, Err(Error::NotFound("channel"))));
    let resume = ChannelPatch { state: Some(ChannelState::Active), ..ChannelPatch::default() };
    let resumed = world.change_channel(shop.id, resume, by(NOW)).await;
    assert!(matches!(resumed, Err(Error::NotFound("channel"))));
    crate::agree::everything(&world, &[mine, theirs], NOW).await;
    assert!(world.living(&shop, Kind::V21, NOW).await.is_empty());
    assert_eq!(world.living(&other, Kind::V21, NOW).await, [1]);
}

pub async fn settings_survive_reopening(mut world: World) {
    let shop = world.shop().await;
    let second = world.register(shop.id, 1, Some(group("a"))).await.unwrap();
    let settings = GroupSettings {
        cap: Some(7),
        when_full: Some(WhenFull::Deny),
        contact: Some("team@example".into()),
    };
    world.set_group(shop.id, group("b"), settings.clone().into(), by(NOW)).await.unwrap();
    let secret = PlainSecret::from_random([3; 16]);
    let at = NOW.plus(5);
    let replaced =
        world.replace_secret(shop.id, secret.hash(), 60, RevokeTokens::None, by(at)).await.unwrap();
    assert_eq!((replaced.tokens, replaced.at), (0, at));
    world
        .patch(
            &shop,
            ChannelPatch {
                name: Some("Other".into()),
                rules: Some(TokenRules::Legacy2020),
                state: Some(ChannelState::Suspended),
                group_cap: Some(9),
                group_when_full: Some(WhenFull::Deny),
                own_audience_only: Some(true),
                single_use_assertions: Some(true),
                on_leak: Some(OnLeak::Flag),
                limits: LimitsPatch {
                    issue_rate: Some(NonZeroU32::new(11)),
                    surge_limit: Some(Some(0)),
                    ..LimitsPatch::default()
                },
            },
        )
        .await;
    world.revoke(shop.id, RevocationTarget::All, false, by(at)).await.unwrap();
    let before = format!("{:?}", world.snapshot(&shop).await);

    world.reopen().await;

    let channel = world.snapshot(&shop).await;
    assert_eq!(format!("{channel:?}"), before);
    assert_eq!((channel.name.as_str(), channel.rules), ("Other", TokenRules::Legacy2020));
    assert_eq!(channel.state, ChannelState::Suspended);
    assert_eq!(channel.group_rule, GroupRule { cap: 9, when_full: WhenFull::Deny });
    assert!(channel.own_audience_only && channel.single_use_assertions);
    assert_eq!(channel.on_leak, OnLeak::Flag);
    assert_eq!(
        (channel.limits.issue_rate, channel.limits.surge_limit),
        (NonZeroU32::new(11), Some(0))
    );
    assert_eq!(channel.groups[&group("b")], settings);
    let keys: Vec<_> = channel.assertion_keys.iter().map(|key| key.id).collect();
    assert_eq!(keys, [shop.kid, second]);
    assert!(channel.secrets[0].hash.is_of(&secret) && channel.secrets[0].until.is_none());
    assert!(channel.secrets[1].hash.is_of(&shop.secret));
    assert_eq!(channel.secrets[1].until, Some(at.plus(60)));
    assert_eq!(channel.bulk_serial, Serial(1));
    let state = world.state().await.unwrap();
    assert_eq!(state.written_at, at);
    assert_eq!(state.signing_keys[0].id, signing_key(1).id);
    assert_eq!(state.signing_keys[0].wrapped.0, [1]);
}

pub async fn a_development_store_does_not_open_for_production_nor_the_reverse(mut world: World) {
    world.close();
    let as_dev = world.place.open(true, Box::new(|_| {})).await;
    assert!(as_dev.is_err_and(|why| why.contains("--dev")));
    world.reopen().await;

    let fresh = world.place.another();
    let dev = fresh.open(true, Box::new(|_| {})).await.unwrap();
    drop(dev);
    let as_real = fresh.open(false, Box::new(|_| {})).await;
    assert!(as_real.is_err_and(|why| why.contains("--dev")));
    fresh.open(true, Box::new(|_| {})).await.unwrap();
}

pub async fn the_development_clock_only_advances_and_is_stored(mut world: World) {
    assert_eq!(world.state().await.unwrap().clock_offset, 0);
    assert_eq!(world.advance_clock(100).await.unwrap(), 100);
    assert_eq!(world.advance_clock(20).await.unwrap(), 120);
    world.reopen().await;
    assert_eq!(world.state().await.unwrap().clock_offset, 120);
}

pub async fn the_time_of_last_use_never_decreases(world: World) {
    let shop = world.shop().await;
    let [a, b] = [
        world.get(&shop, Ask::new(Kind::ShortLived)).await,
        world.get(&shop, Ask::new(Kind::ShortLived)).await,
    ];
    let unknown = Stamp::Token(ChannelId::from_number(1).unwrap(), Serial(1), NOW);
    let stamp = |serial, at: UnixTime| Stamp::Token(shop.id, serial, at);
    world.stamp(vec![stamp(a, NOW.plus(9)), unknown, stamp(a, NOW.plus(5))]).await.unwrap();
    assert_eq!(world.row(&shop, a, NOW).await.last_used_at, Some(NOW.plus(9)));
    assert_eq!(world.row(&shop, b, NOW).await.last_used_at, None);
    // Uses are noted with a delay, and the last use of a leaked token matters.
    world.revoke_at(&shop, RevocationTarget::Stored { serial: b }, NOW).await;
    world.stamp(vec![stamp(b, NOW.plus(7))]).await.unwrap();
    assert_eq!(world.row(&shop, b, NOW).await.last_used_at, Some(NOW.plus(7)));
    // A use is not an act: it does not advance the written time.
    assert_eq!(world.state().await.unwrap().written_at, NOW);
}
