//! Runs the agent: one loop that starts due orders, waits for their results, and notifies
//! systemd.

use super::{
    config::{ChannelConfig, Config, Watched},
    core::{Core, Done, Errand, FileOrder, Order, RandomSource},
    health::AgentHealth,
    listen::Servers,
    manager::Manager,
    off_loop::{self, HANGS, OffLoop},
    reload::Prepared,
    shared::{Known, Shared, callers},
    state::Folder,
    target::{TargetRequest, TargetResponse},
};
use crate::{
    call::{Client, Verified},
    failure::Failure,
    machine::{MonotonicClock, jitter, random},
    renewal::Jitter,
    wanted::Wanted,
};
use std::{fs, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};
use tegata_token::{kind::Kind, time::UnixTime};
use tokio::{signal::unix::Signal, task::JoinSet};

/// The reason why the agent cannot run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(String);

struct Machine;

impl RandomSource for Machine {
    fn jitter(&mut self) -> Jitter {
        jitter()
    }

    fn number(&mut self) -> u64 {
        random()
    }
}

/// How long orders that are under way may take at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a reload waits for the orders under way, in seconds: longer than a command may
/// take.
const RELOAD_PATIENCE: i64 = 35;

/// Renews tokens until `stop`. `started` gets the HTTP server's address. At each of
/// `reloads`, the file at `path` is read again; settings that cannot be used are logged,
/// and the old ones stay in force.
///
/// # Errors
/// [`CannotRun`], at the start or after a bug; no other problem stops it.
pub async fn run(
    config: &Config,
    path: &Path,
    stop: impl Future<Output = ()>,
    mut reloads: Signal,
    started: impl FnOnce(Option<SocketAddr>),
) -> Result<(), CannotRun> {
    let mut agent = Agent::start(config.clone()).await?;
    started(agent.servers.address());
    let shared = Arc::clone(&agent.hands.shared);
    let mut manager = Manager::new();
    let mut under_way = JoinSet::new();
    let mut stop = pin!(stop);
    // Until when a requested reload waits.
    let mut reload_until: Option<UnixTime> = None;
    loop {
        let now = shared.now();
        if let Some(until) = reload_until
            && (under_way.is_empty() || until <= now)
        {
            reload_until = None;
            agent.reload(path, under_way.is_empty()).await;
            manager.reloaded();
        }
        let (orders, report, has_looked, wait) = {
            let mut core = shared.core();
            let orders = if reload_until.is_some() { Vec::new() } else { core.due(now) };
            let wait = core.next_time(now).since(now);
            (orders, AgentHealth::of(&core, now), core.has_looked(), wait)
        };
        for order in orders {
            let hands = Arc::clone(&agent.hands);
            under_way.spawn(async move { hands.carry_out(order).await });
        }
        manager.notify(&report, has_looked);
        let wait = Duration::from_secs(u64::try_from(wait).unwrap_or(0)).min(manager.patience);
        tokio::select! {
            () = &mut stop => break,
            Some(()) = reloads.recv() => {
                manager.reloading();
                reload_until.get_or_insert(now.plus(RELOAD_PATIENCE));
            }
            Some(done) = under_way.join_next() => match done {
                Ok((done, skew)) => take_in(&shared, done, skew),
                // A bug: the agent exits, so that the service manager notices.
                Err(error) => return Err(CannotRun(format!("a task failed: {error}"))),
            },
            () = shared.woken.notified() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(50))) => {}
        }
    }
    manager.stopping();
    let _ = tokio::time::timeout(LAST_PATIENCE, finish(&agent.hands, under_way)).await;
    agent.servers.stop(&shared, LAST_PATIENCE).await;
    Ok(())
}

/// A running agent with the settings in force.
struct Agent {
    config: Config,
    hands: Arc<Hands>,
    servers: Servers,
    /// Held as long as the folder of the kept state is used.
    _lock: Option<fs::File>,
}

