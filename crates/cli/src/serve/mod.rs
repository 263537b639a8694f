//! `tegata serve`: starts an authority with the operator's settings, and stops it.
//! Messages for people go to stdout, the log to stderr.

mod address;
mod console;
mod dev;
mod file;
mod leaks;
mod oidc;
mod place;
mod settings;
mod sources;

use crate::{
    duration::Seconds,
    failure::BadUsage,
    files::{read_secret, secret_variable},
    variables,
};
pub use address::{StoreAddress, with_password};
use anyhow::{Context, anyhow};
pub use settings::{ServeSettings, StoreSettings};
pub use sources::Unresolved;
use std::{fs::Permissions, os::unix::fs::PermissionsExt};
use std::{io::Write, net::SocketAddr, num::NonZeroU32, path::PathBuf, pin::pin};
use tegata_policy::secret::PlainSecret;
use tegata_server::{
    Rates, SurgeLimit, TlsFiles,
    authority::{
        admin_token::AdminToken,
        warnings::{self, webhook},
    },
    config::Settings,
    http::{proxies::TrustedProxies, traces::Exporter},
    serve::{Running, reload_signals, serve, stop_signal},
};
use tegata_system::{manager::ServiceManager, variable};
use tempfile::TempDir;

/// The arguments of `serve`, not yet resolved.
pub type Serve = Unresolved<ServeSettings>;

impl Serve {
    /// Resolves the settings that a server would run with.
    pub fn meaning(self, admin_token_file: Option<PathBuf>) -> anyhow::Result<Settings> {
        let given = self.resolve()?;
        let token = ServerToken::find(admin_token_file, given.admin_token_file.clone())?;
        given.settings(None, &token)
    }
}

/// The root administrator's token that the operator gave to the server. Without one, the
/// server has a file of its own. `TEGATA_ADMIN_TOKEN_FILE` belongs to the command line and
/// may name the file of another authority, so a server does not read it.
#[derive(Default)]
struct ServerToken {
    text: Option<PlainSecret>,
    /// The token's file, if it is not from the environment.
    file: Option<PathBuf>,
}

impl ServerToken {
    /// Reads it from the flag's file, else from `TEGATA_ADMIN_TOKEN`, else from the file
    /// that the settings name.
    fn find(flag: Option<PathBuf>, settings: Option<PathBuf>) -> anyhow::Result<Self> {
        let variable = match flag {
            Some(_) => None,
            None => secret_variable("TEGATA_ADMIN_TOKEN")?,
        };
        if variable.is_some() {
            return Ok(Self { text: variable, file: None });
        }
        let Some(file) = flag.or(settings) else { return Ok(Self::default()) };
        let text = read_secret(&file)?;
        Ok(Self { text: Some(text), file: Some(file) })
    }
}

/// Serves until a signal stops it, or until the store fails.
pub async fn run(args: Serve, admin_token_file: Option<PathBuf>) -> anyhow::Result<()> {
    let given = args.resolve()?;
    let traces = given.traces()?;
    let _gathering = given.log.begin_gathering(traces.as_ref())?;
    let served = run_logged(given, admin_token_file).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served
}

