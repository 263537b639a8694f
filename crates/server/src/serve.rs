//! Starts a server from its settings, and stops it.

mod identity;

use crate::{
    api::{self, Shows, app::App},
    authority::{
        self, Authority, CertificateUntil, Memory,
        admin_token::{self, TokenSource},
        health::Health,
        jobs::{self, Jobs},
        leaks::{BadLeakSettings, LeakReceiver},
        random, record,
        warnings::{job::Warnings, webhook::Webhook},
    },
    config::Settings,
    http::{self, BadCertificate, Tls, descriptors},
};
use identity::with_openid;
use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use tegata_store::{
    Store,
    postgres::{PostgresOpenError, PostgresOptions, PostgresStore},
    sqlite::{Faults, OpenError, Options, RollbackGuardFile, SqliteStore, backed_up_at},
};
use tegata_token::time::DAY;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a server that stops tries to say so to the others that share its store.
const LEAVING: Duration = Duration::from_secs(1);

/// A running server.
pub struct Running {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The address of `/admin/v1`.
    pub admin_address: SocketAddr,
    /// The address of `/metrics`.
    pub metrics_address: SocketAddr,
    /// The address of Envoy's ext_authz, if it is served.
    pub ext_authz_address: Option<SocketAddr>,
    /// The authority that it serves.
    pub authority: Arc<Authority>,
    /// The file that holds the administrator's token, if none was set.
    pub admin_token_file: Option<PathBuf>,
    /// Whether the administrator's token that is in force is another server's.
    pub admin_token_differs: bool,
    /// Whether an administrator was authenticated on the store before the start.
    pub administered: bool,
    health: Arc<Health>,
    tls: Option<Arc<Tls>>,
    leaks: Arc<LeakReceiver>,
    drain_delay: Duration,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {error}{}", next_step(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// `--dev` is limited to loopback.
    #[error("--dev listens on loopback only, not on {0}")]
    DevNotLoopback(SocketAddr),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] PostgresOpenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The file of the administrator's token cannot be used.
    #[error(transparent)]
    AdminToken(#[from] admin_token::AdminTokenError),
    /// The keys of reports of leaked tokens cannot be used.
    #[error(transparent)]
    Leaks(#[from] BadLeakSettings),
    /// The webhook's client cannot be created.
    #[error("the webhook cannot be used: {0}")]
    Webhook(reqwest::Error),
    /// The settings of the identity provider cannot be used.
    #[error("oidc_issuer: {0}")]
    OpenId(&'static str),
    /// The authority cannot start.
    #[error(transparent)]
    Start(#[from] authority::StartError),
}

fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that uses it, or choose another address",
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: choose one that it has, or 0.0.0.0 for all"
        }
        _ => "",
    }
}

/// Opens the store, creates what a first start needs, and serves.
///
/// # Errors
/// [`Error`]; nothing is left running then.
pub async fn serve(settings: Settings) -> Result<Running, Error> {
    // The listeners come first, since the issuer contains their address. A client that
    // connects before the store is open waits.
    let listeners = Listeners::bind(&settings).await?;
    let tls = settings.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let leaks = Arc::new(LeakReceiver::new(settings.leaks.clone())?);
    let memory = Memory::new();
    let store = open(&settings, listeners.public, &memory).await?;
    let begun = begin(settings, listeners, (tls, leaks), (store.clone(), memory)).await;
    if begun.is_err() {
        // The other servers would wait for one that does not start.
        let _ = tokio::time::timeout(LEAVING, store.leave()).await;
    }
    begun
}

/// Creates what a first start needs, and serves from the open store.
async fn begin(
    settings: Settings,
    listeners: Listeners,
    (tls, leaks): (Option<Arc<Tls>>, Arc<LeakReceiver>),
    opened: (Arc<dyn Store>, Arc<Memory>),
) -> Result<Running, Error> {
    let authority = start(&settings, listeners.public, opened).await?;
    let authority = Arc::new(authority.certified(tls.as_ref().map(until)));
    let (admin_token, admin_token_file) = admin_token(&settings, &authority)?;
    jobs::agree_if_shared(&authority, &admin_token).await.map_err(authority::StartError::from)?;
    let admin_token_differs = admin_token.difference().is_some();
    let administered = admin_token.was_used();
    let app = Arc::new(app(&settings, authority.clone(), admin_token, &leaks)?);
    let (address, admin_address, metrics_address, ext_authz_address) =
        (listeners.public, listeners.admin, listeners.metrics, listeners.ext_authz);
    let stop = CancellationToken::new();
    let listening = listeners.accept(&settings, &app, tls.as_ref(), &stop);
    let health = app.health.clone();
    let work = tokio::spawn(work(app, listening, stop.clone()));
    Ok(Running {
        address,
        admin_address,
        metrics_address,
        ext_authz_address,
        authority,
        admin_token_file,
        admin_token_differs,
        administered,
        health,
        tls,
        leaks,
        drain_delay: settings.drain_delay,
        stop,
        work,
    })
}

