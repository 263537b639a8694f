//! The settings of `serve`, each declared once, as a field. The flag, the variable and
//! the key in the settings file follow from the field's name; the default, the check and
//! the help text are declared at the field; the reference page is generated from them.
//! `sources` combines flags, variables and file.

use super::address::{StoreAddress, USUAL_STORE};
use crate::{
    duration::{Seconds, seconds},
    log::LogSettings,
};
use clap::{
    ArgAction, Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use reqwest::Url;
use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};
use tegata_policy::duration::written;
use tegata_server::{
    authority::{leaks::KeysFile, openid_settings::SecondFactorFrom, signing_keys::JWKS_CACHE},
    config::Settings,
    http::proxies::Network,
};

/// The settings of `serve`. Defaults that the server has are read from there.
#[derive(Args)]
pub struct ServeSettings {
    /// Address to listen on; port 0 takes a free port.
    #[arg(
        long,
        env,
        value_name = "ADDRESS:PORT",
        value_parser = address,
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,
    /// Separate address for `/admin/v1`, which then answers there only [default: the
    /// address of --listen].
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,
    /// Separate address for `/metrics`, which then answers there only [default: the address
    /// of --listen].
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
    /// Address for Envoy's ext_authz, version 3, over gRPC; may be that of --listen
    /// [default: none].
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub ext_authz_listen: Option<SocketAddr>,
    /// File with the TLS certificate and its intermediates, in PEM, for all these addresses;
    /// reloaded when it changes, and on SIGHUP. Without it, no TLS.
    #[arg(long, env, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM.
    #[arg(long, env, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub store: StoreSettings,
    /// URL that clients use for this server [default: the listener's address].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub public_url: Option<String>,
    /// URL by which browsers reach the console: links of invitations lead there, and the identity
    /// provider sends browsers back there [default: the URL of --public-url].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub console_url: Option<String>,
    #[command(flatten)]
    pub oidc: OidcSettings,
    /// Revocation journal: file that gets every revocation before the response is sent, so
    /// that `recover` can repeat it after a restore; keep it on another disk than the store.
    #[arg(long, env, value_name = "FILE")]
    pub revocation_journal: Option<PathBuf>,
    /// File with the root administrator's token [default: admin.token in the master
    /// key's folder, created at the first start]. TEGATA_ADMIN_TOKEN, which holds the token itself,
    /// takes precedence over the key in the settings file, and the flag over both.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Run a development server: on loopback only, with a movable clock and a ready channel.
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
    /// How long a new signing key is published before it signs; at least as long as
    /// clients may cache the JWKS.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(JWKS_CACHE.as_secs()..=u64::MAX),
        default_value = written(usual().key_promotion_delay)
    )]
    pub key_promotion_delay: Seconds,
    /// Maximum number of concurrent connections per listener, at least 1.
    #[arg(long, env, value_name = "N", default_value = usual().max_connections.to_string())]
    pub max_connections: NonZeroUsize,
    /// How long a connection may be idle before it is closed, at least 1s; at the connection
    /// limit, the longest-idle one is closed earlier.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(1..=u32::MAX.into()),
        default_value = written(usual().idle_timeout)
    )]
    pub idle_timeout: Seconds,
    /// Maximum short-lived tokens issued per channel and second.
    #[arg(long, env, value_name = "N", default_value_t = usual().rates.short_lived)]
    pub issue_rate_short_lived: NonZeroU32,
    /// Maximum requests per channel and second for each other operation, except LINE's two
    /// verify operations.
    #[arg(long, env, value_name = "N", default_value_t = usual().rates.other)]
    pub issue_rate: NonZeroU32,
    /// Maximum requests per channel and second to each of LINE's two verify operations
    /// [default: no limit].
    #[arg(long, env, value_name = "N")]
    pub verify_rate: Option<NonZeroU32>,
    /// Tokens of one kind that a channel may be issued per window before a cooldown begins;
    /// 0 disables the limit.
    #[arg(
        long,
        env,
        value_name = "N",
        default_value_t = usual().rates.surge.issues.map_or(0, NonZeroU32::get)
    )]
    pub surge_limit: u32,
    /// Length of the surge window.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(1..=u32::MAX.into()),
        default_value = written(usual().rates.surge.window)
    )]
    pub surge_window: Seconds,
    /// Length of the cooldown.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(1..=u32::MAX.into()),
        default_value = written(usual().rates.surge.cooldown)
    )]
    pub surge_cooldown: Seconds,
    /// How long audit events are kept; their checkpoints are kept for ever.
    #[arg(long, env, value_name = "DAYS", default_value = usual().audit_retention_days.to_string())]
    pub audit_retention_days: NonZeroU32,
    /// How long the row of a token is kept after its expiry or revocation.
    #[arg(long, env, value_name = "DAYS", default_value = usual().token_retention_days.to_string())]
    pub token_retention_days: NonZeroU32,
    /// Record from which addresses each stored token was used lately, and how often per
    /// minute: at most 16 entries per token, kept for a week.
    #[arg(
        long,
        env,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = usual().recent_uses,
        default_missing_value = "true"
    )]
    pub recent_uses: bool,
    /// How long a token must be unused, while a newer one of its group and kind is used, to be
    /// shown as idle; at least 1m.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(60..=u64::MAX),
        default_value = written(usual().token_idle_after)
    )]
    pub token_idle_after: Seconds,
    /// Log a line for each verification, with the token's id, kind and group, the result and
    /// the source.
    #[arg(
        long,
        env,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = usual().log_verifications,
        default_missing_value = "true"
    )]
    pub log_verifications: bool,
    /// How long before the expiry of a token or a secret to send a warning; a list, longest
    /// first.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_delimiter = ',',
        value_parser = seconds(0..=u64::MAX),
        default_value = usual().warn.before.into_iter().map(written).collect::<Vec<_>>().join(",")
    )]
    pub warn_before: Vec<Seconds>,
    /// How long a token or key must be unused before a warning is sent.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(0..=u64::MAX),
        default_value = written(usual().warn.unused_after)
    )]
    pub warn_unused_after: Seconds,
    /// Webhook for warnings; needs a secret, in TEGATA_WEBHOOK_SECRET or a file.
    #[arg(long, env, value_name = "URL", value_parser = http_url)]
    pub webhook_url: Option<Url>,
    /// File with the webhook's signing secret: `whsec_` and base64.
    #[arg(long, env, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub leaks: LeaksSettings,
    /// Reverse proxy whose `X-Forwarded-For` is trusted: an address or a network in CIDR
    /// notation; may be given several times [default: none].
    #[arg(long, env, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<Network>,
    /// After how many days a signing key should be replaced; a metric counts down to it,
    /// and the log warns from then on.
    #[arg(long, env, value_name = "DAYS", default_value_t = usual().warn.signing_key_days)]
    pub signing_key_days: u32,
    /// Minimum free space on the store's disk; with less, /readyz answers 503.
    #[arg(
        long,
        env,
        value_name = "MIB",
        default_value = (usual().min_free_disk >> MIB).to_string()
    )]
    pub min_free_disk: u32,
    /// How long to go on serving after SIGTERM, with /readyz at 503, so that load balancers
    /// stop sending requests; at most 1m.
    // Supervisors send SIGKILL if a stop takes longer.
    #[arg(
        long,
        env,
        value_name = "DURATION",
        value_parser = seconds(0..=60),
        default_value = written(usual().drain_delay)
    )]
    pub drain_delay: Seconds,
    /// Base URL of an OpenTelemetry collector for traces, as OTLP over HTTP, such as
    /// http://127.0.0.1:4318; OpenTelemetry's own variables set headers, name, sampling and
    /// batches
    /// [default: OTEL_EXPORTER_OTLP_ENDPOINT; without it, no traces].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub otlp_endpoint: Option<String>,
    #[command(flatten)]
    pub log: LogSettings,
}