async fn run_logged(given: ServeSettings, admin_token_file: Option<PathBuf>) -> anyhow::Result<()> {
    let token = ServerToken::find(admin_token_file, given.admin_token_file.clone())?;
    if variable::text("TEGATA_ADMIN_TOKEN_FILE")?.is_some() {
        tracing::warn!(
            "TEGATA_ADMIN_TOKEN_FILE is for the command line and is not read by the server; to \
             name the file of its own token, use --admin-token-file"
        );
    }
    for warning in variables::misspelt() {
        tracing::warn!("{warning}");
    }
    // Dropped at the end, which removes the folder with its content.
    let folder = given.private_folder()?;
    let settings = given.settings(folder.as_ref(), &token)?;
    let dev = settings.dev;
    let store = &settings.place.store;
    let home = store.parent().unwrap_or(store).to_owned();

    let mut stop_signal = pin!(stop_signal());
    tokio::select! {
        biased;
        // Polled once, so that from here on a signal stops the server cleanly.
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
    let addresses = [running.address, running.admin_address, running.metrics_address];
    for address in addresses.into_iter().chain(running.ext_authz_address) {
        if in_the_open && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "secrets and tokens are not encrypted on this address: set --tls-cert and \
                 --tls-key, or use a reverse proxy that terminates TLS and name it with \
                 --trusted-proxy"
            );
        }
    }
    if dev {
        tracing::warn!("serving with --dev: every user of this machine can move the clock");
    }
    let mut words = format!("listening on {}\n", url_of(&running, running.address));
    if let Some(address) = running.ext_authz_address {
        words.push_str(&format!("ext_authz over gRPC at {address}\n"));
    }
    if dev {
        // The server serves already, so an administrator may delete the channel meanwhile.
        let prepared = dev::prepare(&running, token.text.as_ref(), &home).await;
        words.push_str(&prepared.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "the development channel is not complete");
            format!(
                "the development channel is not complete: {error:#}\n\
                 create one with `tegata channel create`\n"
            )
        }));
    } else {
        words.push_str(&first_steps(&running));
    }
    words.push_str(&console::first_steps(&running).await);
    // The server runs also if no program reads its output.
    let _ = std::io::stdout().lock().write_all(words.as_bytes());
    let manager = ServiceManager::from_environment().unwrap_or_else(|error| {
        tracing::warn!(%error, "NOTIFY_SOCKET: cannot notify the service manager");
        None
    });
    notify(manager.as_ref(), "READY=1\n");

    let reloads = async {
        while reload_signals.recv().await.is_some() {
            running.reload().await;
        }
    };
    let ended = tokio::select! {
        signal = stop_signal => {
            notify(manager.as_ref(), "STOPPING=1\n");
            tracing::info!("stopping");
            signal.context("cannot wait for signals")
        }
        () = reloads => Err(anyhow!("cannot wait for signals")),
        () = running.failed() => {
            Err(anyhow!("the store has failed; see the log for the reason, then start again"))
        }
    };
    running.stop().await;
    drop(folder);
    ended
}

