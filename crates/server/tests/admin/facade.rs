//! Administration without HTTP: what each actor may do, and what the façade returns.

use crate::world::World;
use tegata_server::authority::{
    actor::Actor,
    admin::{ActOptions, Anywhere, Error, InChannel, Outcome},
};
use tegata_store::{AuditFilter, Page, audit_event::AuditEvent};
use tegata_token::id::ChannelId;

const NEWEST: Page = Page { before: None, most: 1 };

#[tokio::test]
async fn a_channel_administers_nothing_not_even_itself() {
    let world = World::new().await;
    let shop = world.channel().await;
    let id: ChannelId = shop.id.parse().unwrap();
    let token = world.short_lived(&shop, None).await;
    let channel = world.authority.admin(Actor::Channel(id), None);
    let forbidden = |error: Error| matches!(error, Error::Forbidden { .. });
    assert!(forbidden(channel.channel(id).await.unwrap_err()));
    assert!(forbidden(channel.delete_channel(id, &ActOptions::rehearsal()).await.unwrap_err()));
    assert!(forbidden(channel.explain(&token).await.unwrap_err()));
    assert!(forbidden(channel.audit(AuditFilter::default(), NEWEST).await.unwrap_err()));
    let all = channel.revoke_in_channel(id, InChannel::All, &ActOptions::rehearsal()).await;
    assert!(forbidden(all.unwrap_err()));
    assert!(forbidden(channel.revoke(Anywhere::All, &ActOptions::rehearsal()).await.unwrap_err()));
    assert_eq!(world.state(&token).await, "active");
}

#[tokio::test]
async fn an_explanation_has_a_code_and_its_audit_event() {
    let world = World::new().await;
    let shop = world.channel().await;
    let id: ChannelId = shop.id.parse().unwrap();
    let root = world.authority.admin(Actor::Root, None);
    let kitchen = world.short_lived(&shop, Some("kitchen")).await;
    let stateless = world.stateless(&shop).await;
    let explained = root.explain(&kitchen).await.unwrap();
    assert_eq!((explained.why.code(), explained.event.is_none()), ("valid", true));

    let leaked = root.clone().because(Some("leaked".to_owned()));
    let group = InChannel::Group("kitchen".parse().unwrap());
    leaked.revoke_in_channel(id, group, &ActOptions::default()).await.unwrap();
    let explained = root.explain(&kitchen).await.unwrap();
    assert_eq!(explained.why.code(), "revoked-with-others");
    let event = explained.event.unwrap();
    assert_eq!(
        (event.actor.as_str(), event.detail["reason"].as_str()),
        ("administrator", Some("leaked"))
    );
    let Some(AuditEvent::TokenRevoke(what)) = AuditEvent::read(&event.act, &event.detail) else {
        panic!("{event:?}")
    };
    assert_eq!((what.group, what.revoked), (Some("kitchen".parse().unwrap()), 1));

    assert_eq!(root.explain(&stateless).await.unwrap().why.code(), "valid");
    root.revoke(Anywhere::All, &ActOptions::default()).await.unwrap();
    let explained = root.explain(&stateless).await.unwrap();
    assert_eq!(explained.why.code(), "signing-key-revoked");
    assert_eq!(explained.event.unwrap().act, "signing-key.revoke-all");
    assert!(matches!(root.explain("nonsense").await, Err(Error::NotOurToken)));
}

#[tokio::test]
async fn every_act_that_takes_something_away_has_a_dry_run() {
    let world = World::new().await;
    let shop = world.channel().await;
    let id: ChannelId = shop.id.parse().unwrap();
    let root = world.authority.admin(Actor::Root, None);
    let token = world.short_lived(&shop, Some("kitchen")).await;
    let before = root.audit(AuditFilter::default(), NEWEST).await.unwrap()[0].id;
    let group = "kitchen".parse().unwrap();
    for outcome in [
        root.delete_channel(id, &ActOptions::rehearsal()).await.unwrap(),
        root.delete_group(id, group, &ActOptions::rehearsal()).await.unwrap(),
    ] {
        let Outcome::DryRun(found) = outcome else { panic!("it was performed") };
        assert_eq!((found.tokens, found.rows.len()), (1, 1));
    }
    assert_eq!(root.audit(AuditFilter::default(), NEWEST).await.unwrap()[0].id, before);
    assert_eq!(world.state(&token).await, "active");
}
