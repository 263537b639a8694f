//! The agent's logic without I/O: targets, sinks and watched tokens. Time and results are
//! arguments; files, sockets and clocks are elsewhere. So a test simulates a month in a
//! second, and nothing here blocks.

mod reload;

pub use reload::Loaded;

use super::{
    config::{ChannelConfig, Config, Watched},
    notification::Notification,
    saves::Saves,
    sink::Sink,
    state::{Folder, HeldToken, Kept, Saving},
    target::{Target, TargetChange, TargetRequest, TargetResponse},
    watch::Watch,
    writing::{Writing, Written},
};
use crate::{call::Verified, failure::Failure, renewal::Jitter, wanted::Wanted};
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// The agent's source of random numbers.
pub trait RandomSource: Send {
    /// A number from 0 to below 1.
    fn jitter(&mut self) -> Jitter;
    /// Any number.
    fn number(&mut self) -> u64;
}

/// The state of the agent.
pub struct Core {
    targets: Vec<Target>,
    channels: Vec<ChannelConfig>,
    sinks: Vec<Sink>,
    watched: Vec<Watch>,
    folder: Option<Folder>,
    saves: Saves,
    warnings: Vec<String>,
    skew: Option<i64>,
    random: Box<dyn RandomSource>,
}

/// Work for [`run`](super::run), whose result goes to [`Core::done`].
#[derive(Debug)]
pub enum Order {
    /// A request for a target, with its channel.
    TargetRequest {
        /// The target's index.
        target: usize,
        /// The token that it requests.
        wanted: Wanted,
        /// The channel whose credentials to use.
        channel: ChannelConfig,
        /// The request.
        act: TargetRequest,
    },
    /// Verify a watched token.
    Look {
        /// The watched token's index.
        watch: usize,
        /// Its settings.
        settings: Watched,
    },
    /// Notify a program of a change.
    Notify {
        /// The sink's index.
        sink: usize,
        /// The notification.
        notification: Notification,
    },
    /// Work on a file.
    File(FileOrder),
}

/// Work on a file, which can block.
#[derive(Debug)]
pub enum FileOrder {
    /// Write a sink's file.
    Write {
        /// The sink's index.
        sink: usize,
        /// What to write.
        writing: Writing,
    },
    /// Keep a token over a restart.
    Save {
        /// The target's index.
        target: usize,
        /// What to save.
        saving: Saving,
    },
}

impl FileOrder {
    /// Carries out the order.
    #[must_use]
    pub fn carry_out(self) -> Done {
        match self {
            Self::Write { sink, writing } => Done::Write(sink, writing.write()),
            Self::Save { target, saving } => Done::Save(target, saving.save()),
        }
    }

    /// The result if the order cannot be carried out.
    #[must_use]
    pub fn not_done(&self) -> Done {
        let problem = format!("{}: no thread for the file work; see the log", self.file());
        match self {
            Self::Write { sink, .. } => Done::Write(*sink, Err(problem)),
            Self::Save { target, .. } => Done::Save(*target, Err(problem)),
        }
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> String {
        match self {
            Self::Write { sink, writing } => writing.settings.label(*sink),
            Self::Save { saving, .. } => saving.path().display().to_string(),
        }
    }

    /// The order's errand.
    #[must_use]
    pub fn place(&self) -> Errand {
        match self {
            Self::Write { sink, .. } => Errand::Write(*sink),
            Self::Save { target, .. } => Errand::Save(*target),
        }
    }
}

/// Identifies an order that has not returned in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// The credentials for a request of this target.
    TargetRequest(usize),
    /// The file of this watched token.
    Look(usize),
    /// The notification of this sink.
    Notify(usize),
    /// The file of this sink.
    Write(usize),
    /// The kept state of this target.
    Save(usize),
}

/// The result of an order.
#[derive(Debug)]
pub enum Done {
    /// Of [`Order::TargetRequest`].
    TargetRequest(usize, TargetResponse),
    /// Of [`Order::Look`].
    Look(usize, Result<Verified, Failure>),
    /// Of [`Order::Notify`].
    Notify(usize, Result<(), String>),
    /// Of [`FileOrder::Write`].
    Write(usize, Result<Written, String>),
    /// Of [`FileOrder::Save`].
    Save(usize, Result<(), String>),
}

/// Maximum number of concurrent requests, so that a start with many targets does not send
/// all requests to the authority at once.
const AT_ONCE: usize = 8;

