//! When the authority is in trouble, and in which.

use super::{
    random::Seeded,
    world::{DAY, LIFE, MONTH, Plan},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nobody answers.
    Down,
    /// Answers take from 3 to 25 seconds; who waits for no more than ten has none.
    Slow,
    /// 429, with or without `Retry-After`.
    TooFast,
    /// 500, the act done or not.
    Broken,
    /// The act is done and the answer lost.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub from: i64,
    pub to: i64,
    pub kind: Kind,
}

/// The longest trouble: a third of a token's life.
const LONGEST: i64 = LIFE / 3;

/// Between two troubles everybody can be served once.
const CALM: i64 = 30 * 60;

pub fn schedule(jitter: &mut Seeded, plan: Plan) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut now = jitter.between(CALM, DAY);
    while now < MONTH {
        let kind = match (jitter.between(0, 5), plan) {
            (0 | 1, _) | (_, Plan::Line) => Kind::Down,
            (2, _) => Kind::Slow,
            (3, _) => Kind::TooFast,
            (4, _) => Kind::Broken,
            _ => Kind::Lost,
        };
        // A restart is a short one; some are as long as they may be.
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