/// Sends a state to the service manager, if there is one.
fn notify(manager: Option<&ServiceManager>, state: &str) {
    if let Some(Err(error)) = manager.map(|manager| manager.send(state)) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

impl ServeSettings {
    /// Creates the folder of a development store without `--store`.
    fn private_folder(&self) -> anyhow::Result<Option<TempDir>> {
        if !self.dev || self.store.store.is_some() {
            return Ok(None);
        }
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("tegata-dev-").permissions(private).tempdir();
        folder.map(Some).context("cannot make a temporary folder")
    }

    /// The rate and surge limits of a channel.
    fn rates(&self) -> Rates {
        Rates {
            short_lived: self.issue_rate_short_lived,
            other: self.issue_rate,
            check: self.verify_rate,
            surge: SurgeLimit {
                issues: NonZeroU32::new(self.surge_limit),
                window: self.surge_window.duration(),
                cooldown: self.surge_cooldown.duration(),
            },
        }
    }

    /// Converts them to the server's settings; `folder` holds a development store.
    fn settings(self, folder: Option<&TempDir>, token: &ServerToken) -> anyhow::Result<Settings> {
        let (rates, webhook) = (self.rates(), self.webhook()?);
        let openid = self.oidc.openid(self.admin_listen.is_some() && self.console_url.is_none())?;
        let leaks = self.leaks.leaks()?;
        let admin_token = token.text.as_ref().map(AdminToken::new).transpose();
        let admin_token = admin_token.map_err(|error| match &token.file {
            Some(file) => BadUsage(format!("{}: {error}", file.display())),
            None => BadUsage(format!("the variable TEGATA_ADMIN_TOKEN: {error}")),
        })?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => {
                let wrong = "tls_cert and tls_key go together: give both, or neither";
                return Err(BadUsage(wrong.to_owned()).into());
            }
        };
        let mut place = self.store.place()?;
        if let Some(folder) = folder {
            place.store = folder.path().join(&place.store);
        }
        Ok(Settings {
            listen: self.listen,
            admin_listen: self.admin_listen,
            metrics_listen: self.metrics_listen,
            ext_authz_listen: self.ext_authz_listen,
            tls,
            place,
            public_url: self.public_url,
            console_url: self.console_url,
            openid,
            // The server reads the file itself, and again when it changes.
            admin_token: admin_token.filter(|_| token.file.is_none()),
            admin_token_file: token.file.clone(),
            revocation_journal: self.revocation_journal,
            dev: self.dev,
            key_promotion_delay: self.key_promotion_delay.duration(),
            max_connections: self.max_connections.get(),
            idle_timeout: self.idle_timeout.duration(),
            rates,
            audit_retention_days: self.audit_retention_days.get(),
            token_retention_days: self.token_retention_days.get(),
            recent_uses: self.recent_uses,
            token_idle_after: self.token_idle_after.duration(),
            log_verifications: self.log_verifications,
            warn: warnings::Policy {
                before: self.warn_before.into_iter().map(Seconds::duration).collect(),
                unused_after: self.warn_unused_after.duration(),
                signing_key_days: self.signing_key_days,
            },
            webhook,
            leaks,
            trusted_proxies: TrustedProxies::new(self.trusted_proxy),
            min_free_disk: u64::from(self.min_free_disk) << settings::MIB,
            drain_delay: self.drain_delay.duration(),
            others: Default::default(),
        })
    }

    /// The exporter of traces, if a collector is set. An empty variable counts as unset,
    /// as OpenTelemetry's specification says.
    fn traces(&self) -> anyhow::Result<Option<Exporter>> {
        const STANDARD: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let (collector, named) = match &self.otlp_endpoint {
            Some(collector) => (collector.clone(), "otlp_endpoint"),
            None => match variable::text(STANDARD)? {
                Some(collector) => (collector, STANDARD),
                None => return Ok(None),
            },
        };
        let exporter = Exporter::to(&collector, tokio::runtime::Handle::current());
        exporter.map(Some).map_err(|error| BadUsage(format!("{named}: {error}")).into())
    }

    /// The webhook for warnings. Its address and its secret are set together, or neither.
    fn webhook(&self) -> anyhow::Result<Option<webhook::WebhookSettings>> {
        let file = || self.webhook_secret_file.as_deref().map(read_secret).transpose();
        const VARIABLE: &str = "TEGATA_WEBHOOK_SECRET";
        let (secret, from) = match (secret_variable(VARIABLE)?, &self.webhook_secret_file) {
            (None, Some(path)) => (file()?, path.display().to_string()),
            (secret, _) => (secret, format!("the variable {VARIABLE}")),
        };
        let wrong = |what: &str| Err(BadUsage(what.to_owned()).into());
        match (&self.webhook_url, secret) {
            (None, None) => Ok(None),
            (Some(url), Some(secret)) => {
                let secret = webhook::WebhookSecret::parse(secret.reveal());
                let secret = secret.map_err(|error| BadUsage(format!("{from}: {error}")))?;
                Ok(Some(webhook::WebhookSettings { url: url.clone(), secret }))
            }
            (Some(_), None) => wrong(
                "webhook_url: set TEGATA_WEBHOOK_SECRET or webhook_secret_file too, so that \
                 the receiver can verify the warnings",
            ),
            (None, Some(_)) => wrong(
                "a webhook secret is set without webhook_url: set webhook_url, or remove the secret",
            ),
        }
    }
}

fn url_of(running: &Running, address: SocketAddr) -> String {
    format!("{}://{address}", running.scheme())
}

/// The addresses, and the operator's first steps until an administrator has taken them.
fn first_steps(running: &Running) -> String {
    let [url, admin, metrics] = [running.address, running.admin_address, running.metrics_address]
        .map(|address| url_of(running, address));
    let mut words = format!(
        "LINE's operations are at {url}, the admin API at {admin}/admin/v1\n\
         metrics are at {metrics}/metrics; ready when {url}/readyz answers 200\n"
    );
    match &running.admin_token_file {
        _ if running.admin_token_differs => words.push_str(
            "the administrator's token in force is that of another server: see the log\n",
        ),
        Some(file) => {
            // Absolute, so that the line works in any folder.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let file = file.display();
            words.push_str(&format!("the administrator's token is in {file}\n"));
            if running.administered {
                return words;
            }
            words.push_str(&format!(
                "first steps, in another terminal:\n  \
                 export TEGATA_URL={admin} TEGATA_ADMIN_TOKEN_FILE={file}\n  \
                 tegata provider create 'My company'\n\
                 for an account of your own: tegata admin invite NAME\n",
            ));
        }
        None => words.push_str("the administrator's token is the one in TEGATA_ADMIN_TOKEN\n"),
    }
    words
}
