//! The consistency check of most tests: do the rows, the revocations that the view is
//! read from, the log and the reported commits give the same answers?

use crate::world::{World, after};
use std::collections::{BTreeMap, BTreeSet};
use tegata_store::{Store, TokenRow, TokenState};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Position, SigningKeyId},
    key::KeyState,
    time::UnixTime,
    verify::{Invalid, verify_claims},
    view::{Providers, View},
};

/// Asserts that a view and a row agree on a token at `now`.
#[track_caller]
pub fn row_and_view(row: &TokenRow, claims: &Claims, view: &View, now: UnixTime) {
    let said = verify_claims(claims, now, view);
    let same = match said {
        Ok(until) => row.state == TokenState::Active && row.expires_at == until,
        // For a token that was revoked and then expired the view answers that it expired.
        Err(Invalid::Expired) => row.state != TokenState::Active && claims.expires_at <= now,
        Err(Invalid::Revoked(_)) => {
            row.state == TokenState::Revoked && row.revocation.is_some_and(|(_, at)| at <= now)
        }
        Err(Invalid::Suspended) => row.state == TokenState::Active,
        Err(_) => false,
    };
    assert!(same, "at {now:?} the view answers {said:?} for\n{claims:?}, but its row is\n{row:?}");
    let early = row.revocation.is_none_or(|(_, at)| at < claims.expires_at);
    assert!(early, "a revocation after the expiry has no effect: {row:?}");
}

/// Asserts that two views are equal.
#[track_caller]
pub fn views(one: &View, other: &View, channels: impl IntoIterator<Item = ChannelId>) {
    assert_eq!(one.position(), other.position());
    assert_eq!(keys(one), keys(other));
    assert_eq!(one.channels(), other.channels());
    for channel in channels {
        assert_eq!(one.channel(channel), other.channel(channel), "of {channel}");
    }
}

fn keys(view: &View) -> BTreeMap<SigningKeyId, KeyState> {
    view.keys().iter().map(|it| (it.key.id(), it.state)).collect()
}

/// The view that results from the whole log, from its first entry on.
pub async fn log(store: &dyn Store) -> View {
    let epoch = store.state().await.unwrap().view.position().epoch;
    let begin = Position { epoch, number: 0 };
    let logged = store.changes(begin, usize::MAX >> 1).await.unwrap();
    let logged = logged.expect("the log reaches back to its beginning");
    for (at, (position, _)) in logged.iter().enumerate() {
        assert_eq!(*position, Position { epoch, number: at as u64 + 1 });
    }
    let head = logged.last().map_or(begin, |(position, _)| *position);
    let changes: Vec<_> = logged.into_iter().map(|(_, change)| change).collect();
    after(&View::new(Providers::All), &changes, head)
}

/// Asserts that every record of a world agrees on these tokens, each of which has a row.
pub async fn everything(world: &World, tokens: &[Claims], now: UnixTime) {
    let state = world.state().await.unwrap();
    let channels = || tokens.iter().map(|token| token.channel);
    views(&state.view, &world.follower.followed().view, channels());
    let mut rows = BTreeMap::new();
    for channel in channels().collect::<BTreeSet<_>>() {
        rows.insert(channel, world.rows_of(channel, Default::default(), now).await);
    }
    for token in tokens {
        let rows = &rows[&token.channel];
        let row = rows.binary_search_by_key(&token.serial, |row| row.serial);
        row_and_view(&rows[row.expect("issued tokens have rows")], token, &state.view, now);
    }
}
