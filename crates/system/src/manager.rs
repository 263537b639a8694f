//! Notifies the service manager, usually systemd, of a service's state (sd_notify(3)).

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The socket of the service manager.
pub struct ServiceManager {
    from: UnixDatagram,
    to: SocketAddr,
}

impl ServiceManager {
    /// Opens the socket that `NOTIFY_SOCKET` names; `None` without one.
    ///
    /// # Errors
    /// The system's, or the variable names no socket.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        name.map(|name| Self::named(&name)).transpose()
    }

    /// Opens a socket: a path, or an abstract address that begins with `@`.
    fn named(name: &OsStr) -> io::Result<Self> {
        let from = UnixDatagram::unbound()?;
        // A manager that reads nothing must not block the service.
        from.set_nonblocking(true)?;
        let to = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => return Err(io::Error::other("neither a path nor an abstract address (@NAME)")),
        };
        Ok(Self { from, to })
    }

    /// Sends assignments, such as `READY=1`, one per line.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, states: &str) -> io::Result<()> {
        self.from.send_to_addr(states.as_bytes(), &self.to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(by: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = by.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_notification_arrives_at_a_path_and_at_an_abstract_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let name = format!("tegata-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let bound = [UnixDatagram::bind(&path), UnixDatagram::bind_addr(&address)];
        for (socket, name) in bound.into_iter().zip([path.into(), format!("@{name}").into()]) {
            let name: std::ffi::OsString = name;
            ServiceManager::named(&name).unwrap().send("READY=1\n").unwrap();
            assert_eq!(received(&socket.unwrap()), "READY=1\n");
        }
        assert!(ServiceManager::named(OsStr::new("relative")).is_err());
    }
}
