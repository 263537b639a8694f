//! PgBouncer, which gives each transaction of a client another connection.

use crate::{
    Problem,
    folder::{Folder, ReservedPort, until},
    server::url,
};
use std::{fs, net::TcpStream, path::Path};

/// A running PgBouncer in transaction mode.
#[derive(Debug)]
pub struct Pooler {
    folder: Folder,
    port: ReservedPort,
}

impl Pooler {
    /// Starts one in front of all databases of the server on the port `behind`, with at most
    /// `size` connections to each.
    pub fn start(behind: u16, size: u32) -> Result<Self, Problem> {
        let folder = Folder::new()?;
        let port = ReservedPort::new()?;
        let number = port.number();
        let path = folder.path().display();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={behind}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {number}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {path}/users\npool_mode = transaction\n\
             default_pool_size = {size}\nmax_client_conn = 2000\nmax_db_connections = {size}\n\
             ignore_startup_parameters = extra_float_digits,options,statement_timeout,lock_timeout\n\
             server_idle_timeout = 2\n"
        );
        let path = folder.path();
        let file = path.join("pgbouncer.ini");
        fs::write(&file, settings).map_err(|error| error.to_string())?;
        fs::write(path.join("users"), "\"tegata\" \"\"\n").map_err(|error| error.to_string())?;
        // Debian's are in a folder that only root has in its PATH.
        let debian = Path::new("/usr/sbin/pgbouncer");
        let program = if debian.exists() { debian } else { Path::new("pgbouncer") };
        folder
            .spawn(folder.command(program).arg(&file), "log")
            .map_err(|problem| format!("{problem}; `cargo xtask setup` installs it"))?;
        let ready = until(|| {
            let is_ready = TcpStream::connect(("127.0.0.1", number)).is_ok();
            (is_ready || folder.any_ended()).then_some(is_ready)
        });
        if ready == Some(true) {
            return Ok(Self { folder, port });
        }
        Err(format!(
            "pgbouncer did not start; `cargo xtask setup` installs it\n{}",
            folder.log("log")
        ))
    }

    /// The address of a database through it.
    pub fn url(&self, database: &str) -> String {
        url(self.port(), database)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        self.folder.log("log")
    }
}
