//! The follower's state machine over bare connections: as little of the processor as a
//! follower can use, so that the authority's side is what is measured.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use tegata_token::feed::{InstanceId, OnStale};
use tegata_verifier::follower::{Follower, Received, Request};
use tegata_verifier::standing::Use;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{answer, clocks};

type Shared = Arc<Mutex<Follower>>;

fn lock(follower: &Shared) -> MutexGuard<'_, Follower> {
    follower.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn run(
    to: SocketAddr,
    token: &str,
    staleness: Duration,
    count: usize,
) -> anyhow::Result<()> {
    let wanted = Use { staleness, on_stale: OnStale::Deny };
    let random = SystemRandom::new();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).ok().context("no random bytes")?;
        let follower = Follower::new(InstanceId::from_random(bytes), wanted, clocks().steady);
        all.push(Arc::new(Mutex::new(follower)));
    }
    let (followers, token) = (all.clone(), token.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            for follower in followers {
                tokio::spawn(follow(follower, to, token.clone()));
            }
            std::future::pending::<()>().await;
        });
    });
    answer(|words| {
        let now = clocks().steady;
        let ages = all.iter().filter_map(|it| lock(it).standing().age(now));
        match words {
            ["younger", ms] => {
                let limit = Duration::from_millis(ms.parse().unwrap_or(0));
                ages.filter(|age| *age <= limit).count().to_string()
            }
            _ => "-1".to_owned(),
        }
    })
}

async fn follow(follower: Shared, to: SocketAddr, token: String) {
    let random = SystemRandom::new();
    let unit = || {
        let mut bytes = [0; 4];
        let _ = random.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / 4_294_967_296.0
    };
    let mut connection = None;
    loop {
        let next = lock(&follower).next(clocks(), unit());
        let Some(request) = next.requests.first() else {
            sleep(next.wait.max(Duration::from_millis(1))).await;
            continue;
        };
        let exchanged = timeout(next.wait, exchange(&mut connection, to, &token, request)).await;
        let response = exchanged.ok().and_then(Result::ok);
        let received = response.as_ref().map_or(Received::Failed, |it| Received::Response {
            status: it.status,
            retry_after: it.retry_after,
            body: &it.body,
        });
        if response.is_none() {
            connection = None;
        }
        lock(&follower).receive(request.id, &received, clocks(), unit());
    }
}

struct Response {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

async fn exchange(
    connection: &mut Option<TcpStream>,
    to: SocketAddr,
    token: &str,
    request: &Request,
) -> anyhow::Result<Response> {
    if connection.is_none() {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        *connection = Some(stream);
    }
    let stream = connection.as_mut().context("no connection")?;
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request.query.iter().map(|(name, value)| (name, value)))
        .finish();
    let path = request.path;
    let head = format!(
        "GET {path}?{query} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "closed");
        let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&bytes[..end])?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let header = |wanted: &str| {
            head.lines().filter_map(|it| it.split_once(": ")).find_map(|(name, value)| {
                name.eq_ignore_ascii_case(wanted).then(|| value.parse::<usize>().ok())?
            })
        };
        let length = header("content-length").context("no length")?;
        let retry_after = header("retry-after").map(|it| Duration::from_secs(it as u64));
        let mut body = bytes.split_off(end + 4);
        let has = body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[has..]).await?;
        return Ok(Response { status, retry_after, body });
    }
}
