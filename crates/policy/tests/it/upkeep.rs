//! The decisions of background jobs.

use crate::acts::{by, locked, token};
use crate::channel::{NOW, channel, id};
use tegata_policy::acts::{
    Act, ActError, BeginProviderRevocation, ContinueProviderRevocation, JournalEntry, Locked,
    ProviderJob, ProviderProgress, UpkeepRows, Write,
};
use tegata_token::{id::ChannelId, kind::Kind};

/// A revocation of the provider's tokens is under way.
pub fn with_job(locked: Locked, next: Option<ChannelId>) -> Locked {
    let job = ProviderJob {
        number: 3,
        provider: channel().provider,
        through: 9,
        actor: "administrator".into(),
        source: None,
        reason: Some("leaked".into()),
        revoked: 5,
        position: 70,
        next,
    };
    Locked { upkeep: UpkeepRows { job: Some(job), ..UpkeepRows::default() }, ..locked }
}

fn two_tokens() -> Locked {
    locked(channel(), vec![token(1, Kind::V21, None), token(2, Kind::ShortLived, Some("a"))])
}

#[test]
fn a_revocation_of_a_provider_concerns_the_channels_that_exist_when_it_begins() {
    let provider = channel().provider;
    let act = BeginProviderRevocation { provider, by: by() };
    let upkeep = UpkeepRows { next_job: 4, newest_channel: 12, ..UpkeepRows::default() };
    let (job, effects) = act.decide(&Locked { upkeep, ..two_tokens() }, NOW).unwrap();
    assert_eq!(job, 4);
    let [Write::ProviderJob(new)] = &effects.writes[..] else { panic!("{effects:?}") };
    assert_eq!((new.number, new.through, new.provider), (4, 12, provider));
    assert!(matches!(effects.journal[..], [JournalEntry::ProviderRevocation { .. }]));
    let unknown = Locked { provider: false, ..two_tokens() };
    assert!(matches!(act.decide(&unknown, NOW), Err(ActError::NotFound("provider"))));
}

#[test]
fn a_revocation_of_a_provider_goes_on_channel_by_channel_in_the_name_of_its_actor() {
    let act = ContinueProviderRevocation { job: 3, channel: Some(id()) };
    let (progress, effects) = act.decide(&with_job(two_tokens(), Some(id())), NOW).unwrap();
    assert_eq!(progress, ProviderProgress { revoked: 7, position: 70, done: false });
    let moved = |it: &Write| match it {
        Write::ProviderJobAt { job, done_to, revoked } => {
            (*job, *done_to, *revoked) == (3, id(), 7)
        }
        _ => false,
    };
    assert!(effects.writes.iter().any(moved), "{effects:?}");
    let record = effects.audit.unwrap();
    assert_eq!((record.by.reason.as_deref(), record.by.at), (Some("leaked"), NOW));
}

#[test]
fn a_revocation_of_a_provider_is_complete_only_without_a_next_channel() {
    let done = ContinueProviderRevocation { job: 3, channel: None };
    let (progress, effects) = done.decide(&with_job(two_tokens(), None), NOW).unwrap();
    assert_eq!(progress, ProviderProgress { revoked: 5, position: 70, done: true });
    assert!(matches!(effects.writes[..], [Write::ProviderJobDone(3)]));
    assert!(matches!(effects.journal[..], [JournalEntry::ProviderEndDone { .. }]));
    let left = done.decide(&with_job(two_tokens(), Some(id())), NOW);
    assert!(matches!(left, Err(ActError::Conflict(_))), "{left:?}");
    assert!(matches!(done.decide(&two_tokens(), NOW), Err(ActError::NotFound("job"))));
}
