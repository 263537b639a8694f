//! `tegata serve`: from what the operator set to a running authority, and down
//! again. What it says to people goes to stdout, the log to stderr.

mod dev;
pub mod settings;

use crate::{
    failure::BadUsage,
    files::{admin_token_variable, read_secret},
};
use anyhow::{Context, anyhow};
pub use settings::{Given, LogFormat, StoreAddress};
use std::{fs::Permissions, os::unix::fs::PermissionsExt};
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    pin::pin,
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_server::{
    Rates, StormGuard, TlsFiles,
    authority::{
        admin_token::AdminToken,
        place::Place,
        signing_keys::JWKS_CACHE,
        warnings::{self, webhook},
    },
    config::Settings,
    http::{proxies::TrustedProxies, traces::Exporter},
    serve::{Running, reload_signals, serve, stop_signal},
};
use tempfile::TempDir;

/// What `serve` can be told.
#[derive(clap::Args)]
pub struct Serve {
    /// File with settings, each named like its flag with `_` for `-`
    /// [default: tegata.toml, if there is one].
    #[arg(long, env = "TEGATA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

impl Serve {
    /// The settings that a server would run with.
    pub fn meaning(self, admin_token_file: Option<PathBuf>) -> anyhow::Result<Settings> {
        let given = self.given.or_file(self.config.as_deref())?;
        let token = ServerToken::find(admin_token_file, given.admin_token_file.clone())?;
        given.settings(None, &token)
    }
}

/// The root administrator's token that was given to the server. Where none was, it has a
/// file of its own. The command line's `TEGATA_ADMIN_TOKEN_FILE` may name the file of
/// another authority, so a server does not read it.
#[derive(Default)]
struct ServerToken {
    text: Option<PlainSecret>,
    /// The file that it is in, if it is not from the environment.
    file: Option<PathBuf>,
}

impl ServerToken {
    /// By the flag, else by the variable `TEGATA_ADMIN_TOKEN`, else by the settings.
    fn find(flag: Option<PathBuf>, settings: Option<PathBuf>) -> anyhow::Result<Self> {
        let variable = match flag {
            Some(_) => None,
            None => admin_token_variable()?.map(PlainSecret::from_caller),
        };
        if variable.is_some() {
            return Ok(Self { text: variable, file: None });
        }
        let Some(file) = flag.or(settings) else { return Ok(Self::default()) };
        let text = PlainSecret::from_caller(read_secret(&file)?);
        Ok(Self { text: Some(text), file: Some(file) })
    }
}

/// Serves until it is told to stop, or until the store gives up.
pub async fn run(args: Serve, admin_token_file: Option<PathBuf>) -> anyhow::Result<()> {
    let given = args.given.or_file(args.config.as_deref())?;
    let traces = given.traces()?;
    crate::log::begin(given.log.as_deref(), given.log_format, traces.as_ref())?;
    let served = run_logged(given, admin_token_file).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served
}

async fn run_logged(given: Given, admin_token_file: Option<PathBuf>) -> anyhow::Result<()> {
    let token = ServerToken::find(admin_token_file, given.admin_token_file.clone())?;
    if std::env::var_os("TEGATA_ADMIN_TOKEN_FILE").is_some_and(|it| !it.is_empty()) {
        tracing::warn!(
            "TEGATA_ADMIN_TOKEN_FILE is for the command line and is not read by the server; to \
             name the file of its own token, use --admin-token-file"
        );
    }
    // Kept to the end, and then removed with all that is in it.
    let folder = given.private_folder()?;
    let settings = given.settings(folder.as_ref(), &token)?;
    let dev = settings.dev;
    let store = &settings.place.store;
    let home = store.parent().unwrap_or(store).to_owned();

    let mut stop_signal = pin!(stop_signal());
    tokio::select! {
        biased;
        // Polled once, so that from here on a signal stops us in good order.
        signal = &mut stop_signal => return Ok(signal?),
        () = std::future::ready(()) => {}
    }
    let mut reload_signals = reload_signals()?;
    let in_the_open = settings.tls.is_none() && settings.trusted_proxies.is_empty();
    let running = serve(settings).await?;
    tracing::info!(
        address = %running.address,
        admin = %running.admin_address,
        metrics = %running.metrics_address,
        "serving"
    );
    for address in [running.address, running.admin_address, running.metrics_address] {
        if in_the_open && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "secrets and tokens travel in clear here: give --tls-cert and --tls-key, or \
                 put a proxy that speaks TLS in front and name it with --trusted-proxy"
            );
        }
    }
    if dev {
        tracing::warn!("serving with --dev: the clock can be moved by anybody on this machine");
    }
    let mut words = format!("listening on {}\n", url_of(&running, running.address));
    if dev {
        words.push_str(&dev::prepare(&running, token.text.as_ref(), &home).await?);
    } else {
        words.push_str(&first_steps(&running));
    }
    // Nobody reading is no reason not to serve.
    let _ = std::io::stdout().lock().write_all(words.as_bytes());

    let reloads = async {
        while reload_signals.recv().await.is_some() {
            running.reload().await;
        }
    };
    let ended = tokio::select! {
        signal = stop_signal => {
            tracing::info!("stopping");
            signal.context("cannot wait for signals")
        }
        () = reloads => Err(anyhow!("cannot wait for signals")),
        () = running.failed() => {
            Err(anyhow!("the store has given up; see the log for the reason, then start again"))
        }
    };
    running.stop().await;
    drop(folder);
    ended
}

