//! The agent without its machine: targets, sinks and watched tokens over time that
//! is told to it and answers that are brought to it. Files are written from here;
//! sockets and clocks are elsewhere, so that a month can be played in a second.

use super::{
    config::{Channel, Config},
    sink::{Sink, Telling},
    state::{Folder, Held, Kept},
    target::{Act, Change, Outcome, Target},
    watch::Watch,
};
use crate::{
    call::{Failure, Verified},
    renewal::Chance,
    wanted::Wanted,
};
use std::collections::BTreeMap;
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// Where the agent gets its chance from.
pub trait Dice: Send {
    /// A number from 0 to below 1.
    fn chance(&mut self) -> Chance;
    /// Any number.
    fn number(&mut self) -> u64;
}

/// All that the agent knows.
pub struct Core {
    targets: Vec<Target>,
    channels: Vec<Channel>,
    sinks: Vec<Sink>,
    watched: Vec<Watch>,
    folder: Option<Folder>,
    /// What is kept on disk is behind, and since when to try again.
    unsaved: BTreeMap<usize, UnixTime>,
    state_problem: Option<String>,
    warnings: Vec<String>,
    skew: Option<i64>,
    dice: Box<dyn Dice>,
}

/// Something to be done outside, whose end is told to [`Core::done`].
#[derive(Debug)]
pub enum Order {
    /// An act for a target, with its channel.
    Act {
        /// Which target.
        target: usize,
        /// What it asks for.
        wanted: Wanted,
        /// Whose credentials to use.
        channel: Channel,
        /// What to do.
        act: Act,
    },
    /// Check a watched token.
    Look {
        /// Which one.
        watch: usize,
        /// The token.
        token: PlainSecret,
    },
    /// Tell of a change.
    Tell {
        /// Of which sink.
        sink: usize,
        /// Whom.
        telling: Telling,
    },
}

/// How an order ended.
#[derive(Debug)]
pub enum Done {
    /// Of [`Order::Act`].
    Act(usize, Outcome),
    /// Of [`Order::Look`].
    Look(usize, Result<Verified, Failure>),
    /// Of [`Order::Tell`].
    Tell(usize, Result<(), String>),
}

/// So many orders are under way at once: at a start with many targets the authority
/// shall not be met by all of them together.
const AT_ONCE: usize = 8;

/// When to try again to keep what could not be kept, in seconds.
const SAVE_AGAIN: i64 = 10;

impl Core {
    /// Begins with what was kept, or with nothing. That the folder for it cannot be
    /// used is no reason not to keep tokens fresh, but one for a warning.
    #[must_use]
    pub fn new(config: &Config, now: UnixTime, mut dice: Box<dyn Dice>) -> Self {
        let mut state_problem = None;
        let folder = config.state.as_deref().map(Folder::at);
        let look = i64::from(config.look_seconds);
        let mut unsaved = BTreeMap::new();
        let mut targets = Vec::new();
        for (number, token) in config.tokens.iter().enumerate() {
            let wanted = config.wanted(token);
            let found = folder.as_ref().map_or(Ok(None), |it| it.load(&token.name, &wanted));
            let found = found.unwrap_or_else(|problem| {
                tracing::error!(problem, "what was kept cannot be used");
                state_problem = Some(problem);
                None
            });
            // Before anything is asked for, so that an answer that is lost with us can
            // be asked for again.
            let kept = found.unwrap_or_else(|| {
                unsaved.insert(number, now);
                Kept { generation: dice.number(), ..Kept::default() }
            });
            targets.push(Target::new(token.name.clone(), wanted, kept, look, now, dice.chance()));
        }
        let sinks = config.sinks.iter().cloned().enumerate();
        let mut core = Self {
            targets,
            channels: config.channels.clone(),
            sinks: sinks.map(|(number, sink)| Sink::new(sink, number, look)).collect(),
            watched: config.watched.iter().cloned().map(|it| Watch::new(it, look)).collect(),
            folder,
            unsaved,
            state_problem,
            warnings: config.warnings(),
            skew: None,
            dice,
        };
        core.publish(now);
        core
    }

    /// What is to be begun at `now`.
    pub fn due(&mut self, now: UnixTime) -> Vec<Order> {
        self.publish(now);
        let mut orders = Vec::new();
        for (sink, it) in self.sinks.iter_mut().enumerate() {
            orders.extend(it.to_tell(now).map(|telling| Order::Tell { sink, telling }));
        }
        let busy = self.targets.iter().filter(|it| it.busy).count();
        let mut free = AT_ONCE.saturating_sub(busy);
        for (target, it) in self.targets.iter_mut().enumerate() {
            if free == 0 {
                break;
            }
            let Ok(act) = it.next(now) else { continue };
            let channel = self.channels.iter().find(|channel| channel.id == it.wanted.channel);
            // The settings were checked: every token has its channel.
            let Some(channel) = channel.cloned() else { continue };
            (it.busy, free) = (true, free - 1);
            orders.push(Order::Act { target, wanted: it.wanted.clone(), channel, act });
        }
        for (watch, it) in self.watched.iter_mut().enumerate() {
            if let Ok(token) = it.next(now) {
                it.busy = true;
                orders.push(Order::Look { watch, token });
            }
        }
        orders
    }

