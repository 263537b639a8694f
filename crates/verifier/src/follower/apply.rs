//! Applying responses.

use super::{
    Follower, QUIET,
    request::{Asked, Sent},
};
use crate::{
    clocks::{Clocks, Steady},
    standing::{Facts, Standing, millis},
};
use tegata_token::{
    feed::{ChangesResponse, ResponseHead, SnapshotResponse},
    view::FeedChange,
};

/// A response that was read.
enum Read {
    Snapshot(Box<SnapshotResponse>),
    Changes(ChangesResponse),
}

impl Follower {
    /// Applies a response with status 200; the error says why it cannot be applied.
    pub(super) fn apply(&mut self, sent: &Sent, body: &[u8], clocks: Clocks) -> Result<(), String> {
        let read = match sent.asked {
            Asked::Snapshot => SnapshotResponse::parse(body).map(Box::new).map(Read::Snapshot),
            Asked::Changes { .. } => ChangesResponse::parse(body).map(Read::Changes),
        };
        let read = read.map_err(|error| error.to_string())?;
        let head = match &read {
            Read::Snapshot(it) => &it.head,
            Read::Changes(it) => &it.head,
        };
        if head.seq.as_deref() != Some(sent.id.to_string().as_str()) {
            return Err(format!("the response has seq {:?}, not {}", head.seq, sent.id));
        }
        // The authority accepts what the request carried, whatever becomes of the response.
        let granted = self.standing.granted.map_or(sent.wanted, |it| it.more_lenient(sent.wanted));
        self.change(|it| it.granted = Some(granted));
        match read {
            Read::Snapshot(it) => {
                self.apply_snapshot(sent, *it, clocks);
                Ok(())
            }
            Read::Changes(it) => self.apply_changes(sent, &it, clocks),
        }
    }

    fn apply_snapshot(&mut self, sent: &Sent, response: SnapshotResponse, clocks: Clocks) {
        let SnapshotResponse { head, snapshot } = response;
        // Of the view's own epoch it may come from before the view; an earlier epoch is
        // over, and what was revoked after it would be active again.
        let known = self.standing.view().map(|it| it.position());
        if known.is_some_and(|known| snapshot.view.position() < known) {
            self.behind = Some(snapshot.view.position());
            return;
        }
        let before = self.standing.facts.as_ref();
        let as_of = sent.at.steady.minus(head.age);
        let (clock_ms, least_ms) = time(before, head.time_ms, as_of, clocks.steady);
        let facts = Facts {
            provider: snapshot.provider,
            view: snapshot.view,
            issuer: snapshot.issuer,
            // A view that replaces another is as old as its own response.
            as_of,
            sent: sent.at.steady,
            gap: sent.at.gap(),
            clock_ms,
            time_at: clocks.steady,
            least_ms,
        };
        self.needs_snapshot = false;
        self.quiet = 0;
        self.in_force(facts);
    }

    fn apply_changes(
        &mut self,
        sent: &Sent,
        response: &ChangesResponse,
        clocks: Clocks,
    ) -> Result<(), String> {
        let Asked::Changes { after, hold, .. } = &sent.asked else { return Ok(()) };
        if response.after != *after {
            return Err(format!("the response is for {}, not {after}", response.after));
        }
        let Some(before) = &self.standing.facts else { return Ok(()) };
        let position = before.view.position();
        // Another response has replaced the view since the request was sent.
        if position.epoch != after.epoch || position < *after {
            return Ok(());
        }
        if before.provider.is_none()
            && let Some(first) = response.changes.first()
            && first.position.number != after.number + 1
        {
            return Err(format!("the first change after {after} is {}", first.position));
        }
        let new = response.changes.iter().filter(|it| it.position > position);
        let new: Vec<&FeedChange> = new.filter_map(|it| it.change.as_ref()).collect();
        let ResponseHead { age, time_ms, .. } = response.head;
        let as_of = sent.at.steady.minus(age);
        let (clock_ms, least_ms) = time(Some(before), time_ms, as_of, clocks.steady);
        let newer = before.sent < sent.at.steady;
        let facts = Facts {
            view: before.view.after(new, position.max(response.through)),
            provider: before.provider,
            issuer: before.issuer.clone(),
            as_of: before.as_of.max(as_of),
            sent: before.sent.max(sent.at.steady),
            gap: if newer { sent.at.gap() } else { before.gap },
            clock_ms,
            time_at: clocks.steady,
            least_ms,
        };
        let is_quiet = response.changes.is_empty()
            && !hold.is_zero()
            && clocks.steady.since(sent.at.steady) < *hold / 2;
        // A question says nothing of how the authority holds requests.
        if !hold.is_zero() || !response.changes.is_empty() {
            self.quiet = if is_quiet { self.quiet + 1 } else { 0 };
        }
        if self.quiet >= QUIET {
            self.quiet = 0;
            self.needs_snapshot = true;
        }
        self.in_force(facts);
        Ok(())
    }

    /// Puts a view in force for all verifications that begin from now on.
    fn in_force(&mut self, facts: Facts) {
        (self.cannot, self.behind) = (None, None);
        let standing = Standing {
            facts: Some(facts),
            granted: self.standing.granted,
            withdrawn: None,
            shown: self.standing.shown,
        };
        self.standing = standing.into();
    }
}

/// The authority's clock when a response arrives, and the least time of verifications from then
/// on. The authority has read `read_ms` at `as_of` or later: its clock is from that to as much
/// more as has passed since. The follower's own reckoning goes on if it is within, and else from
/// the nearer end; so it is ahead only as long as the authority's clock was.
fn time(before: Option<&Facts>, read_ms: u64, as_of: Steady, now: Steady) -> (u64, u64) {
    let Some(before) = before else { return (read_ms, read_ms) };
    let latest = read_ms.saturating_add(millis(now.since(as_of)));
    (before.clock_ms(now).clamp(read_ms, latest), before.time_ms(now))
}
