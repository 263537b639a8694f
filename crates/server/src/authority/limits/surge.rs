//! The storm guard: a client in a loop must not wear out its channel.
//!
//! Issues of a kind are counted in a window that begins with the first of them,
//! each group by itself. A group that would have more than the window allows
//! rests. If the channel's groups together would have more than it allows, then
//! whichever of them has most rests: its issues no longer count for the channel,
//! and the others go on. So of k + 1 groups none is stopped that asks for no more
//! than its (k + 1)th part, whatever the others do.
//!
//! Only issues that happened count. One that is under way holds a place, so that
//! no race passes the bound; a place that was not used is given back.

use super::{table, wait::TooFast};
use std::num::NonZeroU32;
use tegata_policy::rules::GROUPS;
use tegata_token::id::Group;

/// How many issues of a kind a channel may have, and what comes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurgeRule {
    /// So many in a window.
    pub issues: NonZeroU32,
    /// How long the window is, in nanoseconds.
    pub window: u64,
    /// How long the kind rests then, in nanoseconds.
    pub cooldown: u64,
}

/// What a channel was issued of one kind.
#[derive(Debug)]
pub struct Surge {
    began: u64,
    /// The end of the window.
    over_at: u64,
    groups: Vec<Counted>,
}

/// One group's part; without a name those that belong to no group.
#[derive(Debug)]
struct Counted {
    who: Who,
    done: u64,
    held: u64,
    /// It rests until then; 0 if it does not.
    until: u64,
}

/// Whose issues are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A group's, or those without a group.
    Group(Option<Group>),
    /// Of all groups that came when there were [`GROUPS`] in the window already:
    /// as many as a channel can have at once.
    Others,
}

/// A rest that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// Who rests.
    pub who: Who,
    /// Until then, in nanoseconds.
    pub until: u64,
}

/// A place that an issue under way holds.
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

    /// Asks for a place for one more issue; `begun` gets the rests that begin by it.
    ///
    /// # Errors
    /// [`TooFast`]: the group rests, or so many issues are under way that it is not
    /// known yet whether it must.
    pub fn ask(
        &mut self,
        group: Option<&Group>,
        rule: SurgeRule,
        now: u64,
        begun: &mut Vec<Cooldown>,
    ) -> Result<HeldSlot, TooFast> {
        self.turn_over(rule, now);
        let own = self.place_of(group);
        if self.groups[own].cooldowns(now) {
            return Err(TooFast::after(self.groups[own].until - now));
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
                break; // Not known yet, and no fault of the one that asks.
            }
        }
        match full {
            None => {
                self.groups[own].held += 1;
                Ok(HeldSlot(self.groups[own].who.clone()))
            }
            Some(done) if done >= most => {
                self.cooldown(own, rule, now, begun);
                Err(TooFast::after(rule.cooldown))
            }
            Some(_) => Err(TooFast(1)),
        }
    }

    /// Takes a place back: its issue happened, or did not.
    pub fn settle(&mut self, HeldSlot(who): &HeldSlot, issued: bool) {
        if let Some(counted) = self.groups.iter_mut().find(|it| it.who == *who) {
            counted.held = counted.held.saturating_sub(1);
            counted.done += u64::from(issued);
        }
    }

    /// How many groups it counts.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// The rests that last at `now`.
    pub fn cooldowns(&self, now: u64) -> impl Iterator<Item = Cooldown> {
        let cooldowns = self.groups.iter().filter(move |it| it.cooldowns(now));
        cooldowns.map(|it| Cooldown { who: it.who.clone(), until: it.until })
    }

    /// Begins a new window where the last one is over, and counts anew for whoever
    /// has rested.
    fn turn_over(&mut self, rule: SurgeRule, now: u64) {
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

    fn place_of(&mut self, group: Option<&Group>) -> usize {
        let named = self.groups.iter().position(|it| match &it.who {
            Who::Group(it) => it.as_ref() == group,
            Who::Others => false,
        });
        let others = || self.groups.iter().position(|it| it.who == Who::Others);
        if let Some(place) = named {
            return place;
        }
        let room = self.groups.len() <= GROUPS;
        if !room && let Some(place) = others() {
            return place;
        }
        let who = if room { Who::Group(group.cloned()) } else { Who::Others };
        self.groups.push(Counted { who, done: 0, held: 0, until: 0 });
        self.groups.len() - 1
    }

    /// Of all that do not rest together.
    fn together(&self, now: u64, count: impl Fn(&Counted) -> u64) -> u64 {
        self.groups.iter().filter(|it| !it.cooldowns(now)).map(count).sum()
    }

    /// Who has most of those that do not rest; the one that asks is counted with
    /// what it asks for.
    fn largest(&self, own: usize, now: u64) -> usize {
        let awake = self.groups.iter().enumerate().filter(|(_, it)| !it.cooldowns(now));
        let size = |&(at, it): &(usize, &Counted)| (it.all() + u64::from(at == own), at == own);
        awake.max_by_key(size).map_or(own, |(at, _)| at)
    }

    fn cooldown(&mut self, at: usize, rule: SurgeRule, now: u64, begun: &mut Vec<Cooldown>) {
        let counted = &mut self.groups[at];
        counted.until = now + rule.cooldown;
        begun.push(Cooldown { who: counted.who.clone(), until: counted.until });
    }
}

impl table::TableEntry for Surge {
    fn is_over(&self, now: u64) -> bool {
        now >= self.over_at && !self.groups.iter().any(|it| it.held > 0 || it.cooldowns(now))
    }

    /// What has issued most is nearest to its bound.
    fn worth(&self) -> u64 {
        self.groups.iter().map(Counted::all).max().unwrap_or(0)
    }

    /// A rest that was forgotten would let the storm on. Each has cost as many
    /// issues as its channel may have, so there are few.
    fn is_pinned(&self, now: u64) -> bool {
        self.groups.iter().any(|it| it.cooldowns(now))
    }
}
