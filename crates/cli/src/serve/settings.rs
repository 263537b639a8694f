//! The settings of `serve`: each is one field, and its declaration is the only one. The
//! flag, the variable and the key in the settings file follow from the field's name, the
//! default, the check and the help stand at the field, and the reference page is made
//! from them. `sources` combines flags, variables and file.

use crate::log::LogSettings;
use clap::{ArgAction, Args, value_parser};
use reqwest::Url;
use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};
use tegata_server::{
    authority::{place::Files, signing_keys::JWKS_CACHE},
    config::Settings,
    http::proxies::Network,
};

/// What an operator can set. Where the server has a default of its own, it is read from
/// there.
#[derive(Args)]
pub struct ServeSettings {
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        env,
        value_name = "ADDRESS:PORT",
        value_parser = address,
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,
    /// Where administrators come in, if not at the address above: `/admin/v1` is
    /// only there then.
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,
    /// Where `/metrics` is, if not at the first address: it is only there then.
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
    /// File with the certificate to show at all these addresses, in PEM, and those
    /// that lead to its root; read again when it changes, and on SIGHUP. Without it, no TLS.
    #[arg(long, env, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM.
    #[arg(long, env, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub store: StoreSettings,
    /// The address that clients know this server by [default: the listener's].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub public_url: Option<String>,
    /// File to write every ending to before it is answered, so that a restored
    /// backup can be told of them; keep it on another disk than the store.
    #[arg(long, env, value_name = "FILE")]
    pub revocation_journal: Option<PathBuf>,
    /// File with the root administrator's token [default: admin.token beside the master
    /// key, made at the first start]. The variable TEGATA_ADMIN_TOKEN with the token itself
    /// goes before the key in the settings file, and the flag before both.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// For trying out: loopback only, a clock that can be moved, a channel made.
    #[arg(
        long,
        env,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub dev: bool,
    /// How long a new signing key is published before it signs; at least as long
    /// as the JWKS may be cached.
    #[arg(
        long,
        env,
        value_name = "SECONDS",
        value_parser = value_parser!(u64).range(JWKS_CACHE.as_secs()..),
        default_value = seconds(usual().key_promotion_delay)
    )]
    pub key_promotion_delay: u64,
    /// How many connections are served at once at each address, at least 1.
    #[arg(long, env, value_name = "N", default_value = usual().max_connections.to_string())]
    pub max_connections: NonZeroUsize,
    /// After how long a connection without a request ends, at least 1; earlier
    /// where others wait for its place.
    #[arg(long, env, value_name = "SECONDS", default_value = seconds(usual().idle_timeout))]
    pub idle_timeout: NonZeroU32,
    /// How many short-lived tokens a channel may be issued in a second.
    #[arg(long, env, value_name = "N", default_value_t = usual().rates.short_lived)]
    pub issue_rate_short_lived: NonZeroU32,
    /// How often a channel may use each other operation but the checks in a second.
    #[arg(long, env, value_name = "N", default_value_t = usual().rates.other)]
    pub issue_rate: NonZeroU32,
    /// How often in a second LINE's two checks may each be asked about one channel's
    /// tokens [default: without limit].
    #[arg(long, env, value_name = "N")]
    pub verify_rate: Option<NonZeroU32>,
    /// So many tokens of a kind a channel may be issued in a window, before issuing of
    /// that kind rests; 0 for no bound.
    #[arg(
        long,
        env,
        value_name = "N",
        default_value_t = usual().rates.surge.issues.map_or(0, NonZeroU32::get)
    )]
    pub surge_limit: u32,
    /// How long that window is.
    #[arg(long, env, value_name = "SECONDS", default_value = seconds(usual().rates.surge.window))]
    pub surge_window: NonZeroU32,
    /// How long issuing rests then.
    #[arg(long, env, value_name = "SECONDS", default_value = seconds(usual().rates.surge.cooldown))]
    pub surge_cooldown: NonZeroU32,
    /// For how many days audit events are kept; their checkpoints stay.
    #[arg(long, env, value_name = "DAYS", default_value = usual().audit_retention_days.to_string())]
    pub audit_retention_days: NonZeroU32,
    /// For how many days the row of a token is kept after its end.
    #[arg(long, env, value_name = "DAYS", default_value = usual().token_retention_days.to_string())]
    pub token_retention_days: NonZeroU32,
    /// How long before a token or a secret ends to warn of it, the longest first.
    #[arg(
        long,
        env,
        value_name = "SECONDS",
        value_delimiter = ',',
        default_value = usual().warn.before.into_iter().map(seconds).collect::<Vec<_>>().join(",")
    )]
    pub warn_before: Vec<u64>,
    /// What was not used for so long is warned of as unused.
    #[arg(long, env, value_name = "SECONDS", default_value = seconds(usual().warn.unused_after))]
    pub warn_unused_after: u64,
    /// Where to send warnings; needs a secret, in TEGATA_WEBHOOK_SECRET or a file.
    #[arg(long, env, value_name = "URL", value_parser = http_url)]
    pub webhook_url: Option<Url>,
    /// File with the secret that warnings are signed with: `whsec_` and base64.
    #[arg(long, env, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// A reverse proxy whose `X-Forwarded-For` is believed: an address or a network
    /// in CIDR notation; may be given several times [default: none].
    #[arg(long, env, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<Network>,
    /// After how many days a signing key should be replaced; a metric counts down
    /// to it, and the log warns from then on.
    #[arg(long, env, value_name = "DAYS", default_value_t = usual().signing_key_days)]
    pub signing_key_days: u32,
    /// With less than this free on the store's disk, /readyz answers 503.
    #[arg(
        long,
        env,
        value_name = "MIB",
        default_value = (usual().min_free_disk >> MIB).to_string()
    )]
    pub min_free_disk: u32,
    /// For how long to go on serving after SIGTERM, with /readyz at 503, so that
    /// balancers send no requests here any more; at most 60.
    // A stop that takes longer is one that a supervisor ends with SIGKILL.
    #[arg(
        long,
        env,
        value_name = "SECONDS",
        value_parser = value_parser!(u64).range(..=60),
        default_value = seconds(usual().drain_delay)
    )]
    pub drain_delay: u64,
    /// Base address of an OpenTelemetry collector that takes traces as OTLP over HTTP,
    /// such as http://127.0.0.1:4318; headers, name, sampling and batches as
    /// OpenTelemetry's own variables say
    /// [default: OTEL_EXPORTER_OTLP_ENDPOINT; without it, no traces].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub otlp_endpoint: Option<String>,
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where the store and the files beside it are: the settings that commands without a
/// server need, too.
#[derive(Args)]
pub struct StoreSettings {
    /// Where to keep what must not be lost [default: sqlite:tegata.db; with --dev, a
    /// temporary store].
    #[arg(long, env, value_name = "sqlite:FILE")]
    pub store: Option<StoreAddress>,
    /// File with the key that seals the signing keys; made if it is not there
    /// [default: master.key beside the store].
    #[arg(long, env, value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
    /// File that says how far the store has come, so that an old copy in its place
    /// is noticed [default: beside the master key].
    #[arg(long, env, value_name = "FILE")]
    pub rollback_guard_file: Option<PathBuf>,
}