/// The store and the files beside it: the settings that commands without a server need,
/// too.
#[derive(Args)]
pub struct StoreSettings {
    /// Database URL: sqlite:FILE, or postgres://USER@HOST/DATABASE, which many servers can
    /// share [default: sqlite:tegata.db; with --dev, a temporary store].
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    pub store: Option<StoreAddress>,
    /// Second address of a PostgreSQL database, past a pool of connections, to be notified of
    /// changes at once [default: the address of --store].
    #[arg(long, env, value_name = "postgres://…", hide_env_values = true)]
    pub store_direct: Option<StoreAddress>,
    /// File with the password of the PostgreSQL database, which then is in no URL.
    #[arg(long, env, value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
    /// File with the master key, which encrypts the signing keys; created if it does not
    /// exist and the store is new; required with PostgreSQL, the same for all servers
    /// [default: master.key in the store's folder].
    #[arg(long, env, value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
    /// Rollback guard: file with the store's position, so that an older copy of the store is
    /// noticed [default: in the master key's folder].
    #[arg(long, env, value_name = "FILE")]
    pub rollback_guard_file: Option<PathBuf>,
}

/// The identity provider by which people sign in to the console.
#[derive(Args)]
pub struct OidcSettings {
    /// Identity provider by which linked people sign in to the console, with OpenID Connect: its
    /// issuer, exactly as the provider writes it [default: none].
    #[arg(long, env, value_name = "URL", value_parser = http_address)]
    pub oidc_issuer: Option<String>,
    /// Client id of this server at the identity provider.
    #[arg(long, env, value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// File with the client secret of this server at the identity provider; without it and
    /// TEGATA_OIDC_CLIENT_SECRET, the server is a public client.
    #[arg(long, env, value_name = "FILE")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Who asks for the second factor at a sign-in by the identity provider: `tegata` (its own
    /// code, as after a password) or `identity-provider`.
    #[arg(
        long,
        env,
        value_name = "WHO",
        value_parser = PossibleValuesParser::new(SECOND_FACTOR.map(|it| it.0)).map(second_factor),
        default_value = SECOND_FACTOR[0].0
    )]
    pub oidc_second_factor: SecondFactorFrom,
}

