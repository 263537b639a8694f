//! Checks the addresses to listen on: whether each is free, or what uses it.

use super::Findings;
use reqwest::Url;
use serde_json::Value;
use std::{io::ErrorKind, net::SocketAddr, net::TcpListener, time::Duration};
use tegata_server::config::Settings;
use tegata_system::http::client_for;

const CHECK: &str = "address";

/// Checks each address; returns whether an authority answers at the first.
pub async fn look(found: &mut Findings, settings: &Settings) -> bool {
    let mut running = false;
    let main = [Some(settings.listen), settings.admin_listen, settings.metrics_listen];
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    for (nth, address) in main.into_iter().flatten().enumerate() {
        match TcpListener::bind(address) {
            Ok(_) if address.port() == 0 => found.ok(CHECK, format!("{address}: any free port")),
            Ok(_) => found.ok(CHECK, format!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse => match nth {
                0 => running = whose(found, address, scheme).await,
                _ if running => found.ok(CHECK, format!("{address} is in use, as expected")),
                _ => in_use(found, address),
            },
            Err(error) => {
                let what = format!("{address} cannot be listened on: {error}");
                found.wrong(CHECK, what, "use an address of this machine, and a port from 1024 on");
            }
        }
    }
    running
}

fn in_use(found: &mut Findings, address: SocketAddr) {
    let next_step = format!(
        "find the program: ss -ltnp 'sport = :{}'; stop it, or use another address",
        address.port()
    );
    found.wrong(CHECK, format!("another program listens on {address}"), next_step);
}

/// Finds out what answers at an address in use: an authority, ready or not, or another
/// program. Returns whether it is an authority.
async fn whose(found: &mut Findings, address: SocketAddr, scheme: &str) -> bool {
    let host = match address.ip().is_unspecified() {
        true => SocketAddr::from(([127, 0, 0, 1], address.port())),
        false => address,
    };
    let base = format!("{scheme}://{host}");
    let ask = async |path: &str| {
        let url = Url::parse(&format!("{base}{path}")).ok()?;
        // The certificate names the public address, not this one; nothing secret is sent.
        let client = client_for(&url)
            .timeout(Duration::from_secs(3))
            .tls_danger_accept_invalid_certs(true)
            .build();
        let response = client.ok()?.get(url).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    };
    // Only an authority has this API description.
    let document = ask("/admin/v1/openapi.json").await.filter(|(status, _)| *status == 200);
    let keys = ask("/.well-known/jwks.json").await.filter(|(status, _)| *status == 200);
    let is_json = |it: &(u16, String)| serde_json::from_str::<Value>(&it.1).is_ok();
    if !document.iter().chain(&keys).any(is_json) {
        in_use(found, address);
        return false;
    }
    match ask("/readyz").await {
        Some((200, said)) => match failing(&said) {
            None => found.ok(CHECK, format!("an authority serves on {address} and is ready")),
            Some(checks) => {
                let what = format!(
                    "the authority on {address} is ready, but these checks of /readyz fail: {checks}"
                );
                found.wrong(CHECK, what, "see docs/book/src/runbooks/not-ready.md");
            }
        },
        Some((status, said)) => {
            let what =
                format!("the authority on {address} is not ready ({status}): {}", said.trim());
            found.wrong(CHECK, what, "see its log");
        }
        None => {
            let what = format!("the authority on {address} does not answer /readyz");
            found.wrong(CHECK, what, "see its log");
        }
    }
    true
}

/// The checks that fail although the authority is ready.
fn failing(said: &str) -> Option<String> {
    let body: Value = serde_json::from_str(said).ok()?;
    let names = body.get("failing")?.as_array()?.iter().filter_map(Value::as_str);
    Some(names.collect::<Vec<_>>().join(", ")).filter(|it| !it.is_empty())
}
