//! `tegata verify-proxy`: verifies tokens for the proxies of one machine, by the authority's
//! feed. Messages for people go to stdout, the log to stderr.

mod listen;
mod metrics;
mod service;
mod settings;

use crate::{failure::BadUsage, output::Output};
use anyhow::Context;
use listen::Listening;
use metrics::ProxyMetrics;
use service::Proxy;
pub use settings::VerifyProxy;
use std::{sync::Arc, time::Duration};
use tegata_server::{
    http::{ConnectionTerms, descriptors, serve_with},
    serve::stop_signal,
};
use tegata_system::manager::ServiceManager;
use tegata_verifier::TokenVerifier;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum number of concurrent connections per listener.
const CONNECTIONS: usize = 10_000;
/// How long a connection without a request is kept open.
const IDLE: Duration = Duration::from_secs(75);
/// How long the authority has to answer that this instance is gone.
const BYE: Duration = Duration::from_millis(1_500);
/// How often the view is checked for a line in the log.
const WATCH: Duration = Duration::from_secs(1);

/// Serves until a signal stops it.
pub async fn run(args: VerifyProxy) -> anyhow::Result<()> {
    args.log.begin()?;
    let settings = args.follow()?;
    let mut stop_signal = Box::pin(stop_signal());
    tokio::select! {
        biased;
        // Polled once, so that from here on a signal stops the proxy cleanly.
        signal = &mut stop_signal => return Ok(signal?),
        () = std::future::ready(()) => {}
    }
    let listening = Listening::bind(&args.listen, args.ext_authz_listen).await?;
    let verifier = TokenVerifier::start(settings)
        .map_err(|error| BadUsage(format!("cannot start: {error}")))?;
    let stop = CancellationToken::new();
    let Listening { sockets, words, socket_file } = listening;
    let metrics = Arc::new(ProxyMetrics::new());
    let connections = descriptors::per_listener(CONNECTIONS, sockets.len());
    let tasks = TaskTracker::new();
    for (socket, serves) in sockets {
        let proxy = Proxy::new(verifier.clone(), metrics.clone(), serves);
        let terms = ConnectionTerms { connections, idle: IDLE, tls: None };
        tasks.spawn(serve_with(proxy, socket, terms, stop.clone()));
    }
    tasks.close();
    // The proxy runs also if no program reads its output.
    let _ = Output::line(&words);
    let manager = ServiceManager::from_environment().unwrap_or_else(|error| {
        tracing::warn!(%error, "NOTIFY_SOCKET: cannot notify the service manager");
        None
    });
    notify(manager.as_ref(), "READY=1\n");
    let stopped = tokio::select! {
        signal = stop_signal => signal.context("cannot wait for signals"),
        never = watch(&verifier) => match never {},
    };
    tracing::info!("stopping");
    notify(manager.as_ref(), "STOPPING=1\n");
    stop.cancel();
    tasks.wait().await;
    // Only after the last verification.
    verifier.stop(BYE).await.context("cannot delete the copy of the view")?;
    if let Some(file) = socket_file {
        // Another process may have removed it already.
        let _ = file.remove();
    }
    stopped
}

/// Sends a state to the service manager, if there is one.
fn notify(manager: Option<&ServiceManager>, state: &str) {
    if let Some(Err(error)) = manager.map(|manager| manager.send(state)) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

/// Logs when the view becomes stale or fresh, when reports of uses fail, and each new reason.
async fn watch(verifier: &TokenVerifier) -> std::convert::Infallible {
    let (mut last, mut last_report) = (None, None);
    let instance_begins = service::beginning(&verifier.health());
    tracing::info!(instance_begins, "follows the revocations");
    loop {
        let health = verifier.health();
        if last_report != health.usage_failure {
            match &health.usage_failure {
                Some(cause) => tracing::warn!(%cause, "the uses of tokens cannot be reported"),
                None => tracing::info!("the uses of tokens are reported again"),
            }
            last_report = health.usage_failure.clone();
        }
        let cause = service::cause(&health);
        // The age of a stale view grows, and is no new reason.
        let now = (health.stale.is_some(), cause.clone());
        if last.as_ref() != Some(&now) {
            match (&health.stale, cause) {
                (Some(stale), Some(cause)) => {
                    tracing::warn!(%stale, %cause, "no token can be verified by the view");
                }
                // As at each start.
                (Some(_), None) if last.is_none() => {
                    tracing::info!("waits for the first view of the revocations");
                }
                (Some(stale), None) => {
                    tracing::warn!(%stale, "no token can be verified by the view")
                }
                (None, Some(cause)) => tracing::warn!(%cause, "the authority does not answer"),
                (None, None) => tracing::info!("the view of the revocations is fresh"),
            }
            last = Some(now);
        }
        tokio::time::sleep(WATCH).await;
    }
}
