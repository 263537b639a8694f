//! Where the settings of `serve` come from: flags, the environment, and a file,
//! in this order. One struct is read from all three, so that no setting can be
//! missing from one of them.

use crate::failure::BadUsage;
use clap::ValueEnum;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
};
use tegata_client::agent::config::told;
use tegata_server::http::proxies::Network;
use tegata_system::file::{self, Links, read_argument};

/// What an operator set somewhere; what is `None` has its default.
#[derive(clap::Args, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, env = "TEGATA_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Where administrators come in, if not at the address above: `/admin/v1` is
    /// only there then.
    #[arg(long, env = "TEGATA_ADMIN_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,
    /// Where `/metrics` is, if not at the first address: it is only there then.
    #[arg(long, env = "TEGATA_METRICS_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
    /// File with the certificate to show at all these addresses, in PEM, and those
    /// that lead to its root; read again when it changes, and on SIGHUP
    /// [default: no TLS].
    #[arg(long, env = "TEGATA_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM.
    #[arg(long, env = "TEGATA_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Where to keep what must not be lost [default: sqlite:tegata.db].
    #[arg(long, env = "TEGATA_STORE", value_name = "sqlite:FILE")]
    pub store: Option<StoreAddress>,
    /// The address that clients know this server by [default: the listener's].
    #[arg(long, env = "TEGATA_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// File with the key that seals the signing keys; made if it is not there
    /// [default: beside the store].
    #[arg(long, env = "TEGATA_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
    /// File that says how far the store has come, so that an old copy in its place
    /// is noticed [default: beside the master key].
    #[arg(long, env = "TEGATA_MARK_FILE", value_name = "FILE")]
    pub mark_file: Option<PathBuf>,
    /// File to write every ending to before it is answered, so that a restored
    /// backup can be told of them; keep it on another disk than the store.
    #[arg(long, env = "TEGATA_ENDINGS_LOG", value_name = "FILE")]
    pub endings_log: Option<PathBuf>,
    /// The file of the token to accept; `--admin-token-file` is a flag of every command.
    #[arg(skip)]
    pub admin_token_file: Option<PathBuf>,
    /// For trying out: loopback only, a clock that can be moved, a channel made.
    #[arg(long, env = "TEGATA_DEV", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub dev: Option<bool>,
    /// How long a new signing key is published before it signs; at least as long
    /// as the JWKS may be cached [default: 900].
    #[arg(long, env = "TEGATA_KEY_PROMOTION_DELAY", value_name = "SECONDS")]
    pub key_promotion_delay: Option<u64>,
    /// How many connections are served at once at each address, at least 1
    /// [default: 10000].
    #[arg(long, env = "TEGATA_CONNECTIONS", value_name = "N")]
    pub connections: Option<NonZeroUsize>,
    /// After how long a connection without a request ends, at least 1; earlier
    /// where others wait for its place [default: 75].
    #[arg(long, env = "TEGATA_IDLE_TIMEOUT", value_name = "SECONDS")]
    pub idle_timeout: Option<NonZeroU32>,
    /// How many short-lived tokens a channel may be issued in a second [default: 370].
    #[arg(long, env = "TEGATA_ISSUE_RATE_SHORT_LIVED", value_name = "N")]
    pub issue_rate_short_lived: Option<NonZeroU32>,
    /// How often a channel may use each other operation but the checks in a second
    /// [default: 2000].
    #[arg(long, env = "TEGATA_ISSUE_RATE", value_name = "N")]
    pub issue_rate: Option<NonZeroU32>,
    /// How often in a second LINE's two checks may each be asked about one channel's
    /// tokens [default: without limit].
    #[arg(long, env = "TEGATA_CHECK_RATE", value_name = "N")]
    pub check_rate: Option<NonZeroU32>,
    /// So many tokens of a kind a channel may be issued in a window, before issuing of
    /// that kind rests; 0 for no bound [default: 10000].
    #[arg(long, env = "TEGATA_STORM_ISSUES", value_name = "N")]
    pub storm_issues: Option<u32>,
    /// How long that window is [default: 600].
    #[arg(long, env = "TEGATA_STORM_WINDOW", value_name = "SECONDS")]
    pub storm_window: Option<NonZeroU32>,
    /// How long issuing rests then [default: 600].
    #[arg(long, env = "TEGATA_STORM_REST", value_name = "SECONDS")]
    pub storm_rest: Option<NonZeroU32>,
    /// For how many days audit events are kept; their checkpoints stay [default: 400].
    #[arg(long, env = "TEGATA_AUDIT_DAYS", value_name = "DAYS")]
    pub audit_days: Option<NonZeroU32>,
    /// For how many days the row of a token is kept after its end [default: 30].
    #[arg(long, env = "TEGATA_KEEP_ENDED_DAYS", value_name = "DAYS")]
    pub keep_ended_days: Option<NonZeroU32>,
    /// How long before a token or a secret ends to warn of it, the longest first
    /// [default: 604800,86400,3600].
    #[arg(long, env = "TEGATA_WARN_BEFORE", value_name = "SECONDS", value_delimiter = ',')]
    pub warn_before: Option<Vec<u64>>,
    /// What was not used for so long is warned of as unused [default: 604800].
    #[arg(long, env = "TEGATA_WARN_UNUSED_AFTER", value_name = "SECONDS")]
    pub warn_unused_after: Option<u64>,
    /// Where to send warnings; needs a secret, in TEGATA_WEBHOOK_SECRET or a file.
    #[arg(long, env = "TEGATA_WEBHOOK_URL", value_name = "URL")]
    pub webhook_url: Option<String>,
    /// File with the secret that warnings are signed with: `whsec_` and base64.
    #[arg(long, env = "TEGATA_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// A reverse proxy whose `X-Forwarded-For` is believed: an address or a network
    /// in CIDR notation; may be given several times [default: none].
    #[arg(long, env = "TEGATA_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Option<Vec<Network>>,
    /// After how many days a signing key should be replaced; a metric counts down
    /// to it, and the log warns from then on [default: 90].
    #[arg(long, env = "TEGATA_SIGNING_KEY_DAYS", value_name = "DAYS")]
    pub signing_key_days: Option<u32>,
    /// With less than this free on the store's disk, /readyz answers 503 [default: 64].
    #[arg(long, env = "TEGATA_LEAST_FREE_DISK", value_name = "MIB")]
    pub least_free_disk: Option<u32>,
    /// For how long to go on serving after SIGTERM, with /readyz at 503, so that
    /// balancers send nobody here any more; at most 60 [default: 0].
    #[arg(long, env = "TEGATA_DRAIN_DELAY", value_name = "SECONDS")]
    pub drain_delay: Option<u8>,
    /// Base address of an OpenTelemetry collector that takes traces as OTLP over HTTP,
    /// such as http://127.0.0.1:4318; headers, name, sampling and batches as
    /// OpenTelemetry's own variables say
    /// [default: OTEL_EXPORTER_OTLP_ENDPOINT; without it, no traces].
    #[arg(long, env = "TEGATA_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// What to log: a level, or directives such as `info,tegata_server=debug`
    /// [default: info,refinery_core=warn].
    #[arg(long, env = "TEGATA_LOG", value_name = "DIRECTIVES")]
    pub log: Option<String>,
    /// In which form to log, to stderr [default: text].
    #[arg(long, env = "TEGATA_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write it as an IP address and a port, such as 127.0.0.1:8080")
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Where the store is, as a URL says it.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
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