impl Agent {
    async fn start(config: Config) -> Result<Self, CannotRun> {
        let client = Client::new(&config.authority);
        let client = client.map_err(|error| CannotRun(format!("authority: {error}")))?;
        let off_loop = OffLoop::new(off_loop::PATIENCE);
        let clock = MonotonicClock::new();
        let (lock, callers, core) = begin(&config, &off_loop, clock.now()).await?;
        let shared = Arc::new(Shared::new(core, clock, off_loop, callers));
        let servers = Servers::start(&config, &shared, &mut Servers::default()).await;
        let servers = servers.map_err(CannotRun)?;
        let hands = Hands::new(&config, client, shared);
        Ok(Self { config, hands, servers, _lock: lock })
    }

    /// Puts the settings in the file at `path` in force, if they can be used and no order is
    /// under way.
    async fn reload(&mut self, path: &Path, is_idle: bool) {
        let outcome = if is_idle {
            self.try_reload(path).await
        } else {
            Err(format!("operations under way did not return within {RELOAD_PATIENCE} s"))
        };
        match outcome {
            Ok(()) => tracing::info!(file = %path.display(), "reloaded"),
            Err(problem) => {
                tracing::error!(problem, "not reloaded; the old settings stay in force");
            }
        }
    }

    async fn try_reload(&mut self, path: &Path) -> Result<(), String> {
        let shared = Arc::clone(&self.hands.shared);
        let new = Prepared::again(path, &self.config, &shared.off_loop).await?;
        let servers = Servers::start(&new.config, &shared, &mut self.servers).await?;
        // From here on, nothing fails.
        std::mem::replace(&mut self.servers, servers).stop(&shared, LAST_PATIENCE).await;
        if let Some(lock) = new.lock {
            self._lock = lock;
        }
        shared.set_callers(new.callers);
        let is_another_authority = new.config.authority != self.config.authority;
        shared.core().reload(&new.config, new.loaded, is_another_authority, shared.now());
        self.hands = Hands::new(&new.config, new.client, shared);
        self.config = new.config;
        Ok(())
    }
}

/// Waits for pending responses, saves the tokens and writes them to the sinks, so that
/// the next start need not repeat the requests.
async fn finish(hands: &Arc<Hands>, mut under_way: JoinSet<(Done, Option<i64>)>) {
    loop {
        let shared = &hands.shared;
        let orders = shared.core().due_files(shared.now());
        for order in orders {
            let hands = Arc::clone(hands);
            under_way.spawn(async move { hands.carry_out(Order::File(order)).await });
        }
        match under_way.join_next().await {
            Some(Ok((done, skew))) => take_in(shared, done, skew),
            // A bug; the log has the panic.
            Some(Err(_)) => {}
            None => return,
        }
    }
}

/// Reads state and secrets before the first request. If a disk hangs here, the start
/// fails, so that the service manager notices.
async fn begin(
    config: &Config,
    off_loop: &OffLoop,
    now: UnixTime,
) -> Result<(Option<fs::File>, Vec<Known>, Core), CannotRun> {
    let settings = config.clone();
    let work = move || -> Result<_, String> {
        let lock = settings.state.as_deref().map(|path| Folder::at(path).lock()).transpose()?;
        let callers = callers(&settings)?;
        Ok((lock.flatten(), callers, Core::new(&settings, now, Box::new(Machine))))
    };
    let begun = tokio::time::timeout(off_loop::PATIENCE, off_loop.run(work, || ())).await;
    let hangs = || format!("state or a caller's secret {HANGS}");
    begun.unwrap_or_else(|_| Err(hangs())).and_then(|it| it).map_err(CannotRun)
}

fn take_in(shared: &Shared, done: Done, skew: Option<i64>) {
    let mut core = shared.core();
    if let Some(seconds) = skew {
        core.set_skew(seconds);
    }
    core.done(shared.now(), done);
}

/// Carries out orders, on tasks beside the loop.
struct Hands {
    client: Client,
    shared: Arc<Shared>,
    audience: String,
    /// The environment variables that are removed for commands.
    private: Vec<String>,
}