    /// When there will be something to do, if no order ends before.
    pub fn next_time(&mut self, now: UnixTime) -> UnixTime {
        let busy = self.targets.iter().filter(|it| it.busy).count();
        // With all hands full it is the end of an order that goes on.
        let free = busy < AT_ONCE;
        let targets = self.targets.iter_mut().filter(|_| free);
        let targets = targets.map(|it| it.next(now).map_or_else(|until| until, |_| now));
        let watched =
            self.watched.iter_mut().map(|it| it.next(now).map_or_else(|until| until, |_| now));
        let sinks = self.sinks.iter().map(Sink::next_time);
        let saves = self.unsaved.values().copied();
        targets.chain(watched).chain(sinks).chain(saves).min().unwrap_or(now.plus(60))
    }

    /// Takes in how an order ended.
    pub fn done(&mut self, now: UnixTime, done: Done) {
        match done {
            Done::Act(number, outcome) => {
                let chance = self.dice.chance();
                let target = &mut self.targets[number];
                let change = target.done(now, outcome, chance);
                let name = target.name.clone();
                if change != Change::None {
                    self.unsaved.insert(number, now);
                }
                let sinks = self.sinks.iter_mut().filter(|it| it.settings.tokens.contains(&name));
                match change {
                    Change::New => sinks.for_each(Sink::touch),
                    Change::Ended => sinks.for_each(|sink| sink.ended(&name)),
                    Change::None | Change::Kept => {}
                }
            }
            Done::Look(number, checked) => self.watched[number].done(now, checked),
            Done::Tell(number, outcome) => self.sinks[number].told(now, outcome),
        }
        self.publish(now);
    }

    /// Keeps and publishes what is due: first on disk for ourselves, so that a token
    /// that others have seen is one that we know after a restart.
    fn publish(&mut self, now: UnixTime) {
        self.save(now);
        if self.sinks.iter().any(|sink| sink.is_due(now)) {
            self.put(now);
        }
        for target in self.targets.iter_mut().filter(|it| it.waits_for_use()) {
            let mut sinks =
                self.sinks.iter().filter(|it| it.settings.tokens.contains(&target.name));
            if sinks.all(Sink::is_settled) {
                target.in_use(now);
            }
        }
    }

    fn put(&mut self, now: UnixTime) {
        // An ended token is not put anywhere, but what a file holds is left there.
        let held: BTreeMap<&Group, &Held> = self
            .targets
            .iter()
            .filter_map(|target| Some((&target.name, target.live(now)?)))
            .collect();
        for sink in &mut self.sinks {
            sink.publish(now, &held);
        }
    }

    fn save(&mut self, now: UnixTime) {
        let Some(folder) = &self.folder else { return self.unsaved.clear() };
        let due: Vec<_> =
            self.unsaved.iter().filter(|(_, at)| **at <= now).map(|(n, _)| *n).collect();
        for number in due {
            let target = &self.targets[number];
            match folder.save(&target.name, &target.wanted, &target.kept()) {
                Ok(()) => {
                    self.unsaved.remove(&number);
                }
                Err(problem) => {
                    if self.state_problem.as_ref() != Some(&problem) {
                        tracing::error!(problem, "a token cannot be kept over a restart");
                    }
                    self.state_problem = Some(problem);
                    self.unsaved.insert(number, now.plus(SAVE_AGAIN));
                }
            }
        }
        if self.unsaved.is_empty() && self.state_problem.take().is_some() {
            tracing::info!("what could not be kept is kept now");
        }
    }

    /// How many seconds this machine's clock is ahead of the authority's.
    pub fn set_skew(&mut self, seconds: i64) {
        self.skew = Some(seconds);
    }

    /// The token of this name, if it is good.
    #[must_use]
    pub fn token(&self, name: &str, now: UnixTime) -> Option<&Held> {
        self.targets.iter().find(|it| it.name.as_str() == name)?.live(now)
    }

    /// Somebody was answered 401 with this token of this name.
    pub fn reported(&mut self, name: &str, now: UnixTime, token: &PlainSecret) {
        if let Some(target) = self.targets.iter_mut().find(|it| it.name.as_str() == name) {
            target.reported(now, token);
        }
    }

    /// Whether something about the token of this name is under way or due.
    pub fn is_working_on(&mut self, name: &str, now: UnixTime) -> bool {
        let mut found = self.targets.iter_mut().filter(|it| it.name.as_str() == name);
        found.any(|it| it.busy || it.next(now).is_ok())
    }

    /// The tokens that are kept fresh.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether what is held is more than what was kept over a restart.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.targets.iter().all(Target::was_looked_at)
    }

    /// Where they are put.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }

    /// The tokens that are only watched.
    #[must_use]
    pub fn watched(&self) -> &[Watch] {
        &self.watched
    }

    /// Whether a token is put anywhere.
    #[must_use]
    pub fn has_sink(&self, token: &Group) -> bool {
        self.sinks.iter().any(|sink| sink.settings.tokens.contains(token))
    }

    /// What the settings let foresee.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Why tokens are not kept over a restart, if they should be.
    #[must_use]
    pub fn state_problem(&self) -> Option<&str> {
        self.state_problem.as_deref()
    }

    /// How many seconds this machine's clock is ahead of the authority's.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        self.skew
    }
}
