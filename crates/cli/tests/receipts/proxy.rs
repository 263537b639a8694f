//! A proxy between followers and the authority that can delay responses, or swallow what
//! passes: connections stay open, and nothing arrives.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

struct State {
    to: Mutex<SocketAddr>,
    swallows: AtomicBool,
    delay: Mutex<Duration>,
}

pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    work: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (swallows, delay) = (AtomicBool::new(false), Mutex::default());
        let state = Arc::new(State { to: Mutex::new(to), swallows, delay });
        let shared = state.clone();
        let work = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, shared.clone()));
            }
        });
        Self { address, state, work }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn swallow(&self, swallows: bool) {
        self.state.swallows.store(swallows, SeqCst);
    }

    /// Every part of a response arrives so much later.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// New connections go there.
    pub fn point_at(&self, to: SocketAddr) {
        *self.state.to.lock().unwrap() = to;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn connection(near: TcpStream, state: Arc<State>) {
    let to = *state.to.lock().unwrap();
    let Ok(far) = TcpStream::connect(to).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let none = Mutex::default();
    tokio::join!(
        pass(near_in, far_out, &state, &none),
        pass(far_in, near_out, &state, &state.delay)
    );
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    state: &State,
    delay: &Mutex<Duration>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let delay = *delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        if !state.swallows.load(SeqCst) && to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // A side that closes while nothing passes leaves the other one waiting.
    if !state.swallows.load(SeqCst) {
        let _ = to.shutdown().await;
    }
}