impl Core {
    /// Starts with the kept state, if there is one; reads it from the disk. If the folder
    /// cannot be used, the agent warns and renews tokens all the same.
    #[must_use]
    pub fn new(config: &Config, now: UnixTime, random: Box<dyn RandomSource>) -> Self {
        let mut core = Self {
            targets: Vec::new(),
            channels: Vec::new(),
            sinks: Vec::new(),
            watched: Vec::new(),
            folder: None,
            saves: Saves::default(),
            warnings: Vec::new(),
            skew: None,
            random,
        };
        core.reload(config, Loaded::of(config), false, now);
        core
    }

    /// The file work that is due at `now`. The agent's own state comes first, so that after
    /// a restart the agent has every token that programs have read.
    pub fn due_files(&mut self, now: UnixTime) -> Vec<FileOrder> {
        let mut orders = Vec::new();
        for target in self.saves.begin(now) {
            match &self.folder {
                Some(folder) => orders.push(self.save(folder.clone(), target)),
                None => self.saves.done(target, now, Ok(())),
            }
        }
        let Self { sinks, targets, saves, .. } = self;
        for (sink, it) in sinks.iter_mut().enumerate() {
            if !it.is_due(now) || waits(it, targets, saves, now) {
                continue;
            }
            let named = |name: &Group| targets.iter().find(|target| target.name == *name);
            let held = |name: &Group| named(name)?.live(now).cloned();
            let writing = it.to_write(now, held);
            orders.extend(writing.map(|writing| FileOrder::Write { sink, writing }));
        }
        orders
    }

    fn save(&self, folder: Folder, target: usize) -> FileOrder {
        let it = &self.targets[target];
        let (name, wanted) = (it.name.clone(), it.wanted.clone());
        FileOrder::Save { target, saving: Saving { folder, name, wanted, kept: it.kept() } }
    }

    /// The orders that are due at `now`.
    pub fn due(&mut self, now: UnixTime) -> Vec<Order> {
        let mut orders: Vec<_> = self.due_files(now).into_iter().map(Order::File).collect();
        self.settle(now);
        for (sink, it) in self.sinks.iter_mut().enumerate() {
            let notification = it.to_notify(now);
            orders.extend(notification.map(|notification| Order::Notify { sink, notification }));
        }
        let mut free = self.free_hands();
        for (target, it) in self.targets.iter_mut().enumerate() {
            if free == 0 {
                break;
            }
            if self.saves.is_waited_for(target, now) {
                continue;
            }
            let Ok(act) = it.next(now) else { continue };
            let channel = self.channels.iter().find(|channel| channel.id == it.wanted.channel);
            // `Config::check` ensures that every token has its channel.
            let Some(channel) = channel.cloned() else { continue };
            (it.busy, free) = (true, free - 1);
            orders.push(Order::TargetRequest { target, wanted: it.wanted.clone(), channel, act });
        }
        for (watch, it) in self.watched.iter_mut().enumerate() {
            if it.next(now).is_ok() {
                it.busy = true;
                orders.push(Order::Look { watch, settings: it.settings.clone() });
            }
        }
        orders
    }

    /// How many more requests may begin. A target that waits for a disk that hangs does not
    /// count, so it does not delay the others.
    fn free_hands(&self) -> usize {
        let busy = self.targets.iter().filter(|it| it.busy && it.late.is_none()).count();
        AT_ONCE.saturating_sub(busy)
    }

    /// When the next order is due, if none returns before.
    pub fn next_time(&mut self, now: UnixTime) -> UnixTime {
        // At the maximum, the next request begins when an order returns.
        let free = self.free_hands() > 0;
        let Self { targets, sinks, saves, watched, .. } = self;
        let sinks = sinks.iter().filter(|sink| !waits(sink, targets, saves, now));
        let sinks = sinks.map(Sink::next_time).min();
        let targets = targets.iter_mut().enumerate();
        let targets = targets.filter(|(number, _)| free && !saves.is_waited_for(*number, now));
        let targets = targets.map(|(_, it)| it.next(now).map_or_else(|until| until, |_| now));
        let watched = watched.iter().map(|it| it.next(now).map_or_else(|until| until, |()| now));
        let all = targets.chain(watched).chain(sinks).chain(saves.next_time());
        all.min().unwrap_or(now.plus(60))
    }

