//! Runs the agent: one loop that starts due orders, waits for their results, and notifies
//! systemd.

use super::{
    config::{ChannelConfig, Config, Watched},
    core::{Core, Done, Errand, FileOrder, Order, RandomSource},
    health::{AgentHealth, Colour},
    http,
    off_loop::{self, HANGS, OffLoop},
    shared::{Known, Shared, callers},
    state::Folder,
    target::{TargetRequest, TargetResponse},
};
use crate::{
    call::{Client, Failure, Verified},
    machine::{MonotonicClock, jitter, random},
    renewal::Jitter,
    wanted::Wanted,
};
use rustix::fs::{Mode, OFlags};
use sd_notify::NotifyState;
use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tegata_token::time::UnixTime;
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    task::JoinSet,
};

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

/// The longest wait of the loop, after which it notices that the clock was set.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long orders that are under way may take at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Renews tokens until `stop`. `started` gets the HTTP server's address.
///
/// # Errors
/// [`CannotRun`], at the start or after a bug; no other problem stops it.
pub async fn run(
    config: &Config,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(Option<SocketAddr>),
) -> Result<(), CannotRun> {
    let client = Client::new(&config.authority);
    let client = Arc::new(client.map_err(|error| CannotRun(format!("authority: {error}")))?);
    let off_loop = OffLoop::new(off_loop::PATIENCE);
    let clock = MonotonicClock::new();
    let (_lock, callers, core) = begin(config, &off_loop, clock.now()).await?;
    for warning in core.warnings() {
        tracing::warn!("{warning}");
    }
    let shared = Arc::new(Shared::new(core, clock, off_loop, callers));
    let (_servers, address) = listen(config, &shared).await?;
    started(address);
    let hands = Arc::new(Hands {
        client,
        shared: Arc::clone(&shared),
        audience: config.audience.clone(),
        private: config.private_variables(),
    });
    let mut manager = Manager::new();
    let mut under_way = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let now = shared.now();
        let (orders, report, has_looked, wait) = {
            let mut core = shared.core();
            let orders = core.due(now);
            let wait = core.next_time(now).since(now);
            (orders, AgentHealth::of(&core, now), core.has_looked(), wait)
        };
        for order in orders {
            let hands = Arc::clone(&hands);
            under_way.spawn(async move { hands.carry_out(order).await });
        }
        manager.notify(&report, has_looked);
        let wait = Duration::from_secs(u64::try_from(wait).unwrap_or(0)).min(manager.patience);
        tokio::select! {
            () = &mut stop => break,
            Some(done) = under_way.join_next() => match done {
                Ok((done, skew)) => take_in(&shared, done, skew),
                // A bug: the agent exits, so that the service manager notices.
                Err(error) => return Err(CannotRun(format!("a task failed: {error}"))),
            },
            () = shared.woken.notified() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(50))) => {}
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let _ = tokio::time::timeout(LAST_PATIENCE, finish(&hands, under_way)).await;
    if let Some(socket) = config.socket.clone() {
        let removed = shared.off_loop.run(move || fs::remove_file(socket), || ());
        let _ = tokio::time::timeout(LAST_PATIENCE, removed).await;
    }
    Ok(())
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
    client: Arc<Client>,
    shared: Arc<Shared>,
    audience: String,
    /// The environment variables that are removed for commands.
    private: Vec<String>,
}

impl Hands {
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
            TargetRequest::Issue { key } => {
                TargetResponse::TokenResponse(match credentials.await {
                    Ok(it) => client.issue_wanted(wanted, &it, &key, wall).await,
                    Err(failure) => Err(failure),
                })
            }
            TargetRequest::Verify(token) => TargetResponse::Verified(client.verify(&token).await),
            TargetRequest::Retire(token) => TargetResponse::Retired(match credentials.await {
                Ok(it) => client.retire(wanted, &it, &token).await,
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

async fn listen(
    config: &Config,
    shared: &Arc<Shared>,
) -> Result<(JoinSet<()>, Option<SocketAddr>), CannotRun> {
    let mut servers = JoinSet::new();
    let mut address = None;
    if let Some(wanted) = config.listen {
        let wrong = |error| CannotRun(format!("listen {wanted}: {error}"));
        let listener = TcpListener::bind(wanted).await.map_err(wrong)?;
        address = listener.local_addr().ok();
        let app = http::router(Arc::clone(shared));
        servers.spawn(async move { log_stop(axum::serve(listener, app).await) });
    }
    if let Some(path) = &config.socket {
        let bound = bind(path).await;
        let listener =
            bound.map_err(|error| CannotRun(format!("socket {}: {error}", path.display())))?;
        let app = http::router(Arc::clone(shared));
        servers.spawn(async move { log_stop(axum::serve(listener, app).await) });
    }
    Ok((servers, address))
}

fn log_stop(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the HTTP server stopped");
    }
}

/// Binds the socket. The socket of a killed agent is replaced, that of a running one is
/// not. The callers' secrets and the folder's mode control access.
async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // A running agent with a full queue does not accept at once.
    match tokio::time::timeout(off_loop::PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::WouldBlock => {}
        _ => {
            return Err(std::io::Error::other(
                "another agent listens there; stop it, or set another socket",
            ));
        }
    }
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    open_to_all(path)?;
    Ok(listener)
}

/// Lets every user connect. The mode is changed through a descriptor of the socket
/// itself: the owner of its folder could have put a link in its place meanwhile.
fn open_to_all(path: &Path) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !socket.metadata()?.file_type().is_socket() {
        return Err(std::io::Error::other("replaced while it was made"));
    }
    let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(0o666))
}

/// Notifies systemd, if it is there (sd_notify(3)): ready once every sink holds active
/// tokens, and the authority has verified those that were kept over a restart; alive as
/// long as the loop runs.
struct Manager {
    is_ready: bool,
    last: Option<Colour>,
    /// The status line of `systemctl status`.
    said: String,
    /// The longest time between two notifications.
    patience: Duration,
}

impl Manager {
    fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|every| every / 3);
        let patience = watchdog.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        Self { is_ready: false, last: None, said: String::new(), patience }
    }

    fn notify(&mut self, report: &AgentHealth, has_looked: bool) {
        let status = report.status;
        let mut states = vec![NotifyState::Watchdog];
        let words = summary(report);
        if self.last != Some(status) {
            match status {
                Colour::Green => tracing::info!("green: {words}"),
                Colour::Yellow => tracing::warn!("yellow: {words}"),
                // The first status is red.
                Colour::Red if self.last.is_none() => tracing::info!("starting: {words}"),
                Colour::Red => tracing::error!("red: {words}"),
            }
            self.last = Some(status);
        }
        if self.said != words {
            states.push(NotifyState::Status(&words));
        }
        if !self.is_ready && has_looked && status != Colour::Red {
            self.is_ready = true;
            states.push(NotifyState::Ready);
        }
        // Without systemd this has no effect.
        let _ = sd_notify::notify(&states);
        self.said = words;
    }
}

fn summary(report: &AgentHealth) -> String {
    let tokens = report.tokens.iter().chain(&report.watched).map(|it| (&it.name, &it.problem));
    let mut all = tokens.chain(report.sinks.iter().map(|it| (&it.name, &it.problem)));
    let problem = all.find_map(|(name, problem)| Some(format!("{name}: {}", problem.as_ref()?)));
    let problem = problem.or_else(|| report.warnings.first().cloned());
    problem.unwrap_or_else(|| format!("{} tokens are active", report.tokens.len()))
}
