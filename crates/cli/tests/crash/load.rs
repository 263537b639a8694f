//! Clients that send requests without a pause, and record each response.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::ledger::{Ledger, Trouble};
use crate::process::http::Connection;
use crate::random::Rng;

/// The clients of one server, until it or they stop.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    clients: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(
        address: SocketAddr,
        ledger: Ledger,
        clients: usize,
        rng: &mut Rng,
    ) -> Self {
        let ledger = Arc::new(Mutex::new(ledger));
        let clients = (0..clients).map(|_| client(address, ledger.clone(), rng.fork()));
        Self { clients: clients.collect(), ledger }
    }

    /// The ledger so far.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.ledger.lock().expect("no client has failed"))
    }

    /// Waits until all clients have stopped, each after its last response or when the server
    /// was gone.
    pub(crate) async fn join(mut self) -> Ledger {
        while let Some(ended) = self.clients.join_next().await {
            if let Err(panic) = ended {
                std::panic::resume_unwind(panic.into_panic());
            }
        }
        let ledger = Arc::into_inner(self.ledger).expect("all clients have ended");
        ledger.into_inner().expect("no client has failed")
    }
}

async fn client(address: SocketAddr, ledger: Arc<Mutex<Ledger>>, mut rng: Rng) {
    let enter = || ledger.lock().expect("no other client has failed");
    let mut kept = None;
    loop {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(address).await {
                Ok(connection) => connection,
                Err(error) => {
                    assert!(enter().trouble != Trouble::None, "cannot connect: {error}");
                    return;
                }
            },
        };
        let Some((act, request)) = enter().begin(&mut rng) else { return };
        let sent = connection.send(request.bytes()).await.is_ok();
        let response = if sent { connection.response().await.ok() } else { None };
        enter().end(act, sent, response.as_ref());
        if response.is_some() && !connection.is_closing() {
            kept = Some(connection);
        }
    }
}
