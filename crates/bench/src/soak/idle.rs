//! Memory of idle connections: those that never sent a byte, and those that sent one
//! request and stay open, over HTTP/1 and HTTP/2; and whether the server returns the
//! memory after they are closed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{Subject, verify};
use crate::authority::Asked;
use crate::channel::Channel;
use crate::report::{Aim, Report};
use crate::stopwatch;
use crate::wire::{Wire, request};

/// Number of connections, below the default maximum of 10,000.
const IDLE: usize = 9_900;
/// Maximum memory of an idle HTTP/1 connection, in KiB.
const EACH: f64 = 8.0;
/// Maximum ratio of the memory after they are closed to that before.
const COMES_BACK: Aim = Aim::AtMost(1.5);

pub(super) fn connections(
    subject: &Subject<'_>,
    channels: &[Channel],
    report: &mut Report,
) -> anyhow::Result<()> {
    let to = subject.authority.address;
    // From many channels, since each has a rate limit.
    let issue = |number: usize| Asked::Stateless(channels[number % channels.len()].clone());
    let token = subject.authority.tokens(&[issue(0)])?.remove(0);
    let verify = verify(to, &token);
    let each = Aim::AtMost(EACH);
    // Measured at once: the server closes them when the time for a first request is over.
    crowd(subject, report, "idle, nothing sent", each, false, |_| Ok(TcpStream::connect(to)?))?;
    crowd(subject, report, "idle after a verification", each, true, |_| once(to, &verify))?;
    crowd(subject, report, "idle after an issue", each, true, |at| {
        once(to, &issue(at).request(to))
    })?;
    let path = format!("/oauth2/v2.1/verify?access_token={token}");
    crowd(subject, report, "idle after a verification, HTTP/2", Aim::None, true, |_| {
        http2(to, &path)
    })
}

/// Opens the connections, measures, and closes them. With `settles` it waits until the
/// server has returned free memory.
fn crowd<C>(
    subject: &Subject<'_>,
    report: &mut Report,
    name: &str,
    aim: Aim,
    settles: bool,
    open: impl Fn(usize) -> anyhow::Result<C>,
) -> anyhow::Result<()> {
    let before = subject.settled()?;
    let began = stopwatch();
    let mut idle = Vec::with_capacity(IDLE);
    for number in 0..IDLE {
        idle.push(open(number).with_context(|| format!("connection {number}; see `ulimit -n`"))?);
    }
    let took = began.elapsed().as_secs_f64();
    let at_once = subject.resident()?;
    let at_rest = if settles { subject.settled()? } else { at_once };
    // The last ones may still be in the kernel's accept queue.
    let question = request(subject.authority.address, "GET", "/livez", &[], "");
    let began = stopwatch();
    let response = Wire::open(subject.authority.address)?.send(&question)?;
    ensure!(response.status == 200, "with {IDLE} idle connections: {response:?}");
    let waited = began.elapsed();
    drop(idle);
    let after = subject.settled()?;
    let each = (at_rest - before) * 1024.0 / IDLE as f64;
    let figures = [
        ("MiB before", before),
        ("with 9,900 just opened", at_once),
        ("with 9,900 at rest", at_rest),
        ("s to open", took),
        ("ms to the next response", waited.as_secs_f64() * 1e3),
    ];
    report.ratio(&format!("{name}: KiB each"), &[each], aim, &figures);
    report.ratio(
        &format!("{name}: after closing / before"),
        &[after / before],
        COMES_BACK,
        &[("MiB after closing", after)],
    );
    Ok(())
}

/// Sends one request over HTTP/1 and returns the open connection.
fn once(to: SocketAddr, question: &[u8]) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(to)?;
    let response = wire.send(question)?;
    ensure!(response.status == 200, "{response:?}");
    Ok(wire)
}

/// As `once`, over HTTP/2 (RFC 9113) in clear text with prior knowledge.
fn http2(to: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const STREAM: u32 = 1;
    let mut block = Vec::new();
    let to_text = to.to_string();
    for (name, value) in
        [(":method", "GET"), (":scheme", "http"), (":authority", &*to_text), (":path", path)]
    {
        // A literal that is not to be indexed, with a name of its own (RFC 7541, 6.2.2).
        block.push(0);
        literal(&mut block, name);
        literal(&mut block, value);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    frame(&mut bytes, HEADERS, END_STREAM | END_HEADERS, STREAM, &block);
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&bytes)?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length)?])?;
        let (kind, flags, of) = (head[3], head[4], &head[5..]);
        ensure!(kind != 7 && kind != 3, "the server closed the stream or the connection");
        if *of == STREAM.to_be_bytes() && flags & END_STREAM != 0 {
            return Ok(stream);
        }
    }
}

fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    to.extend(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes()[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

/// A string with its length before it (RFC 7541, sections 5.1 and 5.2).
fn literal(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap_or(0));
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or(0));
    }
    block.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_standard_writes_them() {
        let length = |of: usize| {
            let mut block = Vec::new();
            literal(&mut block, &"x".repeat(of));
            block.truncate(block.len() - of);
            block
        };
        assert_eq!(length(5), [5]);
        assert_eq!(length(126), [126]);
        assert_eq!(length(127), [127, 0]);
        // The standard's own example has a prefix of five bits; the rest is the same.
        assert_eq!(length(127 + 1306), [127, 154, 10]);
    }
}
