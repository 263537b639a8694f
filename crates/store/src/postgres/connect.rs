//! Connections to the database: their address, TLS, and the task that reads each.

use super::{
    bad_address::BadPostgresAddress,
    failed::{Failed, within},
    hosts::Hosts,
    tls,
    warning::Warning,
};
use std::{
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_postgres::{
    AsyncMessage, Config, Socket,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The driver's connection, on which statements are pipelined.
pub(super) type Client = tokio_postgres::Client;

/// What reads from and writes to the database for it.
type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Called with the channel and the text of each notification that a connection gets.
pub(super) type Bell = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Maximum time until a connection can be used.
const CONNECT: Duration = Duration::from_secs(4);

/// Where the database is, and how it is reached. Its password is never shown.
#[derive(Clone)]
pub(super) struct Address {
    /// All that it says.
    config: Config,
    hosts: Hosts,
    tls: MakeRustlsConnect,
}

impl Address {
    /// Reads an address: as libpq's, with `sslmode` and `sslrootcert`.
    ///
    /// # Errors
    /// [`BadPostgresAddress`].
    pub fn parse(url: &str) -> Result<Self, BadPostgresAddress> {
        let (url, mode, root) = tls::take_settings(url);
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| BadPostgresAddress::Form(cause(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BadPostgresAddress::Form("it names no host".into()));
        }
        if config.get_ssl_mode() != Config::new().get_ssl_mode() {
            // It is not read as it was meant, and must not become another one without a word.
            let why =
                "its sslmode cannot be found: write @, / and ? of a password as %40, %2F and %3F";
            return Err(BadPostgresAddress::Form(why.into()));
        }
        let mode = mode.as_deref().unwrap_or("prefer");
        config.ssl_mode(match mode {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            other => return Err(BadPostgresAddress::SslMode(other.into())),
        });
        let tls = tls::connector(mode, root.as_deref())?;
        if config.get_application_name().is_none() {
            config.application_name("tegata");
        }
        // A peer that is gone without a word is noticed even where no timer of ours runs.
        config.keepalives_idle(Duration::from_secs(5));
        config.keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(10));
        let hosts = Hosts::of(&mut config)?;
        Ok(Self { config, hosts, tls })
    }

    /// Tries to connect; returns what the driver says why it cannot, if it says so in time: of
    /// several hosts, what the database at one of them answers rather than that one is silent.
    pub async fn refusal(&self) -> Option<tokio_postgres::Error> {
        let mut refusal: Option<tokio_postgres::Error> = None;
        for (_, host) in self.hosts.in_turn() {
            let tried = tokio::time::timeout(CONNECT, host.connect(self.tls.clone())).await;
            match tried {
                Ok(Ok(_)) => return None,
                Ok(Err(error)) if refusal.as_ref().is_none_or(|it| it.code().is_none()) => {
                    refusal = Some(error);
                }
                _ => {}
            }
        }
        refusal
    }

    /// Opens the first connection of a start or of a command, for an operator: an error names the
    /// address. Those of a running server do not, since `/readyz` shows them to everyone.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_first(&self) -> Result<Conn, Failed> {
        self.connect(None).await.map_err(|failed| match failed {
            Failed::Unavailable(why) => Failed::unavailable(format!("{why} (at {self})")),
            other => other,
        })
    }

    /// Opens a connection, whose notifications ring `bell`.
    ///
    /// # Errors
    /// The database cannot be reached, or refuses.
    pub async fn connect(&self, bell: Option<Bell>) -> Result<Conn, Failed> {
        let mut failed: Option<Failed> = None;
        for (nth, host) in self.hosts.in_turn() {
            match within(self.hosts.patience(), host.connect(self.tls.clone())).await {
                Ok((client, connection)) => {
                    self.hosts.answered(nth);
                    return Ok(self.serve(client, connection, bell));
                }
                Err(why) => {
                    failed = Some(match failed {
                        Some(before) => Failed::unavailable(format!("{before}; {why}")),
                        None => why,
                    });
                }
            }
        }
        Err(failed.unwrap_or_else(|| Failed::unavailable("the address names no host")))
    }

    /// Starts the task that reads a connection.
    fn serve(&self, client: Client, mut connection: Connection, bell: Option<Bell>) -> Conn {
        let warnings = Arc::new(AtomicU64::new(0));
        let counter = warnings.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        let found = Warning::of(&notice);
                        if found.is_some_and(|it| it.is_about_a_standby()) {
                            counter.fetch_add(1, Ordering::SeqCst);
                        }
                        if found.is_some() {
                            tracing::warn!(message = notice.message(), "the database warns");
                        }
                    }
                    Ok(AsyncMessage::Notification(it)) => {
                        bell.iter().for_each(|bell| bell(it.channel(), it.payload()));
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        Conn { client, warnings, task, tls: self.tls.clone() }
    }
}

