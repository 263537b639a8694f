//! Properties that must hold after each act.

use super::{Violation, World, providers};
use crate::model::{
    authority::is_stored,
    naive::{Answer, Ask, Asker, ChannelNo, Settings, TokenNo},
};
use tegata_policy::{admit::MAX_SINGLE_REVOCATIONS, rules::TokenRules};
use tegata_token::{
    kind::Kind,
    time::UnixTime,
    verify::{Invalid, Signatures, verify},
    view::Scope,
};

impl World {
    /// Every view agrees with the naive model on some tokens, or, with `all`, on all.
    pub(super) fn check(&mut self, all: bool) -> Result<(), Violation> {
        self.check_lengths()?;
        let count = self.handed.len();
        let chosen: Vec<TokenNo> = if all || count <= 12 {
            (0..count).collect()
        } else {
            let some = (0..8).map(|_| self.sample.below(count)).collect::<Vec<_>>();
            some.into_iter().chain(count - 4..count).collect()
        };
        for who in 0..4 {
            for &no in &chosen {
                self.check_token(who, no)?;
            }
        }
        Ok(())
    }

    pub(super) fn check_token(&mut self, who: usize, no: TokenNo) -> Result<(), Violation> {
        // A replica out of service does not verify.
        if self.replicas.get(who).is_some_and(|it| it.jumped) {
            return Ok(());
        }
        let now = self.clock(who);
        let verifier = &mut self.verifiers[who];
        verifier.latest = verifier.latest.max(now);
        let asker = Asker {
            epoch: verifier.epoch,
            read: verifier.read,
            now: verifier.latest,
            providers: &verifier.providers,
        };
        let bytes = self.handed[no].0.as_bytes();
        let said = verify(bytes, asker.now, &verifier.view, &self.signatures);
        let said = said.map(|active| active.until);
        let expected = self.naive.answer(no, asker);
        let right = match (&said, expected) {
            (Ok(until), Answer::Active(expected)) => *until == expected,
            (Err(Invalid::Expired), Answer::Expired)
            | (Err(Invalid::Revoked(_)), Answer::Revoked)
            | (Err(Invalid::Suspended), Answer::Suspended)
            | (Err(Invalid::UnknownKey), Answer::UnknownKey)
            | (Err(Invalid::Foreign), Answer::Foreign)
            | (Err(_), Answer::No) => true,
            _ => false,
        };
        let token = &self.naive.tokens[no];
        ensure!(
            right,
            "verifier {who}, having read {}-{}, at {:?}, answers {said:?} for token {no}, not \
             {expected:?}\n{token:?}\n{:?}",
            asker.epoch,
            asker.read,
            asker.now,
            self.handed[no].1,
        );
        if said.is_ok() {
            let over = verifier.over.contains(&no);
            ensure!(!over, "token {no} is active again for verifier {who}\n{token:?}");
            let promised = self.promised.get(&no).is_some_and(|end| *end <= asker.now);
            ensure!(
                !(who < 2 && promised),
                "replica {who} accepts token {no} after its revocation was answered\n{token:?}"
            );
        } else if matches!(said, Err(Invalid::Expired | Invalid::Revoked(_))) {
            verifier.over.insert(no);
        }
        if self.steps.is_multiple_of(32) {
            let cold = verify(bytes, asker.now, &verifier.view, &Signatures::new(1));
            ensure!(cold.map(|it| it.until) == said, "the cache changes the answer for {no}");
        }
        Ok(())
    }

    /// A token just issued is active for every verifier that has read the whole log, unless
    /// an act that was pending when it was requested revoked it.
    pub(super) fn check_new(
        &mut self,
        no: TokenNo,
        settled: usize,
        now: UnixTime,
    ) -> Result<(), Violation> {
        let epoch = self.authority.epoch;
        let providers = providers();
        let read = self.authority.log.len();
        let at = |read| self.naive.answer(no, Asker { epoch, read, now, providers: &providers });
        if is_stored(self.naive.tokens[no].kind) {
            let lives = matches!(at(read), Answer::Active(_));
            ensure!(lives, "token {no} was never active: {:?}", at(read));
        }
        ensure!(
            !matches!(at(settled), Answer::Revoked | Answer::No),
            "token {no} is revoked by an act that was answered before it was requested"
        );
        for who in 0..4 {
            self.check_token(who, no)?;
        }
        Ok(())
    }

    /// After an issue the channel and the group are within their caps.
    pub(super) fn check_caps(
        &self,
        channel: ChannelNo,
        ask: &Ask,
        set: Settings,
        now: UnixTime,
    ) -> Result<(), Violation> {
        let epoch = self.authority.epoch;
        let places = self.naive.places(channel, epoch, now);
        let of = |kind: Kind| places.iter().filter(move |no| self.naive.tokens[**no].kind == kind);
        let (kind, legacy) = (ask.kind, set.rules == TokenRules::Legacy2020);
        let (count, most) = match kind {
            Kind::ShortLived | Kind::LongLived if legacy => {
                (of(Kind::ShortLived).count() + of(Kind::LongLived).count(), 30)
            }
            Kind::LongLived => {
                let read = self.authority.log.len();
                let stay = |no: &&TokenNo| self.naive.revoked_from(**no, epoch, read).is_none();
                ensure!(of(kind).count() <= 2, "more than one predecessor is active");
                (of(kind).filter(stay).count(), 1)
            }
            _ => (of(kind).count(), 30),
        };
        ensure!(count <= most, "{count} {kind} tokens are active, {most} may be");
        let in_group = |no: &&TokenNo| self.naive.tokens[**no].group == ask.group;
        let own = of(kind).filter(in_group).count();
        ensure!(ask.group.is_none() || own <= set.group_cap, "{own} {kind} tokens in {ask:?}");
        Ok(())
    }

    /// A channel's revocations are bounded by its active tokens, not by its past acts.
    pub(super) fn check_lengths(&self) -> Result<(), Violation> {
        let log = self.authority.log.len();
        let events = self.naive.epochs[self.authority.epoch].events.len();
        assert_eq!(log, events, "the harness did not note an event");
        for row in &self.authority.channels {
            for of in Kind::all() {
                let singles =
                    row.revocations.singles.values().filter(|(kind, _)| *kind == of).count();
                // A replay may add more; the next revocation compacts them.
                let replayed = self.authority.epoch > 0;
                ensure!(
                    singles <= MAX_SINGLE_REVOCATIONS || replayed,
                    "{singles} single revocations of {of} are held"
                );
            }
            let at_once = row.revocations.cutoffs.iter().filter(|it| it.from.is_none());
            let mut scopes: Vec<&Scope> = at_once.map(|it| &it.scope).collect();
            while let Some(scope) = scopes.pop() {
                ensure!(!scopes.contains(&scope), "two immediate cutoffs for {scope:?}");
            }
        }
        Ok(())
    }
}
