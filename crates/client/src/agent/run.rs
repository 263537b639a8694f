//! The agent on its machine: one loop that gives out what is due, waits for what
//! comes back, and tells systemd how it stands.

use super::{
    config::Config,
    core::{Core, Dice, Done, Order},
    health::{Colour, Report},
    http::{self, Known},
    state::Folder,
    target::{Act, Outcome},
};
use crate::{
    call::Client,
    machine::{Clock, chance, random},
    renewal::Chance,
};
use sd_notify::NotifyState;
use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tegata_token::time::UnixTime;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Notify,
    task::JoinSet,
};

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(String);

/// What the loop and the HTTP server share. The lock is never held over a wait.
pub struct Shared {
    core: Mutex<Core>,
    clock: Clock,
    woken: Notify,
    /// Who may ask for tokens.
    pub callers: Vec<Known>,
}

impl Shared {
    /// The agent, for a moment.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which lives are counted.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// There may be something to do.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

struct Machine;

impl Dice for Machine {
    fn chance(&mut self) -> Chance {
        chance()
    }

    fn number(&mut self) -> u64 {
        random()
    }
}

/// The longest wait of the loop: a clock that was set is noticed after it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// At the end, what is under way may take this long.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Keeps tokens fresh until `stop`. `started` is told where the HTTP server listens.
///
/// # Errors
/// [`CannotRun`]; once it runs, it goes on whatever happens.
pub async fn run(
    config: &Config,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(Option<SocketAddr>),
) -> Result<(), CannotRun> {
    let client = Client::new(&config.authority);
    let client = Arc::new(client.map_err(|error| CannotRun(format!("authority: {error}")))?);
    let lock = config.state.as_deref().map(|path| Folder::at(path).lock()).transpose();
    let _lock = lock.map_err(CannotRun)?;
    let callers = http::callers(config).map_err(CannotRun)?;
    let clock = Clock::new();
    let core = Core::new(config, clock.now(), Box::new(Machine));
    for warning in core.warnings() {
        tracing::warn!("{warning}");
    }
    let shared = Arc::new(Shared { core: core.into(), clock, woken: Notify::new(), callers });
    let (_servers, address) = listen(config, &shared).await?;
    started(address);
    let audience: Arc<str> = config.audience.as_str().into();
    let private: Arc<[String]> = config.private_variables().into();
    let mut manager = Manager::new();
    let mut under_way = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let now = shared.now();
        let (orders, report, has_looked, wait) = {
            let mut core = shared.core();
            let orders = core.due(now);
            let wait = core.next_time(now).since(now);
            (orders, Report::of(&core, now), core.has_looked(), wait)
        };
        for order in orders {
            let (client, shared) = (Arc::clone(&client), Arc::clone(&shared));
            let (audience, private) = (Arc::clone(&audience), Arc::clone(&private));
            under_way.spawn(async move {
                carry_out(order, &client, &shared, &audience, &private).await
            });
        }
        manager.tell(&report, has_looked);
        let wait = Duration::from_secs(u64::try_from(wait).unwrap_or(0)).min(manager.patience);
        tokio::select! {
            () = &mut stop => break,
            Some(done) = under_way.join_next() => match done {
                Ok((done, skew)) => take_in(&shared, done, skew),
                // A bug in there; the watchdog must not be kept quiet about it.
                Err(error) => return Err(CannotRun(format!("a task ended badly: {error}"))),
            },
            () = shared.woken.notified() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(50))) => {}
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    // An answer on its way is waited for: it would not be lost, but asked for again.
    let rest = async {
        while let Some(done) = under_way.join_next().await {
            if let Ok((done, skew)) = done {
                take_in(&shared, done, skew);
            }
        }
    };
    let _ = tokio::time::timeout(LAST_PATIENCE, rest).await;
    if let Some(socket) = &config.socket {
        let _ = fs::remove_file(socket);
    }
    Ok(())
}

fn take_in(shared: &Shared, done: Done, skew: Option<i64>) {
    let mut core = shared.core();
    if let Some(seconds) = skew {
        core.set_skew(seconds);
    }
    core.done(shared.now(), done);
}

async fn carry_out(
    order: Order,
    client: &Client,
    shared: &Shared,
    audience: &str,
    private: &[String],
) -> (Done, Option<i64>) {
    let done = match order {
        Order::Act { target, wanted, channel, act } => {
            let wall = shared.clock.wall();
            let credentials = || channel.credentials(audience);
            let outcome = match act {
                Act::Issue { key } => Outcome::Issued(match credentials() {
                    Ok(it) => client.issue_wanted(&wanted, &it, &key, wall).await,
                    Err(failure) => Err(failure),
                }),
                Act::Check(token) => Outcome::Checked(client.verify(&token).await),
                Act::Retire(token) => Outcome::Retired(match credentials() {
                    Ok(it) => client.retire(&wanted, &it, &token).await,
                    Err(failure) => Err(failure),
                }),
            };
            Done::Act(target, outcome)
        }
        Order::Look { watch, token } => Done::Look(watch, client.verify(&token).await),
        Order::Tell { sink, telling } => Done::Tell(sink, telling.tell(private).await),
    };
    let theirs = client.take_authority_time();
    (done, theirs.map(|theirs| shared.clock.wall().since(theirs)))
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
        servers.spawn(async move { ended(axum::serve(listener, app).await) });
    }
    if let Some(path) = &config.socket {
        let listener =
            bind(path).map_err(|error| CannotRun(format!("socket {}: {error}", path.display())))?;
        let app = http::router(Arc::clone(shared));
        servers.spawn(async move { ended(axum::serve(listener, app).await) });
    }
    Ok((servers, address))
}

fn ended(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// The socket of an agent that was killed is in the way; that of one that lives is not
/// taken from it. Who may ask is a matter of the callers' secrets, and of the folder.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(std::io::Error::other("another agent listens there"));
    }
    if fs::symlink_metadata(path)
        .is_ok_and(|it| std::os::unix::fs::FileTypeExt::is_socket(&it.file_type()))
    {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// What systemd is told, where it listens (sd_notify(3)): ready once every sink holds
/// tokens that are good, of which the authority was asked about those that were kept
/// over a restart; and alive as long as the loop goes round.
struct Manager {
    is_ready: bool,
    last: Option<Colour>,
    /// What `systemctl status` shows.
    said: String,
    /// How often to be heard of.
    patience: Duration,
}

impl Manager {
    fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|every| every / 3);
        let patience = watchdog.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        Self { is_ready: false, last: None, said: String::new(), patience }
    }

    fn tell(&mut self, report: &Report, has_looked: bool) {
        let status = report.status;
        let mut states = vec![NotifyState::Watchdog];
        let words = summary(report);
        if self.last != Some(status) {
            match status {
                Colour::Green => tracing::info!("green: {words}"),
                Colour::Yellow => tracing::warn!("yellow: {words}"),
                // Everything begins red.
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
        // Without systemd there is nobody to be told.
        let _ = sd_notify::notify(&states);
        self.said = words;
    }
}

fn summary(report: &Report) -> String {
    let tokens = report.tokens.iter().chain(&report.watched).map(|it| (&it.name, &it.problem));
    let mut all = tokens.chain(report.sinks.iter().map(|it| (&it.name, &it.problem)));
    let problem = all.find_map(|(name, problem)| Some(format!("{name}: {}", problem.as_ref()?)));
    let problem = problem.or_else(|| report.warnings.first().cloned());
    problem.unwrap_or_else(|| format!("{} tokens are good", report.tokens.len()))
}
