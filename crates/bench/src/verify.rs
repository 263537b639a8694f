//! Verifying a token in process, against one Ed25519 signature check of a message of
//! the token's length.
//!
//! All scenes are measured in one process, on the server's core, in rounds that cover
//! every scene in turn. `scenes.rs` builds the scenes from the token crate; this file
//! only measures them.

mod scenes;

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use serde_json::{Value, json};

use super::report::{Aim, Report};
use super::{Plan, baseline, median, stopwatch};

/// Number of tokens that each scene verifies in turn.
const IN_USE: usize = 10_000;
/// Number of signature checks and of cold verifications in one round; they are slow.
const SLOW: usize = 500;

const WARM: Aim = Aim::AtMost(1.0 / 30.0);
const COLD: Aim = Aim::AtMost(1.15);
/// Maximum slowdown with more tokens, or more revocations.
const FLAT: Aim = Aim::AtMost(1.5);

/// Describes a scene to be built.
pub(super) struct Spec {
    /// Tokens that are verified in turn, drawn evenly from all issued ones; with
    /// revocations, from the channels that have some.
    in_use: usize,
    /// Number of issued tokens; the serials of the channels add up to it.
    issued: u64,
    /// Channels over which tokens and revocations are spread evenly.
    channels: u64,
    /// Number of revocations in the view.
    revoked: u64,
}

/// Whether a token, in its wire form, is active.
type Verify = Box<dyn Fn(&[u8]) -> bool>;

/// A view with tokens to verify.
pub(super) struct Scene {
    /// The tokens to verify, in their wire form. All are active.
    tokens: Vec<Vec<u8>>,
    /// Length of the bytes that a token's signature covers.
    signed: usize,
    /// Verifies with the signature cache.
    warm: Verify,
    /// Verifies without a cache.
    cold: Verify,
}

/// Measures in a process on the server's core and compares with the aims.
pub(super) fn run(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let said = baseline::ask(&["verify-in-process", if plan.long { "301" } else { "41" }])?;
    let nanos = |name: &str| -> anyhow::Result<Vec<f64>> {
        let rounds = said[name].as_array().with_context(|| format!("no {name}"))?;
        rounds.iter().map(|n| n.as_f64().context("not a number")).collect()
    };
    let bare = nanos("bare")?;
    let few = nanos("warm")?;
    let mut line = |name: &str, ours: &[f64], against: &[f64], aim| {
        let ratios: Vec<f64> = ours.iter().zip(against).map(|(o, a)| o / a).collect();
        report.ratio(name, &ratios, aim, &[("ns", median(ours)), ("against ns", median(against))]);
    };
    line("warm / Ed25519 verification", &few, &bare, WARM);
    line("warm: 10 million issued / 10 thousand issued", &nanos("warm_issued")?, &few, FLAT);
    line("warm: 1 million revocations / none", &nanos("warm_revoked")?, &few, FLAT);
    line("cold / Ed25519 verification", &nanos("cold")?, &bare, COLD);
    Ok(())
}

/// Measures in this process. Returns nanoseconds per operation, for every round.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Value> {
    measure_scenes(rounds, IN_USE, scenes::build)
}

