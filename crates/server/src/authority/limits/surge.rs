//! The surge limit: a client that issues in a loop must not use up its channel.
//!
//! Issues of a kind are counted in a window that begins with the first of them, each
//! group separately. A group that would exceed the window's limit gets a cooldown. If the
//! channel's groups together would exceed it, the group with the most issues gets a
//! cooldown: its issues no longer count for the channel, and the other groups continue.
//! So among k + 1 groups none is stopped that requests no more than its (k + 1)th part,
//! whatever the others do.
//!
//! Only issues that succeed count. One in progress holds a slot, so that no race exceeds
//! the limit; an unused slot is returned.

use super::{table, wait::LimitExceeded};
use std::num::NonZeroU32;
use tegata_policy::rules::GROUPS;
use tegata_token::id::Group;

/// The limit on issues of a kind in a channel, and its cooldown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurgeRule {
    /// The limit per window.
    pub issues: NonZeroU32,
    /// The length of the window, in nanoseconds.
    pub window: u64,
    /// The length of the cooldown, in nanoseconds.
    pub cooldown: u64,
}

/// The issues of one kind in a channel.
#[derive(Debug)]
pub struct Surge {
    began: u64,
    /// The end of the window.
    over_at: u64,
    groups: Vec<Counted>,
}

/// The issues of one group, or of requests without a group.
#[derive(Debug)]
struct Counted {
    who: Who,
    done: u64,
    held: u64,
    /// The end of its cooldown; 0 without one.
    until: u64,
}

/// A scope whose issues are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A group, or requests without a group.
    Group(Option<Group>),
    /// All groups that came when the window had [`GROUPS`] already: as many as a channel
    /// can have at once.
    Others,
}

/// A cooldown that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// Its scope.
    pub who: Who,
    /// Its end, in nanoseconds.
    pub until: u64,
}

/// A slot that an issue in progress holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSlot(Who);

impl Counted {
    fn all(&self) -> u64 {
        self.done + self.held
    }

    fn cooldowns(&self, now: u64) -> bool {
        self.until > now
    }
}

impl Surge {
    pub fn new(now: u64) -> Self {
        Self { began: now, over_at: now, groups: Vec::new() }
    }

    /// Requests a slot for one more issue; adds the cooldowns that begin with it to
    /// `begun`.
    ///
    /// # Errors
    /// [`LimitExceeded`]: the group is in a cooldown, or so many issues are in progress that it
    /// is not known yet whether it must be.
    pub fn ask(
        &mut self,
        group: Option<&Group>,
        rule: SurgeRule,
        now: u64,
        begun: &mut Vec<Cooldown>,
    ) -> Result<HeldSlot, LimitExceeded> {
        self.roll_over(rule, now);
        let own = self.index_of(group);
        if self.groups[own].cooldowns(now) {
            return Err(LimitExceeded::after(self.groups[own].until - now));
        }
        let most = u64::from(rule.issues.get());
        let mut full = (self.groups[own].all() >= most).then_some(self.groups[own].done);
        while full.is_none() && self.together(now, Counted::all) >= most {
            let done = self.together(now, |it| it.done);
            let largest = self.largest(own, now);
            if largest == own {
                full = Some(done);
            } else if done >= most {
                self.cooldown(largest, rule, now, begun);
            } else {
                break; // Not known yet, and not caused by the requesting group.
            }
        }
        match full {
            None => {
                self.groups[own].held += 1;
                Ok(HeldSlot(self.groups[own].who.clone()))
            }
            Some(done) if done >= most => {
                self.cooldown(own, rule, now, begun);
                Err(LimitExceeded::after(rule.cooldown))
            }
            Some(_) => Err(LimitExceeded(1)),
        }
    }

    /// Takes a slot back, and counts it if the token was issued.
    pub fn settle(&mut self, HeldSlot(who): &HeldSlot, issued: bool) {
        if let Some(counted) = self.groups.iter_mut().find(|it| it.who == *who) {
            counted.held = counted.held.saturating_sub(1);
            counted.done += u64::from(issued);
        }
    }

    /// The number of groups that it counts.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// The cooldowns that are active at `now`.
    pub fn cooldowns(&self, now: u64) -> impl Iterator<Item = Cooldown> {
        let cooldowns = self.groups.iter().filter(move |it| it.cooldowns(now));
        cooldowns.map(|it| Cooldown { who: it.who.clone(), until: it.until })
    }

    /// Begins a new window after the end of the last one, and a new count after the end
    /// of a cooldown.
    fn roll_over(&mut self, rule: SurgeRule, now: u64) {
        if now.saturating_sub(self.began) >= rule.window {
            self.began = now;
            self.groups.iter_mut().for_each(|it| it.done = 0);
            self.groups.retain(|it| it.held > 0 || it.cooldowns(now));
        }
        self.over_at = self.began + rule.window;
        for counted in &mut self.groups {
            if counted.until > 0 && !counted.cooldowns(now) {
                (counted.done, counted.until) = (0, 0);
            }
        }
    }

    fn index_of(&mut self, group: Option<&Group>) -> usize {
        let named = self.groups.iter().position(|it| match &it.who {
            Who::Group(it) => it.as_ref() == group,
            Who::Others => false,
        });
        let others = || self.groups.iter().position(|it| it.who == Who::Others);
        if let Some(index) = named {
            return index;
        }
        let room = self.groups.len() <= GROUPS;
        if !room && let Some(index) = others() {
            return index;
        }
        let who = if room { Who::Group(group.cloned()) } else { Who::Others };
        self.groups.push(Counted { who, done: 0, held: 0, until: 0 });
        self.groups.len() - 1
    }

    /// The sum over all groups without a cooldown.
    fn together(&self, now: u64, count: impl Fn(&Counted) -> u64) -> u64 {
        self.groups.iter().filter(|it| !it.cooldowns(now)).map(count).sum()
    }

    /// The group without a cooldown that has the most issues; the requesting group is
    /// counted with its request.
    fn largest(&self, own: usize, now: u64) -> usize {
        let counted = self.groups.iter().enumerate().filter(|(_, it)| !it.cooldowns(now));
        let size = |&(at, it): &(usize, &Counted)| (it.all() + u64::from(at == own), at == own);
        counted.max_by_key(size).map_or(own, |(at, _)| at)
    }

    fn cooldown(&mut self, at: usize, rule: SurgeRule, now: u64, begun: &mut Vec<Cooldown>) {
        let counted = &mut self.groups[at];
        counted.until = now + rule.cooldown;
        begun.push(Cooldown { who: counted.who.clone(), until: counted.until });
    }
}

impl table::TableEntry for Surge {
    fn is_expired(&self, now: u64) -> bool {
        now >= self.over_at && !self.groups.iter().any(|it| it.held > 0 || it.cooldowns(now))
    }

    /// The largest count is the nearest to the limit.
    fn weight(&self) -> u64 {
        self.groups.iter().map(Counted::all).max().unwrap_or(0)
    }

    /// Dropping a cooldown would let the surge continue. Each has cost as many issues as
    /// its channel may have, so there are few.
    fn is_pinned(&self, now: u64) -> bool {
        self.groups.iter().any(|it| it.cooldowns(now))
    }
}
