//! The hosts of an address, of which one is the primary server.

use super::bad_address::BadPostgresAddress;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_postgres::{
    Config,
    config::{Host, TargetSessionAttrs},
};

/// Maximum time until there is a TCP connection to an address of the only host, unless the address
/// names another one.
const TCP: Duration = Duration::from_secs(4);
/// Maximum time until a connection to the only host can be used.
const ONE: Duration = Duration::from_secs(8);
/// The same for each of several hosts, unless the address names another time: then the next one is
/// tried. A host that is off refuses nothing.
const ONE_OF_MANY: Duration = Duration::from_secs(2);

/// The hosts of an address.
#[derive(Clone)]
pub(super) struct Hosts {
    all: Vec<Config>,
    patience: Duration,
    /// The one that was connected last, which is tried first: else each connection would wait for
    /// the hosts before it that are off.
    last: Arc<AtomicUsize>,
}

impl Hosts {
    /// Those of an address. Of several, only one that accepts writes is used: a standby answers
    /// questions by what it had some time ago, with what was revoked since still active.
    ///
    /// # Errors
    /// The address has not one port for all hosts, nor one for each.
    pub fn of(address: &mut Config) -> Result<Self, BadPostgresAddress> {
        let (names, numbers) = (address.get_hosts().len(), address.get_hostaddrs().len());
        let (many, ports) = (names.max(numbers), address.get_ports().len());
        let last = Arc::default();
        let usual = if many > 1 { ONE_OF_MANY } else { TCP };
        let time = address.get_connect_timeout().copied().unwrap_or(usual);
        address.connect_timeout(time);
        if many <= 1 {
            return Ok(Self { all: vec![address.clone()], patience: ONE, last });
        }
        if ports > 1 && ports != many || names > 0 && numbers > 0 && names != numbers {
            let why = format!("it names {names} hosts, {numbers} addresses and {ports} ports");
            return Err(BadPostgresAddress::Form(why));
        }
        address.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let all = (0..many).map(|nth| one_of(address, nth)).collect();
        Ok(Self { all, patience: time, last })
    }

    /// All, with their numbers, in the order in which they are to be tried.
    pub fn in_turn(&self) -> impl Iterator<Item = (usize, &Config)> {
        let first = self.last.load(Ordering::Relaxed) % self.all.len();
        let (before, from) = self.all.split_at(first);
        let numbers = (first..self.all.len()).chain(0..first);
        numbers.zip(from.iter().chain(before))
    }

    /// Maximum time until a connection to one of them can be used.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Notes that the one of that number was connected.
    pub fn answered(&self, nth: usize) {
        self.last.store(nth, Ordering::Relaxed);
    }
}

/// What an address says of one of its hosts.
fn one_of(address: &Config, nth: usize) -> Config {
    let mut one = Config::new();
    // What it may say, as it says it.
    macro_rules! copy {
        ($($set:ident: $said:expr),+ $(,)?) => { $(if let Some(it) = $said { one.$set(it); })+ };
    }
    let (name, folder) = match address.get_hosts().get(nth) {
        Some(Host::Tcp(name)) => (Some(name), None),
        Some(Host::Unix(folder)) => (None, Some(folder)),
        None => (None, None),
    };
    let ports = address.get_ports();
    copy! {
        host: name,
        host_path: folder,
        hostaddr: address.get_hostaddrs().get(nth).copied(),
        port: ports.get(nth).or(ports.first()).copied(),
        user: address.get_user(),
        password: address.get_password(),
        dbname: address.get_dbname(),
        options: address.get_options(),
        application_name: address.get_application_name(),
        connect_timeout: address.get_connect_timeout().copied(),
        tcp_user_timeout: address.get_tcp_user_timeout().copied(),
        keepalives_interval: address.get_keepalives_interval(),
        keepalives_retries: address.get_keepalives_retries(),
    }
    one.keepalives(address.get_keepalives())
        .keepalives_idle(address.get_keepalives_idle())
        .ssl_mode(address.get_ssl_mode())
        .ssl_negotiation(address.get_ssl_negotiation())
        .channel_binding(address.get_channel_binding())
        .target_session_attrs(address.get_target_session_attrs());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> (Config, Hosts) {
        let mut config = url.parse().unwrap();
        let hosts = Hosts::of(&mut config).unwrap();
        (config, hosts)
    }

    #[test]
    fn of_several_hosts_each_is_tried_as_the_address_says_and_the_last_that_answered_is_first() {
        let url = "postgres://me:secret@a:1,[::1]:2,%2Frun:3/t?application_name=x&options=-c%20a=b";
        let (all, hosts) = of(url);
        let parts = ["postgres://me:secret@a:1/t", "postgres://me:secret@[::1]:2/t"];
        let parts = [parts[0], parts[1], "postgres://me:secret@%2Frun:3/t"];
        for (part, (_, one)) in parts.iter().zip(hosts.in_turn()) {
            let mut expected: Config = part.parse().unwrap();
            expected.application_name("x").options("-c a=b").connect_timeout(ONE_OF_MANY);
            expected.target_session_attrs(TargetSessionAttrs::ReadWrite);
            assert_eq!(*one, expected);
        }
        assert_eq!(all.get_hosts().len(), 3);
        let order = |it: &Hosts| it.in_turn().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(order(&hosts), [0, 1, 2]);
        hosts.clone().answered(1);
        assert_eq!(order(&hosts), [1, 2, 0], "of all that connect to the address");
    }

    #[test]
    fn only_a_host_that_accepts_writes_is_used_if_there_are_several() {
        for more in ["", "?target_session_attrs=any", "?target_session_attrs=read-only"] {
            let (_, hosts) = of(&format!("postgres://me@a,b/t{more}"));
            let writes = |it: &Config| it.get_target_session_attrs();
            assert!(hosts.in_turn().all(|it| writes(it.1) == TargetSessionAttrs::ReadWrite));
        }
        assert_eq!(of("postgres://me@a,b/t?connect_timeout=5").1.patience().as_secs(), 5);
        let (_, one) = of("postgres://me@a/t");
        assert_eq!(one.patience(), ONE);
        assert!(one.in_turn().all(|it| it.1.get_connect_timeout() == Some(&TCP)));
        let mut bad: Config = "postgres://me@a,b,c/t?port=7".parse().unwrap();
        assert!(Hosts::of(&mut bad).is_err());
    }
}