fn measure_scenes(
    rounds: usize,
    in_use: usize,
    build: impl Fn(&Spec) -> anyhow::Result<Scene>,
) -> anyhow::Result<Value> {
    let few = build(&Spec { in_use, issued: 10_000, channels: 1_000, revoked: 0 })?;
    let issued = build(&Spec { in_use, issued: 10_000_000, channels: 100_000, revoked: 0 })?;
    let revoked =
        build(&Spec { in_use, issued: 10_000_000, channels: 100_000, revoked: 1_000_000 })?;
    for (name, scene) in [("few", &few), ("issued", &issued), ("revoked", &revoked)] {
        ensure!(scene.tokens.len() == in_use, "{name}: {} tokens in use", scene.tokens.len());
        // Fills the cache, and proves that every token verifies.
        let active = scene.tokens.iter().filter(|t| (scene.warm)(t) && (scene.cold)(t)).count();
        ensure!(active == in_use, "{name}: only {active} of {in_use} tokens are active");
    }
    let bare = Signed::new(in_use, few.signed)?;

    let mut nanos: [Vec<f64>; 5] = Default::default();
    for round in 0..rounds {
        // Each round takes other tokens, so that all of them are covered.
        let slow: Vec<usize> = (0..SLOW.min(in_use)).map(|n| (round * SLOW + n) % in_use).collect();
        let warm = |scene: &Scene| each(0..in_use, |n| (scene.warm)(&scene.tokens[n]));
        let mut steps = [0, 1, 2, 3, 4];
        if round % 2 == 1 {
            steps.reverse();
        }
        for step in steps {
            nanos[step].push(match step {
                0 => each(slow.iter().copied(), |n| bare.verify(n)),
                1 => warm(&few),
                2 => warm(&issued),
                3 => warm(&revoked),
                _ => each(slow.iter().copied(), |n| (few.cold)(&few.tokens[n])),
            }?);
        }
    }
    let [bare, warm, warm_issued, warm_revoked, cold] = nanos;
    Ok(json!({
        "bare": bare, "warm": warm, "warm_issued": warm_issued, "warm_revoked": warm_revoked, "cold": cold,
    }))
}

/// Mean nanoseconds of `act` over the numbers; an error if it returns false for any.
fn each(
    numbers: impl ExactSizeIterator<Item = usize>,
    act: impl Fn(usize) -> bool,
) -> anyhow::Result<f64> {
    let count = numbers.len();
    let mut yes = 0;
    let began = stopwatch();
    for number in numbers {
        yes += usize::from(black_box(act(black_box(number))));
    }
    let took = began.elapsed();
    ensure!(yes == count, "an active token did not verify");
    Ok(took.as_nanos() as f64 / count as f64)
}

/// Messages with their signatures, and the key, parsed.
struct Signed {
    key: ParsedPublicKey,
    messages: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Signed {
    fn new(count: usize, length: usize) -> anyhow::Result<Self> {
        ensure!(length >= 8, "the signed part of a token is longer than {length} bytes");
        let pair = Ed25519KeyPair::generate().ok().context("making an Ed25519 key")?;
        let messages = (0..count).map(|number| {
            let mut message = vec![7; length];
            message[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let signature = pair.sign(&message).as_ref().to_vec();
            (message, signature)
        });
        Ok(Self {
            key: ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?,
            messages: messages.collect(),
        })
    }

    fn verify(&self, number: usize) -> bool {
        let (message, signature) = &self.messages[number];
        self.key.verify_sig(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;
    use std::rc::Rc;

    use super::*;

    /// A stand-in: signatures over the number, and a set of verified tokens.
    fn stand_in(spec: &Spec, invalid: Option<usize>) -> Scene {
        let signed = Rc::new(Signed::new(spec.in_use, 400).unwrap());
        let number = |token: &[u8]| usize::from_be_bytes(token.try_into().unwrap());
        let tokens = (0..spec.in_use).map(|n| n.to_be_bytes().to_vec()).collect();
        let checked = RefCell::new(HashSet::new());
        let for_cold = Rc::clone(&signed);
        Scene {
            tokens,
            signed: 400,
            warm: Box::new(move |token| {
                let known = checked.borrow().contains(token);
                known
                    || (signed.verify(number(token)) && checked.borrow_mut().insert(token.to_vec()))
            }),
            cold: Box::new(move |token| {
                invalid != Some(number(token)) && for_cold.verify(number(token))
            }),
        }
    }

    #[test]
    fn the_cache_saves_a_signature_check() {
        let said = measure_scenes(5, 200, |spec| Ok(stand_in(spec, None))).unwrap();
        let middle = |name: &str| {
            let rounds = said[name].as_array().unwrap().iter();
            median(&rounds.map(|n| n.as_f64().unwrap()).collect::<Vec<_>>())
        };
        assert!(middle("warm") < middle("bare") / 3.0, "{said}");
        assert!(middle("cold") > middle("bare") / 3.0, "{said}");
    }

    #[test]
    fn an_active_token_that_does_not_verify_is_an_error() {
        assert!(measure_scenes(1, 20, |spec| Ok(stand_in(spec, Some(7)))).is_err());
    }
}