impl Hands {
    fn new(config: &Config, client: Client, shared: Arc<Shared>) -> Arc<Self> {
        for warning in shared.core().warnings() {
            tracing::warn!("{warning}");
        }
        let (audience, private) = (config.audience.clone(), config.private_variables());
        Arc::new(Self { client, shared, audience, private })
    }

    /// Carries out an order; also returns the clock's skew, if a response showed it.
    async fn carry_out(&self, order: Order) -> (Done, Option<i64>) {
        let done = match order {
            Order::TargetRequest { target, wanted, channel, act } => {
                Done::TargetRequest(target, self.act(target, &wanted, channel, act).await)
            }
            Order::Look { watch, settings } => Done::Look(watch, self.look(watch, settings).await),
            Order::Notify { sink, notification } => {
                let late = |problem| self.late(Errand::Notify(sink), problem);
                let sent = notification.send(&self.private, &self.shared.off_loop, &late).await;
                Done::Notify(sink, sent)
            }
            Order::File(order) => self.file(order).await,
        };
        let theirs = self.client.take_authority_time();
        (done, theirs.map(|theirs| self.shared.clock.wall().since(theirs)))
    }

    async fn act(
        &self,
        target: usize,
        wanted: &Wanted,
        channel: ChannelConfig,
        act: TargetRequest,
    ) -> TargetResponse {
        let (client, wall) = (&self.client, self.shared.clock.wall());
        let late = || {
            let problem = format!("channel {}: credentials {HANGS}", channel.id);
            self.late(Errand::TargetRequest(target), problem);
        };
        let (settings, audience) = (channel.clone(), self.audience.clone());
        let read = move || settings.credentials(&audience);
        let credentials = async {
            let read = self.shared.off_loop.run(read, late).await;
            read.unwrap_or_else(|problem| Err(Failure::NotAsked(problem)))
        };
        match act {
            // It cannot be revoked, and expires.
            TargetRequest::Retire(_) if !channel.can_retire(wanted.kind) => {
                TargetResponse::Retired(Ok(()))
            }
            TargetRequest::Issue { key } => {
                TargetResponse::TokenResponse(match credentials.await {
                    Ok(it) => {
                        let issued = client.issue_wanted(wanted, &it, &key, wall).await;
                        issued.map_err(|failure| channel.blame(wanted.uses_secret(&it), failure))
                    }
                    Err(failure) => Err(failure),
                })
            }
            TargetRequest::Verify(token) => TargetResponse::Verified(client.verify(&token).await),
            TargetRequest::Retire(token) => TargetResponse::Retired(match credentials.await {
                Ok(it) => {
                    let retired = client.retire(wanted, &it, &token).await;
                    retired.map_err(|failure| channel.blame(wanted.kind == Kind::V21, failure))
                }
                Err(failure) => Err(failure),
            }),
        }
    }

    async fn look(&self, watch: usize, settings: Watched) -> Result<Verified, Failure> {
        let name = settings.file.as_ref().map(|it| it.display().to_string()).unwrap_or_default();
        let late = || self.late(Errand::Look(watch), format!("{name} {HANGS}"));
        let read = self.shared.off_loop.run(move || settings.token(), late).await;
        let token = read.and_then(|it| it).map_err(Failure::NotAsked)?;
        self.client.verify(&token).await
    }

    async fn file(&self, order: FileOrder) -> Done {
        let (place, not_done) = (order.place(), order.not_done());
        let problem = format!("{} {HANGS}", order.file());
        let late = || self.late(place, problem);
        let done = self.shared.off_loop.run(move || order.carry_out(), late).await;
        done.unwrap_or_else(|error| {
            tracing::error!(error, "file work");
            not_done
        })
    }

    fn late(&self, place: Errand, problem: String) {
        self.shared.core().is_late(place, problem);
        self.shared.wake();
    }
}
