//! The agent's health: red as soon as a place where programs read a token holds none that
//! is active, yellow while a problem prevents renewal in time.

use super::{core::Core, watch::Freshness};
use serde::Serialize;
use tegata_token::time::UnixTime;

/// A health status, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Every token is active, and renewal works.
    Green,
    /// Every token is active, but there is a problem.
    Yellow,
    /// A token that programs use is not active.
    Red,
}

/// The response of `/healthz`. Holds no secret.
#[derive(Debug, Serialize)]
pub struct AgentHealth {
    /// The worst status of all below.
    pub status: Colour,
    /// The tokens that are renewed.
    pub tokens: Vec<TokenHealth>,
    /// The sinks.
    pub sinks: Vec<SinkHealth>,
    /// The tokens that are only watched.
    pub watched: Vec<TokenHealth>,
    /// Problems that concern all of them.
    pub warnings: Vec<String>,
}

/// The health of one token.
#[derive(Debug, Serialize)]
pub struct TokenHealth {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Colour,
    /// Seconds until it expires; `null` if no token is active.
    pub seconds_to_expiry: Option<i64>,
    /// The problem.
    pub problem: Option<String>,
}

/// The health of one sink.
#[derive(Debug, Serialize)]
pub struct SinkHealth {
    /// Its file, or its number.
    pub name: String,
    /// Its status.
    pub status: Colour,
    /// The problem.
    pub problem: Option<String>,
}

/// How far this machine's clock may differ before a problem is reported, in seconds.
const SKEW: i64 = 60;

/// A warning if this machine's clock is too many seconds ahead of the authority's.
#[must_use]
pub fn skew_warning(seconds: i64) -> Option<String> {
    let way = if seconds > 0 { "ahead of" } else { "behind" };
    let by = seconds.abs();
    (by > SKEW).then(|| {
        format!("{by} s {way} the authority's; set it, unless a development server's was moved")
    })
}

impl AgentHealth {
    /// The health of `core` at `now`.
    #[must_use]
    pub fn of(core: &Core, now: UnixTime) -> Self {
        let tokens: Vec<_> = core.targets().iter().map(|target| token(core, target, now)).collect();
        let sinks: Vec<_> = core.sinks().iter().map(|it| sink(it, now)).collect();
        let watched: Vec<_> = core.watched().iter().map(|it| watch(it, now)).collect();
        let mut warnings: Vec<String> = core.warnings().to_vec();
        warnings.extend(core.state_problem().map(str::to_owned));
        let clock = core.skew().and_then(skew_warning);
        let clock = clock.map(|warning| format!("this machine's clock is {warning}"));
        let is_dim = clock.is_some() || core.state_problem().is_some();
        warnings.extend(clock);
        let all = tokens.iter().chain(&watched).map(|it| it.status);
        let worst = all.chain(sinks.iter().map(|it| it.status)).max().unwrap_or(Colour::Green);
        let status = if is_dim { worst.max(Colour::Yellow) } else { worst };
        Self { status, tokens, sinks, watched, warnings }
    }
}

fn token(core: &Core, target: &super::target::Target, now: UnixTime) -> TokenHealth {
    let live = target.live(now);
    let problem = target.late.as_ref().or(target.problem.as_ref());
    let status = match (live, problem) {
        (Some(_), None) => Colour::Green,
        // Programs read its files, whose status is that of the sinks.
        (None, None) if core.has_sink(&target.name) => Colour::Yellow,
        (Some(_), Some(_)) => Colour::Yellow,
        (None, _) => Colour::Red,
    };
    TokenHealth {
        name: target.name.to_string(),
        status,
        seconds_to_expiry: live.map(|held| held.life.until.since(now)),
        problem: problem.cloned(),
    }
}

fn sink(sink: &super::sink::Sink, now: UnixTime) -> SinkHealth {
    let is_good = |token| sink.until(token).is_some_and(|until| now < until);
    let missing = sink.settings.tokens.iter().find(|token| !is_good(token));
    let status = match (missing, sink.problem()) {
        (None, None) => Colour::Green,
        (None, Some(_)) => Colour::Yellow,
        (Some(_), _) => Colour::Red,
    };
    let missing = missing.map(|token| format!("holds no active token {token}"));
    let problem = sink.problem().map(str::to_owned).or(missing);
    SinkHealth { name: sink.label.clone(), status, problem }
}

fn watch(watch: &super::watch::Watch, now: UnixTime) -> TokenHealth {
    let (status, problem) = match watch.verdict(now) {
        Freshness::Good => (Colour::Green, None),
        Freshness::Warning(why) => (Colour::Yellow, Some(why)),
        Freshness::Bad(why) => (Colour::Red, Some(why)),
    };
    let left = watch.until().map(|until| until.since(now)).filter(|left| *left > 0);
    let name = watch.settings.name.to_string();
    TokenHealth { name, status, seconds_to_expiry: left, problem }
}
