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
/// Length of what is collected before it is written.
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

/// Sends a response. However long the whole takes, the peer must take some of it within each
/// [`STUCK`].
async fn respond(wire: &mut Wire, response: PlainResponse, closes: bool) -> io::Result<()> {
    let (mut bytes, body) = response.end(closes);
    for part in body {
        bytes.extend_from_slice(&part);
        if bytes.len() >= AT_ONCE {
            write(wire, &bytes).await?;
            bytes.clear();
        }
    }
    write(wire, &bytes).await?;
    // TLS has buffered the end of it, and a peer may never take that.
    timeout(STUCK, wire.flush()).await?
}

async fn write(wire: &mut Wire, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(STUCK, wire.write(bytes)).await?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

// These wait for the real time limit, each for itself.
#[cfg(test)]
mod tests {
    use super::super::{Tls, TlsFiles, listener::ServerResponse, pace::Pace, wire::Stream};
    use super::*;
    use crate::metrics::ConnectionCounts;
    use http::{Request, StatusCode};
    use hyper::{
        body::Incoming,
        server::conn::{http1, http2},
    };
    use hyper_util::rt::TokioExecutor;
    use prometheus_client::registry::Registry;
    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    use std::{net::Ipv4Addr, sync::Arc, time::Duration};
    use tokio::{
        io::{AsyncReadExt, AsyncWrite},
        net::{TcpListener, TcpStream, UnixStream},
        sync::Notify,
        time::sleep,
    };
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    const REQUEST: &[u8] = b"GET /feed/changes?x HTTP/1.1\r\nhost: x\r\n\r\n";
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Refuses each request with a few KiB, and notifies the test of it.
    struct Refuses {
        asked: Notify,
        counts: ConnectionCounts,
    }

    impl Handler for Refuses {
        async fn respond(&self, _: Request<Incoming>, _: IpAddr, _: Instant) -> ServerResponse {
            unreachable!("no request needs the library")
        }

        fn held(&self) -> Option<&'static str> {
            Some("/feed/changes")
        }

        fn hold(&self, bytes: &[u8], _: IpAddr) -> Option<Held<'_>> {
            assert_eq!(bytes, REQUEST);
            self.asked.notify_one();
            let refused =
                PlainResponse::new(StatusCode::UNAUTHORIZED, vec![vec![b'x'; 8_192].into()]);
            Some(Box::pin(async { Ok(refused) }))
        }

        fn counts(&self) -> &ConnectionCounts {
            &self.counts
        }
    }

    /// Follows a peer that sends one request after the other and reads nothing.
    async fn is_cut_off(stream: Stream, mut peer: impl AsyncWrite + Unpin) {
        let counts = ConnectionCounts::register(&mut Registry::default());
        let listener = Listener {
            handler: Refuses { asked: Notify::new(), counts },
            idle: Duration::from_secs(600),
            tls: None,
            room: Notify::new(),
            stop: CancellationToken::new(),
            http1: http1::Builder::new(),
            http2: http2::Builder::new(TokioExecutor::new()),
        };
        let mut wire = Wire::new(stream, Arc::new(Pace::new(Instant::now())));
        let asks = async {
            loop {
                peer.write_all(REQUEST).await.unwrap();
                peer.flush().await.unwrap();
                listener.handler.asked.notified().await;
            }
        };
        tokio::select! {
            goes_on = listener.follow(&mut wire, LOOPBACK) => assert!(!goes_on),
            () = asks => {}
            () = sleep(Duration::from_secs(60)) => panic!("it is not cut off"),
        }
        assert_eq!(listener.handler.counts.cut_reading.get(), 1);
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, peer)
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_cut_off() {
        let (stream, peer) = pair().await;
        is_cut_off(Stream::Plain(stream), peer).await;
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_through_tls_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = file("tls.crt", made.cert.pem());
        let key = file("tls.key", made.signing_key.serialize_pem());
        let tls = Tls::load(TlsFiles { certificate, key }).unwrap();
        let mut trusted = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap();
        trusted.add(root).unwrap();
        let client = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let (stream, peer) = pair().await;
        let acceptor = tls.acceptor();
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        let (stream, peer) = tokio::join!(acceptor.accept(stream), connector.connect(name, peer));
        is_cut_off(Stream::Tls(Box::new(stream.unwrap())), peer.unwrap()).await;
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_gets_the_whole_response() {
        let (stream, mut peer) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(Stream::Unix(stream), Arc::new(Pace::new(Instant::now())));
        let body = vec![b'x'; 11 * AT_ONCE];
        let length = body.len();
        let reads = async {
            let (mut read, mut piece) = (0, vec![0; AT_ONCE]);
            while read < length {
                sleep(Duration::from_secs(1)).await;
                read += peer.read(&mut piece).await?;
            }
            Ok(())
        };
        let began = Instant::now();
        let response = PlainResponse::new(StatusCode::OK, vec![body.into()]);
        tokio::try_join!(respond(&mut wire, response, false), reads).unwrap();
        assert!(began.elapsed() > STUCK, "it was not slow");
    }
}
