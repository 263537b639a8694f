//! The outages of the simulated authority.

use super::{
    random::Seeded,
    world::{DAY, LIFE, MONTH, Plan},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No response.
    Down,
    /// Responses take from 3 to 25 seconds; a client with a limit of ten gets some of them.
    Slow,
    /// 429, with or without `Retry-After`.
    LimitExceeded,
    /// 500, and the request may have taken effect.
    Broken,
    /// The request takes effect and the response is lost.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub from: i64,
    pub to: i64,
    pub kind: Kind,
}

/// The longest outage: a third of a token's lifetime.
const LONGEST: i64 = LIFE / 3;

/// Between two outages every target can be renewed once.
const CALM: i64 = 30 * 60;

pub fn schedule(jitter: &mut Seeded, plan: Plan) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut now = jitter.between(CALM, DAY);
    while now < MONTH {
        let kind = match (jitter.between(0, 5), plan) {
            (0 | 1, _) | (_, Plan::Line) => Kind::Down,
            (2, _) => Kind::Slow,
            (3, _) => Kind::LimitExceeded,
            (4, _) => Kind::Broken,
            _ => Kind::Lost,
        };
        // A restart is a short outage; some outages have the maximum length.
        let lasts = match jitter.between(0, 3) {
            0 => jitter.between(1, 90),
            1 => LONGEST,
            _ => jitter.between(90, LONGEST),
        };
        troubles.push(Trouble { from: now, to: now + lasts, kind });
        now += lasts + jitter.between(CALM, 2 * DAY);
    }
    troubles
}
