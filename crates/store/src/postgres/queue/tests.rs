//! What waits and what runs, without a database.

use super::*;
use crate::postgres::job::job;
use tegata_policy::acts::{
    By, DeletePreviousSecret, ExpectedSettings, Forget, GroupPatch, SetGroup, Upkeep,
};
use tegata_token::{id::ChannelId, time::UnixTime};

fn by() -> By {
    let (source, reason, request_id) = (None, None, None);
    let (actor, at, expected) = ("administrator".into(), UnixTime(0), ExpectedSettings::default());
    By { actor, source, reason, at, expected, request_id }
}

fn on(channel: u64) -> Box<dyn Job> {
    let channel = ChannelId::from_number(channel).unwrap();
    let (group, patch) = ("one".parse().unwrap(), GroupPatch::default());
    let (job, answer) = job(UnixTime(0), SetGroup { channel, group, patch, by: by() });
    // Somewhere a task waits for it.
    std::mem::forget(answer);
    job
}

/// A step of a job.
fn step_on(channel: u64) -> Box<dyn Job> {
    let channel = ChannelId::from_number(channel).unwrap();
    let (job, answer) = job(UnixTime(0), Forget { channel });
    std::mem::forget(answer);
    job
}

/// One that is likely to make a change.
fn change_on(channel: u64) -> Box<dyn Job> {
    let id = ChannelId::from_number(channel).unwrap();
    let (job, answer) = job(UnixTime(0), DeletePreviousSecret { id, by: by() });
    std::mem::forget(answer);
    job
}

fn channels(batch: &[Box<dyn Job>]) -> Vec<u64> {
    assert!(batch.iter().all(|it| matches!(it.needs().upkeep, Upkeep::None)));
    batch.iter().filter_map(|it| it.needs().channel).map(ChannelId::number).collect()
}

#[test]
fn an_act_on_a_busy_channel_holds_up_no_other() {
    let queue = Queue::new();
    queue.push(on(1)).unwrap();
    let first = queue.inner().take();
    assert_eq!(channels(&first), [1]);
    for channel in [1, 2, 1, 3] {
        queue.push(on(channel)).unwrap();
    }
    assert_eq!(channels(&queue.inner().take()), [2, 3]);
    assert!(queue.inner().take().is_empty());
    queue.free(&first.iter().flat_map(|it| it.locks().keys()).collect());
    assert_eq!(channels(&queue.inner().take()), [1, 1]);
}

#[test]
fn steps_of_jobs_and_other_acts_do_not_share_a_transaction() {
    let queue = Queue::new();
    for job in [on(1), step_on(2), on(3), step_on(4)] {
        queue.push(job).unwrap();
    }
    assert_eq!(channels(&queue.inner().take()), [1, 3]);
    assert_eq!(channels(&queue.inner().take()), [2, 4]);
}

#[test]
fn one_channel_does_not_fill_a_transaction() {
    let queue = Queue::new();
    for _ in 0..WAVES + 1 {
        queue.push(on(1)).unwrap();
    }
    queue.push(on(2)).unwrap();
    let batch = queue.inner().take();
    assert_eq!(batch.len(), WAVES + 1);
    assert_eq!(channels(&batch).last(), Some(&2));
    let waves = waves(&batch);
    assert_eq!(waves.len(), WAVES);
    assert_eq!(waves[0].len(), 2, "acts on other channels are decided together");
    assert_eq!(queue.waiting(), 1);
}

#[test]
fn a_transaction_with_changes_has_fewer_acts_on_each_channel() {
    let queue = Queue::new();
    for _ in 0..CHANGING_WAVES + 1 {
        queue.push(change_on(1)).unwrap();
    }
    queue.push(on(1)).unwrap();
    queue.push(on(2)).unwrap();
    let first = queue.inner().take();
    assert_eq!(waves(&first).len(), CHANGING_WAVES);
    assert_eq!(channels(&first).last(), Some(&2), "the one after them waits for its channel");
    queue.free(&first.iter().flat_map(|it| it.locks().keys()).collect());
    assert_eq!(channels(&queue.inner().take()), [1, 1]);

    let queue = Queue::new();
    for _ in 0..CHANGING_WAVES + 1 {
        queue.push(on(1)).unwrap();
    }
    queue.push(change_on(2)).unwrap();
    let first = channels(&queue.inner().take());
    assert_eq!(first, [1; CHANGING_WAVES + 1], "no change is locked for so many round trips");
    assert_eq!(channels(&queue.inner().take()), [2]);
}

#[test]
fn a_few_acts_wait_for_an_open_transaction_and_for_a_bounded_time() {
    let queue = Queue::new();
    let hold = |now| queue.inner().hold(now);
    let act = on(1);
    let queued = act.queued();
    queue.push(act).unwrap();
    assert_eq!(hold(queued), None, "no transaction is open");
    queue.inner().open = 1;
    assert_eq!(hold(queued), Some(HOLD));
    assert_eq!(hold(queued + HOLD / 2), Some(HOLD / 2));
    assert_eq!(hold(queued + HOLD), None, "it has waited long enough");
    for channel in 2..=FULL as u64 {
        queue.push(on(channel)).unwrap();
    }
    assert_eq!(hold(queued), None, "so many begin a transaction of their own");
}

#[test]
fn an_act_whose_channel_is_busy_is_not_what_the_others_are_held_back_for() {
    let queue = Queue::new();
    queue.push(on(1)).unwrap();
    let running = queue.inner().take();
    queue.inner().open = 1;
    queue.push(on(1)).unwrap();
    let second = on(2);
    let queued = second.queued();
    assert_eq!(queue.inner().hold(queued), None, "it can run after that transaction only");
    queue.push(second).unwrap();
    assert_eq!(queue.inner().hold(queued), Some(HOLD), "from when the free one came");
    assert_eq!(channels(&running), [1]);
}

#[test]
fn an_act_that_the_queue_does_not_take_is_answered_as_not_done() {
    let queue = Queue::new();
    for _ in 0..ROOM {
        queue.push(on(1)).unwrap();
    }
    let full = queue.push(on(1)).unwrap_err();
    assert!(matches!(&full, Error::NotNow(why) if why.contains("repeat")), "{full}");
    queue.close();
    let closed = queue.push(on(1)).unwrap_err();
    assert!(matches!(&closed, Error::NotNow(why) if why.contains("stopping")), "{closed}");
}