/// In seconds; a stop that takes longer is one that a supervisor ends with SIGKILL.
const LONGEST_DRAIN_DELAY: u64 = 60;

impl Given {
    fn is_dev(&self) -> bool {
        self.dev.unwrap_or(false)
    }

    /// The folder of a development store that nobody gave a place to.
    fn private_folder(&self) -> anyhow::Result<Option<TempDir>> {
        if !self.is_dev() || self.store.is_some() {
            return Ok(None);
        }
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("tegata-dev-").permissions(private).tempdir();
        folder.map(Some).context("cannot make a temporary folder")
    }

    /// How fast a channel may be used.
    fn rates(&self) -> Rates {
        let usual = Rates::default();
        let seconds = |it: NonZeroU32| Duration::from_secs(it.get().into());
        let storm = StormGuard::default();
        let issues = self.storm_issues.map_or(storm.issues, NonZeroU32::new);
        Rates {
            short_lived: self.issue_rate_short_lived.unwrap_or(usual.short_lived),
            other: self.issue_rate.unwrap_or(usual.other),
            check: self.check_rate,
            storm: StormGuard {
                issues,
                window: self.storm_window.map_or(storm.window, seconds),
                rest: self.storm_rest.map_or(storm.rest, seconds),
            },
        }
    }

    /// What it all means.
    fn settings(self, folder: Option<&TempDir>, token: &ServerToken) -> anyhow::Result<Settings> {
        let (dev, rates) = (self.is_dev(), self.rates());
        let webhook = self.webhook()?;
        let listen = || SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let store = match (self.store, folder) {
            (Some(StoreAddress(file)), _) => file,
            (None, Some(folder)) => folder.path().join("tegata.db"),
            (None, None) => "tegata.db".into(),
        };
        let wrong = |what: &str| BadUsage(what.to_owned());
        let admin_token = token.text.as_ref().map(AdminToken::new).transpose();
        let admin_token = admin_token.map_err(|error| wrong(&error.to_string()))?;
        if let Some(url) = &self.public_url
            && !reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            return Err(wrong("public_url: an address such as https://tegata.example.com").into());
        }
        let delay = self.key_promotion_delay.map(Duration::from_secs);
        if delay.is_some_and(|delay| delay < JWKS_CACHE) {
            let least = JWKS_CACHE.as_secs();
            return Err(wrong(&format!("key_promotion_delay: at least {least} seconds")).into());
        }
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => {
                return Err(wrong("tls_cert and tls_key go together: give both, or neither").into());
            }
        };
        let drain_delay = self.drain_delay.map(u64::from);
        if drain_delay.is_some_and(|seconds| seconds > LONGEST_DRAIN_DELAY) {
            let words = format!("drain_delay: at most {LONGEST_DRAIN_DELAY} seconds");
            return Err(wrong(&words).into());
        }
        let usual = Settings::new(self.listen.unwrap_or_else(listen), store);
        let seconds = |all: Vec<u64>| all.into_iter().map(Duration::from_secs).collect();
        Ok(Settings {
            warn: warnings::Policy {
                before: self.warn_before.map_or(usual.warn.before, seconds),
                unused_after: self
                    .warn_unused_after
                    .map_or(usual.warn.unused_after, Duration::from_secs),
            },
            webhook,
            admin_listen: self.admin_listen,
            metrics_listen: self.metrics_listen,
            tls,
            public_url: self.public_url,
            // A file is followed by the server itself.
            admin_token: admin_token.filter(|_| token.file.is_none()),
            admin_token_file: token.file.clone(),
            place: Place {
                master_key_file: self.master_key_file,
                mark_file: self.mark_file,
                ..usual.place
            },
            endings_log: self.endings_log,
            audit_days: self.audit_days.map_or(usual.audit_days, NonZeroU32::get),
            keep_ended_days: self.keep_ended_days.map_or(usual.keep_ended_days, NonZeroU32::get),
            dev,
            key_promotion_delay: delay.unwrap_or(usual.key_promotion_delay),
            connections: self.connections.map_or(usual.connections, NonZeroUsize::get),
            idle_timeout: self.idle_timeout.map_or(usual.idle_timeout, |seconds| {
                Duration::from_secs(u64::from(seconds.get()))
            }),
            rates,
            trusted_proxies: TrustedProxies::new(self.trusted_proxy.unwrap_or_default()),
            signing_key_days: self.signing_key_days.unwrap_or(usual.signing_key_days),
            least_free_disk: self
                .least_free_disk
                .map_or(usual.least_free_disk, |mib| u64::from(mib) << 20),
            drain_delay: drain_delay.map_or(usual.drain_delay, Duration::from_secs),
            ..usual
        })
    }
}