/// The hosts and their ports, and nothing else.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        });
        let mut names: Vec<_> = names.collect();
        if names.is_empty() {
            names.extend(self.config.get_hostaddrs().iter().map(ToString::to_string));
        }
        let ports = self.config.get_ports();
        for (nth, name) in names.iter().enumerate() {
            // One port is that of all hosts.
            let port = ports.get(nth).or(ports.first()).unwrap_or(&5432);
            let comma = if nth > 0 { ", " } else { "" };
            match name.contains(':') {
                true => write!(f, "{comma}[{name}]:{port}")?,
                false => write!(f, "{comma}{name}:{port}")?,
            }
        }
        Ok(())
    }
}

/// What may be shown of an address: the database's name, and its hosts.
///
/// # Errors
/// It cannot be used.
pub fn name_of_database(address: &str) -> Result<String, BadPostgresAddress> {
    let address = Address::parse(address)?;
    // As libpq: the user's name, if the address has none.
    let name = address.config.get_dbname().or(address.config.get_user()).unwrap_or_default();
    Ok(format!("{name} at {address}"))
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// An open connection. Dropped, it is closed, and what runs on it is rolled back unless it is being
/// committed.
pub(super) struct Conn {
    pub client: Client,
    warnings: Arc<AtomicU64>,
    task: JoinHandle<()>,
    tls: MakeRustlsConnect,
}

impl Conn {
    /// How many warnings about standbys the server has sent: one that comes with a COMMIT says that
    /// it is not known to be replicated.
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::SeqCst)
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.task.is_finished()
    }

    /// Closes it, and ends the statement that runs on it. The database does not notice that a
    /// connection is closed while a statement waits for a lock or for a standby: each one that was
    /// given up would count against `max_connections` for as long as it waits.
    ///
    /// What waits for a standby is committed then, and others see it although no standby has it. So
    /// this is not for the COMMIT of an act.
    pub async fn give_up(self) {
        if !self.is_closed() {
            let token = self.client.cancel_token();
            // A database that does not answer is not to be waited for.
            let _ = within(CONNECT, token.cancel_query(self.tls.clone())).await;
        }
    }
}

/// Closes a connection and ends the statement that runs on it, without waiting for that.
pub(super) fn give_up(conn: &mut Option<Conn>) {
    if let Some(conn) = conn.take() {
        tokio::spawn(conn.give_up());
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::ops::Deref for Conn {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn an_address_is_shown_as_its_hosts_and_ports_without_a_password() {
        for (url, shown) in [
            ("postgres://me:secret@db.example/tegata", "db.example:5432"),
            ("postgres://me:secret@a:1,b:2/tegata", "a:1, b:2"),
            ("postgres://me:secret@[::1]:7/tegata", "[::1]:7"),
            ("postgres://me:secret@%2Frun%2Fpostgresql/tegata", "/run/postgresql:5432"),
        ] {
            assert_eq!(Address::parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn tls_that_an_address_demands_is_demanded_whatever_its_password_holds() {
        let parse = |url: &str| Address::parse(url).map(|it| it.config.get_ssl_mode());
        for password in ["ab", "a?b", "a/b?c"] {
            let url = format!("postgres://me:{password}@db/t?sslmode=require");
            assert_eq!(parse(&url).unwrap(), SslMode::Require, "{password}");
        }
        // The driver and this program would read it differently.
        let why = parse("postgres://me@db/t?options=a&ssl%6Dode=require").unwrap_err();
        assert!(why.to_string().contains("its sslmode cannot be found"), "{why}");
    }

    /// The addresses in a text, as it is written in documents, in files of settings and in commands.
    fn addresses(text: &str) -> Vec<String> {
        let begins = text.match_indices("postgres://").map(|(at, _)| &text[at..]);
        let ends = |it: char| it.is_whitespace() || "'\"`,)…".contains(it);
        let found = begins.filter_map(|it| it.split(ends).next());
        found.filter(|it| *it != "postgres://").map(str::to_owned).collect()
    }

    /// The addresses in the files of a folder.
    fn in_folder(folder: &Path, all: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                in_folder(&path, all);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.display().to_string();
                all.extend(addresses(&text).into_iter().map(|it| (name.clone(), it)));
            }
        }
    }

    #[test]
    fn every_address_of_the_book_and_of_what_is_shipped_can_be_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut all = Vec::new();
        for folder in ["docs", "packaging"] {
            in_folder(&root.join(folder), &mut all);
        }
        assert!(all.iter().any(|(_, it)| it.contains("verify-full")), "{all:?}");
        for (file, address) in all {
            match Address::parse(&address) {
                // The certificate is on the reader's machine.
                Ok(_) | Err(BadPostgresAddress::RootCertificate(..)) => {}
                Err(why) => panic!("{file}: {address}: {why}"),
            }
        }
    }
}