/// Starts the authority on its store.
async fn start(
    settings: &Settings,
    address: SocketAddr,
    (store, memory): (Arc<dyn Store>, Arc<Memory>),
) -> Result<Authority, Error> {
    let (issuer, place) = (&settings.issuer(address), &settings.place);
    let webhook = settings.webhook.clone().map(Webhook::new).transpose().map_err(Error::Webhook)?;
    let authority = Authority::start(store, memory, &place.master_key(), issuer).await?;
    let authority = with_openid(authority, settings, issuer)?.with_console(settings.console());
    let authority =
        authority.limited(settings.rates).warned(settings.warn.clone()).sending(webhook);
    let authority = authority.idle_after(settings.token_idle_after);
    let authority = if settings.recent_uses { authority } else { authority.without_recent_uses() };
    let authority = match (&place.database, place.store.clone()) {
        (None, store) => authority.backed_up(Box::new(move || backed_up_at(&store))),
        (Some(_), _) => authority,
    };
    Ok(authority.audited(place.audit_anchor(), settings.audit_retention_days).await?)
}

/// Opens the store: the SQLite file, or the database.
async fn open(
    settings: &Settings,
    address: SocketAddr,
    memory: &Arc<Memory>,
) -> Result<Arc<dyn Store>, Error> {
    let (place, issuer) = (&settings.place, settings.issuer(address));
    if let Some(database) = &place.database {
        let options = PostgresOptions {
            url: database.address.reveal().to_owned(),
            direct: database.direct.as_ref().map(|it| it.reveal().to_owned()),
            issuer,
            dev: settings.dev,
            address: Some(address.to_string()),
            guard: Some(place.guard()),
            journal: settings.revocation_journal.clone(),
            ..PostgresOptions::default()
        };
        return Ok(Arc::new(PostgresStore::open(options, memory.on_commit()).await?));
    }
    let fresh = random::bytes().map_err(authority::StartError::from)?;
    let options = Options {
        issuer,
        dev: settings.dev,
        guard: Some(RollbackGuardFile { path: place.guard(), fresh }),
        revocation_journal: settings.revocation_journal.clone(),
        faults: Faults { others: settings.others.clone(), ..Faults::default() },
    };
    Ok(Arc::new(SqliteStore::open(&place.store, options, memory.on_commit())?))
}

/// The administrator's token, recorded beside the store, and its file if it is in one.
fn admin_token(
    settings: &Settings,
    authority: &Authority,
) -> Result<(TokenSource, Option<PathBuf>), Error> {
    let place = &settings.place;
    let (token, file) = match (settings.admin_token, &settings.admin_token_file) {
        (Some(token), _) => (token.into(), None),
        (None, Some(path)) => (TokenSource::in_named_file(path)?, Some(path.clone())),
        (None, None) => {
            let path = place.admin_token();
            (TokenSource::in_file(&path, authority.root_token().is_some())?, Some(path))
        }
    };
    Ok((token.recorded(&record::path(&place.store)), file))
}

/// The expiry of the present certificate.
fn until(tls: &Arc<Tls>) -> CertificateUntil {
    let tls = tls.clone();
    Box::new(move || tls.until())
}

/// Creates the state that all protocols share.
fn app(
    settings: &Settings,
    authority: Arc<Authority>,
    admin_token: TokenSource,
    leaks: &Arc<LeakReceiver>,
) -> Result<App, Error> {
    let key_age = i64::from(settings.warn.signing_key_days) * DAY;
    let (store, began) = (settings.place.on_disk().to_owned(), authority.clock().steady());
    let health = Arc::new(Health::new(store, settings.min_free_disk, key_age, began));
    let admin_token = Arc::new(admin_token);
    let jobs = Arc::new(Jobs {
        authority: authority.clone(),
        health: health.clone(),
        admin_token: admin_token.clone(),
        warnings: Warnings::new(api::admin::render_warning),
        key_promotion_delay: settings.key_promotion_delay,
        token_retention_days: settings.token_retention_days,
        swept_to: AtomicI64::new(0),
    });
    Ok(App {
        metrics: authority.metrics().clone(),
        authority,
        health,
        dev: settings.dev,
        log_verifications: settings.log_verifications,
        faults: Default::default(),
        admin_token,
        jobs,
        leaks: leaks.clone(),
    })
}

