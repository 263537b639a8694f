//! A connection whose requests are held one after the other: it has the memory of one held
//! request, and none between two.

use super::{
    listener::{Handler, Held, Listener},
    pace::{STUCK, Slow},
    plain::PlainResponse,
    wire::Wire,
};
use bytes::Bytes;
use std::{
    io,
    mem::MaybeUninit,
    net::IpAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep_until, timeout},
};

/// Maximum length of the head of a request that is held here.
const LONGEST: usize = 4 * 1024;
/// Length of what is written at once.
const AT_ONCE: usize = 256 * 1024;

impl<H: Handler> Listener<H> {
    /// Whether what the peer has sent begins like a request that is held.
    pub(super) fn is_held(&self, ahead: &[u8]) -> bool {
        let of_get = ahead.strip_prefix(b"GET ");
        let path = self.handler.held().zip(of_get);
        path.is_some_and(|(path, it)| {
            it.strip_prefix(path.as_bytes()).is_some_and(|query| query.starts_with(b"?"))
        })
    }

    /// Responds to requests that are held, until the peer sends another one, which is put back
    /// then; `false` if the connection is to be closed.
    pub(super) async fn follow(&self, wire: &mut Wire, peer: IpAddr) -> bool {
        let mut idle = pin!(sleep_until(Instant::now() + self.idle));
        let mut stopped = pin!(self.stop.cancelled());
        loop {
            let held = tokio::select! {
                biased;
                held = std::future::poll_fn(|context| self.poll_held(wire, peer, context)) => held,
                () = &mut stopped => return false,
                () = &mut idle => return false,
                () = self.room.notified() => return false,
            };
            let held = match held {
                Ok(Some(held)) => held,
                Ok(None) => {
                    // It may have come while the last one was held.
                    wire.pace().bytes_came(Instant::now());
                    return true;
                }
                Err(_) => return false,
            };
            let under_way = wire.pace().begin(true, Instant::now());
            let response = tokio::select! {
                biased;
                response = held => response,
                () = wire.ended() => return false,
            };
            drop(under_way);
            let closes = self.stop.is_cancelled();
            let Ok(response) = response else { return false };
            match respond(wire, response, closes).await {
                Ok(()) if !closes => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return self.too_slow(Slow::Reading);
                }
                Ok(()) | Err(_) => return false,
            }
            idle.as_mut().reset(Instant::now() + self.idle);
        }
    }

    /// Takes the next request; `None`: the library must read it, and it was put back.
    fn poll_held(
        &self,
        wire: &mut Wire,
        peer: IpAddr,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Held<'_>>>> {
        // On the stack: a connection that waits has no buffer.
        let mut space = [const { MaybeUninit::uninit() }; LONGEST];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *wire).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let held = if wire.is_ahead() { None } else { self.handler.hold(bytes, peer) };
        if held.is_none() {
            wire.put_back(Bytes::copy_from_slice(bytes));
        }
        Poll::Ready(Ok(held))
    }
}

/// Sends a response.
async fn respond(wire: &mut Wire, response: PlainResponse, closes: bool) -> io::Result<()> {
    let (mut bytes, body) = response.end(closes);
    for part in body {
        bytes.extend_from_slice(&part);
        if bytes.len() >= AT_ONCE {
            timeout(STUCK, wire.write_all(&bytes)).await??;
            bytes.clear();
        }
    }
    timeout(STUCK, wire.write_all(&bytes)).await??;
    wire.flush().await
}
