//! A proxy for TCP connections on the loopback that can cut them, hold their bytes back,
//! delay them, or spoil statements that a database shall not have.

use crate::{Problem, folder::locked, server::url};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Bytes wait, in both directions. New connections are accepted.
    Stalled,
    /// Connections are closed, new ones at once.
    Cut,
}

#[derive(Debug)]
struct State {
    /// The port that new connections lead to.
    to: u16,
    way: Way,
    delay: Duration,
    /// Both ends of every connection.
    ends: Vec<TcpStream>,
    over: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A proxy in front of a port.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port, and connects to `to`.
    pub fn start(to: u16) -> Result<Self, Problem> {
        Self::spoiling(to, &[])
    }

    /// As [`start`](Self::start); these words are spoilt on their way to the server, so that
    /// it refuses the statements that begin with them.
    pub fn spoiling(to: u16, words: &'static [&'static str]) -> Result<Self, Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let (delay, ends, over) = Default::default();
        let state = Mutex::new(State { to, way: Way::Open, delay, ends, over });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let serve = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if locked(&serve.state).over {
                    break;
                }
                serve.connect(client, words);
            }
        });
        Ok(Self { port, shared })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database through it.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Closes all connections, and every new one until it is open again.
    pub fn cut(&self) {
        self.shared.set(|state| {
            state.way = Way::Cut;
            close(state);
        });
    }

    /// Closes all connections; new ones are served.
    pub fn reset(&self) {
        self.shared.set(close);
    }

    /// Holds all bytes back until it is open again.
    pub fn stall(&self) {
        self.shared.set(|state| state.way = Way::Stalled);
    }

    /// Leads new connections to another port.
    pub fn lead_to(&self, port: u16) {
        self.shared.set(|state| state.to = port);
    }

    /// Delays every chunk of bytes, in both directions.
    pub fn delay(&self, by: Duration) {
        self.shared.set(|state| state.delay = by);
    }

    /// Passes everything on again, without delay.
    pub fn open(&self) {
        self.shared.set(|state| (state.way, state.delay) = (Way::Open, Duration::ZERO));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(|state| {
            (state.over, state.way) = (true, Way::Cut);
            close(state);
        });
        // So that the listener looks.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn close(state: &mut State) {
    for end in state.ends.drain(..) {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Replaces the last letter of a word wherever it occurs, so that the length stays.
fn spoil(bytes: &mut [u8], word: &[u8]) {
    let last = word.len() - 1;
    for at in 0..bytes.len().saturating_sub(last) {
        if bytes[at..].starts_with(word) {
            bytes[at + last] = b'_';
        }
    }
}

impl Shared {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut locked(&self.state));
        self.changed.notify_all();
    }

    fn connect(self: &Arc<Self>, client: TcpStream, words: &'static [&'static str]) {
        let (way, to) = {
            let state = locked(&self.state);
            (state.way, state.to)
        };
        if way == Way::Cut {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        for (from, to, words) in [(&client, &server, words), (&server, &client, &[][..])] {
            let (Ok(from), Ok(to), Ok(end)) = (from.try_clone(), to.try_clone(), from.try_clone())
            else {
                return;
            };
            locked(&self.state).ends.push(end);
            let shared = self.clone();
            thread::spawn(move || shared.pump(from, to, words));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, words: &[&str]) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let Some(delay) = self.may_pass() else { break };
            if !delay.is_zero() {
                thread::sleep(delay);
            }
            words.iter().for_each(|word| spoil(&mut bytes[..read], word.as_bytes()));
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Waits while bytes are held back; the delay, or `None`: the connections are cut.
    fn may_pass(&self) -> Option<Duration> {
        let stalled = |state: &mut State| state.way == Way::Stalled;
        let state = self.changed.wait_while(locked(&self.state), stalled);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.way == Way::Open).then_some(state.delay)
    }
}