/// Runs the jobs until all connections are closed, or the store has failed.
async fn work(app: Arc<App>, listening: TaskTracker, stop: CancellationToken) {
    let drained = CancellationToken::new();
    let jobs = tokio::spawn(jobs::run_until(app.jobs.clone(), drained.clone()));
    tokio::select! {
        () = listening.wait() => {}
        () = app.authority.stopped() => {
            tracing::error!("the store has failed; the server stops");
            stop.cancel();
        }
    }
    // Only after the last connection, so that the last-used times of all requests are
    // written.
    drained.cancel();
    let _ = jobs.await;
    // Else they would wait for its row with each revocation.
    let _ = tokio::time::timeout(LEAVING, app.authority.leave()).await;
}

/// The listeners, and the APIs that each of them serves.
struct Listeners {
    all: Vec<(TcpListener, Shows)>,
    public: SocketAddr,
    admin: SocketAddr,
    metrics: SocketAddr,
    ext_authz: Option<SocketAddr>,
}

impl Listeners {
    /// Binds each address once, whatever is served there.
    async fn bind(settings: &Settings) -> Result<Self, Error> {
        let mut all: Vec<(SocketAddr, TcpListener, Shows)> = Vec::new();
        let mut bind = async |address: SocketAddr, show: fn(&mut Shows)| {
            if settings.dev && !address.ip().is_loopback() {
                return Err(Error::DevNotLoopback(address));
            }
            let same = all.iter_mut().find(|(bound, ..)| *bound == address);
            if let Some((bound, _, shows)) = same {
                show(shows);
                return Ok(*bound);
            }
            let listen = |error| Error::Listen { address, error };
            let listener = http::listen_at(address).map_err(listen)?;
            let bound = listener.local_addr().map_err(listen)?;
            let mut shows = Shows::default();
            show(&mut shows);
            all.push((bound, listener, shows));
            Ok(bound)
        };
        let public = bind(settings.listen, |shows| shows.public = true).await?;
        let admin = settings.admin_listen.unwrap_or(public);
        let admin = bind(admin, |shows| shows.admin = true).await?;
        let metrics = settings.metrics_listen.unwrap_or(public);
        let metrics = bind(metrics, |shows| shows.metrics = true).await?;
        let ext_authz = match settings.ext_authz_listen {
            Some(address) => Some(bind(address, |shows| shows.ext_authz = true).await?),
            None => None,
        };
        let all = all.into_iter().map(|(_, listener, shows)| (listener, shows)).collect();
        Ok(Self { all, public, admin, metrics, ext_authz })
    }

    /// Accepts connections on all listeners until `stop`, and watches the certificate.
    fn accept(
        self,
        settings: &Settings,
        app: &Arc<App>,
        tls: Option<&Arc<Tls>>,
        stop: &CancellationToken,
    ) -> TaskTracker {
        let trusted_proxies = Arc::new(settings.trusted_proxies.clone());
        let connections = descriptors::per_listener(settings.max_connections, self.all.len());
        let (tasks, bodies) = (TaskTracker::new(), http::BodyRoom::default());
        for (listener, shows) in self.all {
            let terms = http::Terms {
                shows,
                connections,
                idle: settings.idle_timeout,
                tls: tls.cloned(),
                trusted_proxies: trusted_proxies.clone(),
                bodies: bodies.clone(),
            };
            tasks.spawn(http::serve(app.clone(), listener, terms, stop.clone()));
        }
        if let Some(tls) = tls {
            tasks.spawn(tls.clone().watch(stop.clone()));
        }
        tasks.close();
        tasks
    }
}

impl Running {
    /// Completes only when the store has failed, and the server with it. The caller
    /// restarts the server, which recovers or reports the error.
    pub async fn failed(&self) {
        self.authority.stopped().await;
    }

    /// The scheme of its addresses, `https` or `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Reads again the files that an operator may change while the server runs. An
    /// invalid one is rejected with a line in the log, and the old one stays in force.
    pub async fn reload(&self) {
        if let Some(tls) = self.tls.clone() {
            // A panic in there was reported as it happened.
            let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
        }
        let leaks = self.leaks.clone();
        let _ = tokio::task::spawn_blocking(move || leaks.reload()).await;
    }

    /// Makes the server not ready at once; after the drain delay it accepts no new
    /// connections, completes the requests in progress within a few seconds, and stops.
    pub async fn stop(self) {
        self.health.drain();
        self.authority.drain_feed();
        if !self.stop.is_cancelled() {
            tokio::time::sleep(self.drain_delay).await;
        }
        self.stop.cancel();
        // A panic in there was reported as it happened.
        let _ = self.work.await;
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// The system cannot install the signal handlers.
pub async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Yields an item for each SIGHUP, by which the operator requests a reload.
///
/// # Errors
/// The system cannot install the signal handler.
pub fn reload_signals() -> io::Result<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
}