impl Given {
    /// Where traces go, if anywhere. An empty variable is one that is not set, as the
    /// standard has it.
    fn traces(&self) -> anyhow::Result<Option<Exporter>> {
        let standard = || std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok();
        let collector = self.otlp_endpoint.clone().or_else(standard);
        let Some(collector) = collector.filter(|it| !it.is_empty()) else { return Ok(None) };
        let exporter = Exporter::to(&collector, tokio::runtime::Handle::current());
        exporter.map(Some).map_err(|error| BadUsage(format!("otlp_endpoint: {error}")).into())
    }

    /// Where warnings go. An address without a secret is a mistake, and so is the
    /// other way round.
    fn webhook(&self) -> anyhow::Result<Option<webhook::Settings>> {
        let variable = std::env::var("TEGATA_WEBHOOK_SECRET").ok().filter(|it| !it.is_empty());
        let file = || self.webhook_secret_file.as_deref().map(read_secret).transpose();
        let secret = match variable {
            Some(secret) => Some(secret),
            None => file()?,
        };
        let wrong = |what: &str| Err(BadUsage(what.to_owned()).into());
        match (&self.webhook_url, secret) {
            (None, None) => Ok(None),
            (Some(url), Some(secret)) => {
                let url = match reqwest::Url::parse(url) {
                    Ok(url) if matches!(url.scheme(), "http" | "https") => url,
                    _ => return wrong("webhook_url: an http or https address"),
                };
                match webhook::Secret::parse(&secret) {
                    Ok(secret) => Ok(Some(webhook::Settings { url, secret })),
                    Err(error) => wrong(&error.to_string()),
                }
            }
            (Some(_), None) => wrong(
                "webhook_url: set TEGATA_WEBHOOK_SECRET or webhook_secret_file too, so that \
                 the receiver can tell our warnings from a stranger's",
            ),
            (None, Some(_)) => wrong("there is a webhook's secret, and no webhook_url to send to"),
        }
    }
}

fn url_of(running: &Running, address: SocketAddr) -> String {
    format!("{}://{address}", running.scheme())
}

/// What to do next, for whoever just started the authority.
fn first_steps(running: &Running) -> String {
    let [url, admin, metrics] = [running.address, running.admin_address, running.metrics_address]
        .map(|address| url_of(running, address));
    let mut words = format!(
        "LINE's operations are at {url}, the administrators' API at {admin}/admin/v1\n\
         metrics are at {metrics}/metrics, ready when {url}/readyz answers 200\n"
    );
    match &running.admin_token_file {
        Some(file) => {
            // As a whole, so that it can be pasted anywhere.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let file = file.display();
            words.push_str(&format!(
                "the administrator's token is in {file}; to be the first administrator:\n  \
                 export TEGATA_URL={admin} TEGATA_ADMIN_TOKEN_FILE={file}\n  \
                 tegata provider create 'My company'\n",
            ));
        }
        None => words.push_str("the administrator's token is the one in TEGATA_ADMIN_TOKEN\n"),
    }
    words
}
