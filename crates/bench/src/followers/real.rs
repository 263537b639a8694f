//! Whole verifiers, each with its HTTP client, and verifications of one token by all of them
//! in turn.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tegata_token::feed::OnStale;
use tegata_verifier::standing::Use;
use tegata_verifier::{FollowSettings, TokenVerifier};

use super::{answer, stopwatch};

/// What became of the verifications since the last question.
#[derive(Default)]
struct Verified {
    nanos: Vec<u64>,
    /// Number of tokens that were not accepted.
    refused: u64,
    /// Why, and how often.
    reasons: BTreeMap<String, u64>,
}

pub(super) fn run(
    to: SocketAddr,
    token: &str,
    staleness: Duration,
    count: usize,
) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut settings = FollowSettings::new(format!("http://{to}/").parse()?, token)?;
    settings.wanted = Use { staleness, on_stale: OnStale::Deny };
    settings.cached_tokens = 16;
    let all = runtime.block_on(async {
        (0..count).map(|_| TokenVerifier::start(settings.clone())).collect::<Result<Vec<_>, _>>()
    })?;
    let verified: Arc<Mutex<Verified>> = Arc::default();
    let wanted: Arc<Mutex<Option<String>>> = Arc::default();
    let (verifiers, shared, token) = (all.clone(), verified.clone(), wanted.clone());
    let handle = runtime.handle().clone();
    std::thread::spawn(move || {
        for verifier in verifiers.iter().cycle() {
            let token = token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(token) = token else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let began = stopwatch();
            let result = handle.block_on(verifier.verify(token.as_bytes()));
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let mut verified = shared.lock().unwrap_or_else(PoisonError::into_inner);
            verified.nanos.push(nanos);
            if let Err(why) = result {
                let (age, why) = (verifier.health().age, why.to_string());
                // Without the age, which differs each time.
                let why = why.split("the view is").next().unwrap_or_default();
                let early = if age.is_some_and(|it| it <= staleness) { ", too early" } else { "" };
                verified.refused += 1;
                *verified.reasons.entry(format!("{why}{early}")).or_default() += 1;
            }
            drop(verified);
            std::thread::sleep(Duration::from_micros(500));
        }
    });
    answer(|words| match words {
        ["younger", ms] => {
            let limit = Duration::from_millis(ms.parse().unwrap_or(0));
            let young = |it: &&TokenVerifier| it.health().age.is_some_and(|age| age <= limit);
            all.iter().filter(young).count().to_string()
        }
        ["verify", token] => {
            *wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some((*token).to_owned());
            "0".to_owned()
        }
        // Number, p50 and p99 in nanoseconds, refused. The reasons go to the log of the run.
        _ => {
            let mut verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            let mut it = std::mem::take(&mut *verified);
            it.nanos.sort_unstable();
            let of = |part: usize| it.nanos.get(it.nanos.len() * part / 100).copied().unwrap_or(0);
            let (n, p50, p99) = (it.nanos.len(), of(50), of(99));
            if it.refused > 0 {
                eprintln!("refused: {:?}", it.reasons);
            }
            format!("{n} {p50} {p99} {}", it.refused)
        }
    })
}