    /// Processes the result of an order.
    pub fn done(&mut self, now: UnixTime, done: Done) {
        match done {
            Done::TargetRequest(number, outcome) => {
                let jitter = self.random.jitter();
                let target = &mut self.targets[number];
                let change = target.done(now, outcome, jitter);
                let name = target.name.clone();
                if change != TargetChange::None {
                    self.saves.ask(number, now);
                }
                let sinks = self.sinks.iter_mut().filter(|it| it.settings.tokens.contains(&name));
                match change {
                    TargetChange::New => sinks.for_each(Sink::touch),
                    TargetChange::Revoked => sinks.for_each(|sink| sink.revoked(&name)),
                    TargetChange::None | TargetChange::Kept => {}
                }
            }
            Done::Look(number, checked) => self.watched[number].done(now, checked),
            Done::Notify(number, outcome) => self.sinks[number].notified(now, outcome),
            Done::Write(number, outcome) => self.sinks[number].written(now, outcome),
            Done::Save(number, outcome) => self.saves.done(number, now, outcome),
        }
        self.settle(now);
    }

    /// Records that an order has not returned in time; it is still under way.
    pub fn is_late(&mut self, place: Errand, problem: String) {
        match place {
            Errand::TargetRequest(number) => self.targets[number].is_late(problem),
            Errand::Look(number) => self.watched[number].is_late(problem),
            Errand::Notify(number) => self.sinks[number].notification_is_late(&problem),
            Errand::Write(number) => self.sinks[number].write_is_late(problem),
            Errand::Save(number) => self.saves.is_late(number, problem),
        }
    }

    /// Starts the grace period of predecessors whose successor is in every sink.
    fn settle(&mut self, now: UnixTime) {
        let Self { targets, sinks, .. } = self;
        for target in targets.iter_mut().filter(|it| it.waits_for_use()) {
            let mut sinks = sinks.iter().filter(|it| it.settings.tokens.contains(&target.name));
            if sinks.all(Sink::is_settled) {
                target.in_use(now);
            }
        }
    }

    /// Sets how many seconds this machine's clock is ahead of the authority's.
    pub fn set_skew(&mut self, seconds: i64) {
        self.skew = Some(seconds);
    }

    /// The token of this name, if it is active.
    #[must_use]
    pub fn token(&self, name: &str, now: UnixTime) -> Option<&HeldToken> {
        self.targets.iter().find(|it| it.name.as_str() == name)?.live(now)
    }

    /// Processes a caller's report that an API answered 401 to this token.
    pub fn reported(&mut self, name: &str, now: UnixTime, token: &PlainSecret) {
        if let Some(target) = self.targets.iter_mut().find(|it| it.name.as_str() == name) {
            target.reported(now, token);
        }
    }

    /// Whether a request for the token of this name is under way or due.
    pub fn is_working_on(&mut self, name: &str, now: UnixTime) -> bool {
        let mut found = self.targets.iter_mut().filter(|it| it.name.as_str() == name);
        found.any(|it| it.busy || it.next(now).is_ok())
    }

    /// The tokens that are renewed.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether every token that was kept over a restart has been verified since.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.targets.iter().all(Target::was_looked_at)
    }

    /// The sinks.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }

    /// The tokens that are only watched.
    #[must_use]
    pub fn watched(&self) -> &[Watch] {
        &self.watched
    }

    /// Whether a sink holds the token.
    #[must_use]
    pub fn has_sink(&self, token: &Group) -> bool {
        self.sinks.iter().any(|sink| sink.settings.tokens.contains(token))
    }

    /// Warnings about the settings.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Why tokens are not kept over a restart, if they should be.
    #[must_use]
    pub fn state_problem(&self) -> Option<&str> {
        self.saves.problem()
    }

    /// How many seconds this machine's clock is ahead of the authority's.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        self.skew
    }
}

/// Whether a sink's file must wait until its tokens are saved. The cheap question comes
/// first: this is asked for every sink at every step, and few targets wait at a time.
fn waits(sink: &Sink, targets: &[Target], saves: &Saves, now: UnixTime) -> bool {
    let waited_for = saves.pending().filter(|target| saves.is_waited_for(*target, now));
    let mut names = waited_for.filter_map(|target| Some(&targets.get(target)?.name));
    names.any(|name| sink.settings.tokens.contains(name))
}
