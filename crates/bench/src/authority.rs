//! The program under test, and the administrator's requests to it.
//!
//! This module uses only flags, addresses and JSON, and no crate of the authority, so
//! that any binary with the same interface can be measured.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::assertions::Signer;
use super::channel::Channel;
use super::process::{Running, on_any_core, on_core};
use super::wire::{Wire, form, request};
use super::{SERVER_CORE, spread, stopwatch};

/// The administrator's token, for one run on loopback.
const ADMIN: &str = "benchmark-administrator-0123456789abcdef";
/// Connections for the preparation; enough for commits to be shared.
const CALLERS: usize = 32;

/// A running `tegata serve` with default settings, on a core of its own.
pub(super) struct Authority {
    pub(super) address: SocketAddr,
    process: Running,
    log: PathBuf,
}

impl Authority {
    /// Starts the server on a new SQLite store in `folder` and waits until it is ready.
    pub(super) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, folder, &[])
    }

    /// As `start`, with additional settings.
    pub(super) fn start_with(
        program: &Path,
        folder: &Path,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        Self::start_at(program, folder, free_address()?, settings)
    }

    /// As `start_with`, at this address.
    pub(super) fn start_at(
        program: &Path,
        folder: &Path,
        address: SocketAddr,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = on_core(SERVER_CORE, program);
        command
            .arg("serve")
            .args(["--store", &format!("sqlite:{}", folder.join("tegata.db").display())])
            .args(settings);
        Self::launch(command, folder, address)
    }

    /// Starts one of several servers on the PostgreSQL database `store`, which share the
    /// master key's file, on every core, and waits until it is ready. Its own files are in
    /// `folder`.
    pub(super) fn start_sharing(
        program: &Path,
        folder: &Path,
        store: &str,
        master_key: &Path,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut command = on_any_core(program);
        command
            .arg("serve")
            .args(["--public-url", "http://tokens.example"])
            .arg("--master-key-file")
            .arg(master_key)
            .arg("--rollback-guard-file")
            .arg(folder.join("tegata.guard"))
            // Other users of the machine can read arguments.
            .env("TEGATA_STORE", store);
        Self::launch(command, folder, free_address()?)
    }

    fn launch(mut command: Command, folder: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let log = folder.join("authority.log");
        let out = File::create(&log)?;
        let process = Running::start(
            command
                .args(["--listen", &address.to_string()])
                .env("TEGATA_ADMIN_TOKEN", ADMIN)
                .current_dir(folder)
                .stdout(out.try_clone()?)
                .stderr(out),
        )?;
        let mut authority = Self { address, process, log };
        match authority.wait_until_ready() {
            Ok(()) => Ok(authority),
            Err(why) => Err(authority.explain(&why)),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The error, followed by the last lines of the authority's log.
    pub(super) fn explain(&self, why: &anyhow::Error) -> anyhow::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n");
        anyhow!("{why:#}\nLast lines of the authority's log:\n{last}")
    }

    /// Creates a provider with `count` channels and registers `signer`'s key on each.
    pub(super) fn channels(&self, count: usize, signer: &Signer) -> anyhow::Result<Vec<Channel>> {
        self.channels_with(count, Some(signer))
    }

    /// Creates a provider with `count` channels that have no assertion key.
    pub(super) fn channels_by_secret(&self, count: usize) -> anyhow::Result<Vec<Channel>> {
        self.channels_with(count, None)
    }

    fn channels_with(&self, count: usize, signer: Option<&Signer>) -> anyhow::Result<Vec<Channel>> {
        let mut wire = Wire::open(self.address)?;
        let provider =
            self.admin(&mut wire, "POST", "/providers", &json!({"name": "Benchmark"}))?;
        let provider = text(&provider, "provider_id")?;
        let key = signer.map(|signer| json!({"jwk": signer.jwk()}));
        let numbers: Vec<usize> = (0..count).collect();
        spread(
            CALLERS,
            &numbers,
            || Wire::open(self.address),
            |wire, number| {
                let wanted = json!({"name": format!("Channel {number}"), "type": "messaging-api"});
                let channel =
                    self.admin(wire, "POST", &format!("/providers/{provider}/channels"), &wanted)?;
                let id = text(&channel, "channel_id")?;
                let kid = match &key {
                    Some(key) => {
                        let path = format!("/channels/{id}/assertion-keys");
                        text(&self.admin(wire, "POST", &path, key)?, "kid")?
                    }
                    None => String::new(),
                };
                Ok(Channel { secret: text(&channel, "channel_secret")?, kid, id })
            },
        )
    }

    /// The token of a new verifier.
    pub(super) fn verifier(&self) -> anyhow::Result<String> {
        let mut wire = Wire::open(self.address)?;
        let made = self.admin(&mut wire, "POST", "/verifiers", &json!({"name": "Benchmark"}))?;
        text(&made, "verifier_token")
    }

    /// Number of active v2.1 tokens of each channel, by the admin API.
    pub(super) fn stored(&self, channels: &[Channel]) -> anyhow::Result<Vec<usize>> {
        spread(
            CALLERS,
            channels,
            || Wire::open(self.address),
            |wire, channel| {
                let list = format!("/channels/{}/tokens?kind=v2.1&state=active", channel.id);
                let mut page = self.admin(wire, "GET", &list, &Value::Null)?;
                let mut count = 0;
                loop {
                    count += page["tokens"].as_array().context("a list without tokens")?.len();
                    let Some(next) = page["next"].as_str() else {
                        return Ok(count);
                    };
                    page =
                        self.admin(wire, "GET", &format!("{list}&after={next}"), &Value::Null)?;
                }
            },
        )
    }

    /// Sends the requests and returns their tokens in the same order.
    pub(super) fn tokens(&self, asked: &[Asked]) -> anyhow::Result<Vec<String>> {
        spread(
            CALLERS,
            asked,
            || Wire::open(self.address),
            |wire, asked| {
                let response = wire.send(&asked.request(self.address))?.json();
                text(&response.with_context(|| format!("requesting {asked:?}"))?, "access_token")
            },
        )
    }

    pub(super) fn admin(
        &self,
        wire: &mut Wire,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let response = wire.send(&self.of_admin(method, path, body))?;
        response.json().with_context(|| format!("{method} {path}"))
    }

    /// The bytes of an administrator's request.
    pub(super) fn of_admin(&self, method: &str, path: &str, body: &Value) -> Vec<u8> {
        let bearer = format!("Bearer {ADMIN}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        let mut text = String::new();
        if method != "GET" {
            headers.push(("Content-Type", "application/json"));
            text = body.to_string();
        }
        request(self.address, method, &format!("/admin/v1{path}"), &headers, &text)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let began = stopwatch();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.process.child().try_wait()? {
                bail!("the server exited with {status}");
            }
            let question = request(self.address, "GET", "/readyz", &[], "");
            let response = Wire::open(self.address).and_then(|mut wire| wire.send(&question));
            if response.is_ok_and(|response| response.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server was not ready within 20 s")
    }
}

/// A request for a token, by one of LINE's issuing operations.
pub(super) enum Asked {
    /// v2.1, with the assertion.
    ByAssertion(String),
    /// Stateless, with id and secret.
    Stateless(Channel),
    /// Short-lived, with id and secret.
    ShortLived(Channel),
}

impl Asked {
    pub(super) fn request(&self, to: SocketAddr) -> Vec<u8> {
        match self {
            Self::ByAssertion(assertion) => form(
                to,
                "/oauth2/v2.1/token",
                &[
                    ("grant_type", "client_credentials"),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", assertion),
                ],
            ),
            Self::Stateless(channel) => by_secret(to, "/oauth2/v3/token", channel),
            Self::ShortLived(channel) => by_secret(to, "/v2/oauth/accessToken", channel),
        }
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ByAssertion(_) => "a v2.1 token",
            Self::Stateless(_) => "a stateless token",
            Self::ShortLived(_) => "a short-lived token",
        })
    }
}

fn by_secret(to: SocketAddr, path: &str, channel: &Channel) -> Vec<u8> {
    form(
        to,
        path,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &channel.id),
            ("client_secret", &channel.secret),
        ],
    )
}

pub(super) fn text(value: &Value, member: &str) -> anyhow::Result<String> {
    Ok(value[member].as_str().with_context(|| format!("no {member} in {value}"))?.to_owned())
}

/// A free loopback address. Its port has five digits, like the baseline's, so that
/// requests to both have the same length.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    loop {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if address.port() >= 10_000 {
            return Ok(address);
        }
    }
}
