//! The sockets of `verify-proxy`.

use super::{service::Serves, settings::ListenAddress};
use anyhow::anyhow;
use std::{io, net::SocketAddr, path::Path};
use tegata_server::http::{Socket, listen_at};
use tegata_system::socket::{self, SocketFile};

/// Sockets that are bound, and the lines that name them.
pub struct Listening {
    pub sockets: Vec<(Socket, Serves)>,
    pub words: String,
    /// The file to remove at the end.
    pub socket_file: Option<SocketFile>,
}

impl Listening {
    pub async fn bind(at: &ListenAddress, ext_authz: Option<SocketAddr>) -> anyhow::Result<Self> {
        let (socket, shown, socket_file) = match at {
            ListenAddress::Unix(path) => {
                let (socket, file) = unix(path).await?;
                (socket, format!("unix:{}", path.display()), Some(file))
            }
            ListenAddress::Tcp(address) => {
                let (socket, bound) = tcp(*address)?;
                (socket, format!("http://{bound}"), None)
            }
        };
        let mut words = format!("listening on {shown}");
        let mut sockets = vec![(socket, Serves::Http)];
        if let Some(address) = ext_authz {
            let (socket, bound) = tcp(address)?;
            sockets.push((socket, Serves::ExtAuthz));
            words = format!("{words}\next_authz over gRPC at {bound}");
        }
        Ok(Self { sockets, words, socket_file })
    }
}

async fn unix(path: &Path) -> anyhow::Result<(Socket, SocketFile)> {
    // The mode of files that the process makes: 0666 minus the umask.
    let made = socket::bind(path, "another process", |made| made & 0o666).await;
    made.map(|(listener, file)| (Socket::Unix(listener), file))
        .map_err(|error| anyhow!("cannot listen on unix:{}: {error}", path.display()))
}

fn tcp(address: SocketAddr) -> anyhow::Result<(Socket, SocketAddr)> {
    let wrong = |error: io::Error| {
        let next = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; stop the program that uses it, or choose another address"
            }
            _ => "",
        };
        anyhow!("cannot listen on {address}: {error}{next}")
    };
    let listener = listen_at(address).map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    if !bound.ip().is_loopback() {
        tracing::warn!(address = %bound, "tokens are not encrypted on this address: use loopback or a Unix socket");
    }
    Ok((Socket::Tcp(listener), bound))
}
