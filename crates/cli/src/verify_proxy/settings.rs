//! The settings of `verify-proxy`.

use crate::{
    api::bad_address,
    failure::BadUsage,
    files::{read_secret, secret_variable},
    log::LogSettings,
    verifier::milliseconds,
};
use anyhow::Context;
use reqwest::{Certificate, Url};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tegata_client::exchange::{BadAddress, address};
use tegata_policy::secret::PlainSecret;
use tegata_system::variable;
use tegata_token::feed::OnStale;
use tegata_verifier::{FollowSettings, standing::Use};

const TOKEN: &str = "TEGATA_VERIFIER_TOKEN";
const TOKEN_FILE: &str = "TEGATA_VERIFIER_TOKEN_FILE";

/// What to do if the authority rejects the requests.
pub const REJECTED: &str = "check TEGATA_VERIFIER_TOKEN, and --max-staleness and --on-stale against `tegata verifier show`";

/// The arguments of `verify-proxy`.
#[derive(clap::Args)]
#[command(after_help = "The verifier's token is in TEGATA_VERIFIER_TOKEN, or in the file that \
    TEGATA_VERIFIER_TOKEN_FILE names; `tegata verifier create` makes one.")]
pub struct VerifyProxy {
    /// URL of the authority whose feed is followed.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    // The parser of the arguments would print an address that may have a password in it.
    pub authority: String,
    /// Where to serve /gateway/verify, /livez, /readyz and /metrics: an address, or a Unix
    /// socket, which gets mode 0666 minus the umask.
    #[arg(long, env, value_name = "unix:PATH|ADDRESS:PORT", default_value = "127.0.0.1:8081")]
    pub listen: ListenAddress,
    /// Address for Envoy's ext_authz, version 3, over gRPC without TLS: one of loopback
    /// [default: none].
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub ext_authz_listen: Option<SocketAddr>,
    /// Age up to which the view of the revocations may be used; at most the verifier's own.
    #[arg(long, env, value_name = "DURATION", default_value = "30s", value_parser = milliseconds)]
    pub max_staleness: u32,
    /// What to do with an older view: refuse all tokens (deny), ask the authority about each
    /// one (ask), or go on using the view (allow, if the verifier may).
    #[arg(long, env, value_name = "deny|ask|allow", default_value = "deny")]
    pub on_stale: OnStale,
    /// File with certificate authorities, in PEM: the only ones trusted for the certificate of
    /// --authority [default: those that the machine trusts].
    #[arg(long, env, value_name = "FILE")]
    pub authority_ca: Option<PathBuf>,
    /// File for a copy of the view: after a crash the proxy verifies with it while the
    /// authority is down. A normal stop deletes it [default: none].
    #[arg(long, env, value_name = "FILE")]
    pub copy: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where the proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write it as 127.0.0.1:8081 or unix:/run/tegata/verify.sock";
        match text.strip_prefix("unix:") {
            Some(path) if path.is_empty() || path.starts_with("//") => Err(WRONG),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| WRONG),
        }
    }
}

fn authority(text: &str) -> anyhow::Result<Url> {
    let wrong = |bad| bad_address(&bad, text, ("--authority", "TEGATA_AUTHORITY"));
    let url = address(text).map_err(wrong)?;
    match url.query().or(url.fragment()) {
        None => Ok(url),
        Some(_) => Err(wrong(BadAddress::Form("an address with `?` or `#`".to_owned())).into()),
    }
}

impl VerifyProxy {
    /// The settings of the follower.
    pub fn follow(&self) -> anyhow::Result<FollowSettings> {
        let token = token()?;
        let mut settings = FollowSettings::new(authority(&self.authority)?, token.reveal())
            .map_err(|error| BadUsage(error.to_string()))?;
        let staleness = Duration::from_millis(self.max_staleness.into());
        settings.wanted = Use { staleness, on_stale: self.on_stale };
        settings.copy.clone_from(&self.copy);
        if let Some(file) = &self.authority_ca {
            settings.certificates = certificates(file)?;
        }
        Ok(settings)
    }
}

fn token() -> anyhow::Result<PlainSecret> {
    if let Some(token) = secret_variable(TOKEN)? {
        return Ok(token);
    }
    match variable::text(TOKEN_FILE)? {
        Some(file) => {
            read_secret(Path::new(&file)).with_context(|| format!("the variable {TOKEN_FILE}"))
        }
        None => {
            let wrong = format!(
                "no verifier's token: make one with `tegata verifier create NAME`, and set {TOKEN} \
                 to it, or {TOKEN_FILE} to its file"
            );
            Err(BadUsage(wrong).into())
        }
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let wrong = |what: &dyn std::fmt::Display| {
        BadUsage(format!("--authority-ca {}: {what}", file.display()))
    };
    let pem = fs::read(file).map_err(|error| wrong(&error))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"it holds no certificate in PEM").into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_of_either_kind() {
        let read = |text: &str| text.parse::<ListenAddress>();
        assert_eq!(read("unix:/run/x"), Ok(ListenAddress::Unix("/run/x".into())));
        assert_eq!(read("unix:x"), Ok(ListenAddress::Unix("x".into())));
        assert!(matches!(read("[::1]:8081"), Ok(ListenAddress::Tcp(_))));
        for bad in ["", "unix:", "unix:///run/x", "/run/x", "8081", "localhost:8081", "127.0.0.1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