impl TryFrom<String> for StoreAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The longest file of settings, in bytes.
const LONGEST: u64 = 1 << 20;

/// The file that is read if it is there and no other is named.
const USUAL_FILE: &str = "tegata.toml";

impl Given {
    /// These settings, and what `file` (or else `tegata.toml`, if there is one)
    /// says where they say nothing.
    pub fn or_file(self, file: Option<&Path>) -> anyhow::Result<Self> {
        let usual = Path::new(USUAL_FILE);
        let found = match file {
            Some(file) => read_argument(file, LONGEST),
            // The current folder may be another user's.
            None if usual.exists() => file::read(usual, Links::Follow, LONGEST).map(|it| it.0),
            None => return Ok(self),
        };
        let file = file.unwrap_or(usual);
        let wrong = |what: String| BadUsage(format!("{}: {what}", file.display()));
        let text = found.map_err(|error| wrong(error.to_string()))?;
        let given = toml::from_str(&text).map_err(|error| wrong(told(&error, &text)))?;
        Ok(self.or(given))
    }

    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            store: self.store.or(other.store),
            public_url: self.public_url.or(other.public_url),
            master_key_file: self.master_key_file.or(other.master_key_file),
            mark_file: self.mark_file.or(other.mark_file),
            audit_days: self.audit_days.or(other.audit_days),
            keep_ended_days: self.keep_ended_days.or(other.keep_ended_days),
            endings_log: self.endings_log.or(other.endings_log),
            admin_token_file: self.admin_token_file.or(other.admin_token_file),
            dev: self.dev.or(other.dev),
            key_promotion_delay: self.key_promotion_delay.or(other.key_promotion_delay),
            connections: self.connections.or(other.connections),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            issue_rate_short_lived: self.issue_rate_short_lived.or(other.issue_rate_short_lived),
            issue_rate: self.issue_rate.or(other.issue_rate),
            check_rate: self.check_rate.or(other.check_rate),
            storm_issues: self.storm_issues.or(other.storm_issues),
            storm_window: self.storm_window.or(other.storm_window),
            storm_rest: self.storm_rest.or(other.storm_rest),
            warn_before: self.warn_before.or(other.warn_before),
            warn_unused_after: self.warn_unused_after.or(other.warn_unused_after),
            webhook_url: self.webhook_url.or(other.webhook_url),
            webhook_secret_file: self.webhook_secret_file.or(other.webhook_secret_file),
            trusted_proxy: self.trusted_proxy.or(other.trusted_proxy),
            signing_key_days: self.signing_key_days.or(other.signing_key_days),
            least_free_disk: self.least_free_disk.or(other.least_free_disk),
            drain_delay: self.drain_delay.or(other.drain_delay),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> anyhow::Result<Given> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.toml");
        std::fs::write(&path, text).unwrap();
        let given = Given { connections: NonZeroUsize::new(7), ..Given::default() };
        given.or_file(Some(&path))
    }

    #[test]
    fn the_file_says_only_what_nobody_said_before() {
        let given =
            file("connections = 1\nlisten = \"127.0.0.1:9\"\nstore = \"sqlite:a.db\"").unwrap();
        assert_eq!(given.connections, NonZeroUsize::new(7));
        assert_eq!(given.listen.unwrap().port(), 9);
        assert_eq!(given.store.unwrap().0, Path::new("a.db"));
    }

    #[test]
    fn trusted_proxies_are_a_list() {
        let given = file("trusted_proxy = [\"10.0.0.1\", \"fd00::/8\"]").unwrap();
        assert_eq!(given.trusted_proxy.unwrap().len(), 2);
        assert!(file("trusted_proxy = [\"10.0.0.1/40\"]").is_err());
    }

    #[test]
    fn an_unknown_key_is_named_beside_those_that_are_known() {
        let error = file("listn = \"127.0.0.1:9\"").err().unwrap();
        assert!(error.downcast_ref::<BadUsage>().is_some());
        let error = error.to_string();
        assert!(error.contains("`listn`") && error.contains("`listen`"), "{error}");
    }

    #[test]
    fn an_error_repeats_nothing_that_could_be_a_secret() {
        for text in ["webhook_secret_file = whsec_c2VjcmV0", "connections = \"whsec_c2VjcmV0\""] {
            let error = file(&format!("\n{text}")).err().unwrap().to_string();
            let key = text.split(' ').next().unwrap();
            assert!(error.contains("line 2") && error.contains(key), "{error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
    }

    #[test]
    fn a_wrong_value_and_a_missing_file_are_errors() {
        assert!(file("listen = 8080").is_err());
        assert!(file("connections = 0").is_err());
        assert!(file("store = \"postgres://x\"").is_err());
        assert!(Given::default().or_file(Some(Path::new("/no/such.toml"))).is_err());
    }
}
