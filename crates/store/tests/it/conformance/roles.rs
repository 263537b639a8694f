//! Roles of people in what was deleted.

use crate::world::{NOW, World, by};
use tegata_policy::{
    acts::{
        CreateChannel, InvitePerson, NewChannel, PAST_ROLES_KEPT, SetRole, TokenHash, WhichPerson,
    },
    permission::{ProviderRole, RoleChange},
    rules::ChannelType,
    secret::PlainSecret,
};
use tegata_store::{ActStore, ChannelPatch, Error, Taking};
use tegata_token::{
    id::{ChannelId, PersonId, ProviderId},
    time::DAY,
    view::ChannelState,
};

fn person() -> PersonId {
    PersonId::from_number(3_000_000_009).unwrap()
}

async fn invited(world: &World, role: Option<RoleChange>) {
    let act = InvitePerson {
        id: person(),
        login: "mika".into(),
        name: "Mika".into(),
        role,
        invitation: TokenHash([1; 32]),
        expires_at: NOW.plus(DAY),
        by: by(NOW),
    };
    world.invite_person(act).await.unwrap();
}

/// Creates a channel as the person, and deletes it.
async fn made_and_deleted(world: &World, number: u64) -> ChannelId {
    let id = ChannelId::from_number(number).unwrap();
    let new = NewChannel {
        id,
        provider: world.provider,
        name: "Of a run".into(),
        channel_type: ChannelType::MessagingApi,
        secret: PlainSecret::from_caller("a secret".to_owned()).hash(),
    };
    let act = CreateChannel { new, admin: Some(person()), by: by(NOW) };
    world.create_channel_as(act).await.unwrap();
    let deleted = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    world.change_channel(id, deleted, by(NOW)).await.unwrap();
    id
}

async fn channels(world: &World) -> Vec<ChannelId> {
    let stored = world.person(WhichPerson::Id(person())).await.unwrap().unwrap().person;
    let memory = world.state().await.unwrap().people.people;
    assert_eq!(memory.iter().find(|it| it.id == person()), Some(&stored));
    stored.channels.into_keys().collect()
}

pub async fn a_person_keeps_the_newest_roles_in_deleted_channels_alone(world: World) {
    invited(&world, None).await;
    let mut made = Vec::new();
    for number in 0..PAST_ROLES_KEPT as u64 + 5 {
        // Ids do not grow with time.
        made.push(made_and_deleted(&world, 1_900_000_000 - number).await);
    }
    let mut newest = made.split_off(made.len() - PAST_ROLES_KEPT - 1);
    newest.reverse();
    assert_eq!(channels(&world).await, newest, "that of the last run, and those before it");
    let role = Some(ProviderRole::Member);
    let given = RoleChange::Provider { provider: world.provider, role };
    let act = SetRole { id: person(), role: given, by: by(NOW) };
    let person = world.set_role(act).await.unwrap();
    assert_eq!(person.channels.len(), PAST_ROLES_KEPT);
}

pub async fn a_role_in_what_was_deleted_can_be_taken_away_and_not_given(world: World) {
    let provider = ProviderId::from_number(9).unwrap();
    world.create_provider(provider, "Soon deleted".into(), by(NOW)).await.unwrap();
    let member = Some(ProviderRole::Member);
    invited(&world, Some(RoleChange::Provider { provider, role: member })).await;
    let channel = made_and_deleted(&world, 1_900_000_000).await;
    let act = Taking::provider(provider, by(NOW));
    ActStore::take(&*world, act).await.unwrap();
    let set = async |role| world.set_role(SetRole { id: person(), role, by: by(NOW) }).await;
    let given = set(RoleChange::Provider { provider, role: member }).await;
    assert!(matches!(given, Err(Error::NotFound("provider"))), "{given:?}");
    set(RoleChange::Provider { provider, role: None }).await.unwrap();
    let left = set(RoleChange::Channel { channel, role: None }).await.unwrap();
    assert!(!left.has_role());
    let again = set(RoleChange::Channel { channel, role: None }).await;
    assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
}