/// Who may report leaked tokens in the name of a programme.
#[derive(Args)]
pub struct LeaksSettings {
    /// File with the public keys of a programme that reports leaked tokens, github or gitlab, in
    /// the programme's own JSON; reloaded on SIGHUP; may be given once for each [default: none,
    /// and the programme's path answers 404].
    #[arg(long, env, value_name = "PROGRAMME=FILE", value_delimiter = ',')]
    pub leak_keys: Vec<KeysFile>,
    /// File with the token that a self-managed GitLab sends with its reports of leaked tokens, at
    /// least 32 characters; TEGATA_GITLAB_REVOCATION_TOKEN holds the token itself.
    #[arg(long, env, value_name = "FILE")]
    pub gitlab_revocation_token_file: Option<PathBuf>,
}

/// The words of --oidc-second-factor; the first one is the default.
const SECOND_FACTOR: [(&str, SecondFactorFrom); 2] = [
    ("tegata", SecondFactorFrom::Tegata),
    ("identity-provider", SecondFactorFrom::IdentityProvider),
];

fn second_factor(word: String) -> SecondFactorFrom {
    let named = SECOND_FACTOR.into_iter().find(|it| it.0 == word);
    named.map_or_else(SecondFactorFrom::default, |it| it.1)
}

/// The shift between bytes and MiB.
pub const MIB: u32 = 20;

/// The server's own defaults.
fn usual() -> Settings {
    Settings::new(([127, 0, 0, 1], 0).into(), USUAL_STORE.into())
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write it as an IP address and a port, such as 127.0.0.1:8080")
}

fn http_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("write it as an http or https URL, such as https://tegata.example.com")
}

/// Checks a URL that is used as it is written.
fn http_address(text: &str) -> Result<String, &'static str> {
    http_url(text).map(|_| text.to_owned())
}