/// The SQLite file of a server that no store was set for.
const USUAL_STORE: &str = "tegata.db";

impl StoreSettings {
    /// The files of the authority.
    pub fn place(self) -> Files {
        let store = self.store.map_or_else(|| USUAL_STORE.into(), |StoreAddress(file)| file);
        Files {
            store,
            master_key_file: self.master_key_file,
            rollback_guard_file: self.rollback_guard_file,
        }
    }
}

/// From bytes to MiB and back, as a shift.
pub const MIB: u32 = 20;

/// The server's own defaults.
fn usual() -> Settings {
    Settings::new(([127, 0, 0, 1], 0).into(), USUAL_STORE.into())
}

fn seconds(duration: Duration) -> String {
    duration.as_secs().to_string()
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write it as an IP address and a port, such as 127.0.0.1:8080")
}

fn http_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("write it as an http or https address, such as https://tegata.example.com")
}

/// An address that is used as it is written.
fn http_address(text: &str) -> Result<String, &'static str> {
    http_url(text).map(|_| text.to_owned())
}

/// Where the store is, as a URL says it.
#[derive(Clone)]
pub struct StoreAddress(pub PathBuf);

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => Ok(Self(file.into())),
            Some(("postgres" | "postgresql", _)) => {
                Err("this version keeps its store in SQLite only: sqlite:FILE".to_owned())
            }
            _ => Err("write it as sqlite:FILE".to_owned()),
        }
    }
}
