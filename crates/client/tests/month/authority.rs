//! A simulated authority, as the agent sees it: tokens, groups, caps and the
//! `Idempotency-Key`; or LINE, without groups and the key.

use super::{
    random::Seeded,
    trouble::{Kind, Trouble},
    world::{LIFE, Plan},
};
use std::collections::HashMap;
use tegata_client::{
    Failure,
    agent::target::{TargetRequest, TargetResponse},
    call::{TokenResponse, Verified},
    wanted::Wanted,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::id::ChannelId;

pub struct Token {
    pub target: usize,
    channel: ChannelId,
    pub until: i64,
    pub ended: bool,
}

impl Token {
    pub fn is_good(&self, now: i64) -> bool {
        !self.ended && now < self.until
    }
}

pub struct Authority {
    plan: Plan,
    jitter: Seeded,
    troubles: Vec<Trouble>,
    /// A token's text is its index in here.
    pub tokens: Vec<Token>,
    keys: HashMap<String, usize>,
    /// Changes whenever a token is issued or revoked.
    pub version: u64,
}

impl Authority {
    pub fn new(plan: Plan, jitter: Seeded, troubles: Vec<Trouble>) -> Self {
        Self { plan, jitter, troubles, tokens: Vec::new(), keys: HashMap::new(), version: 0 }
    }

    /// The result of a request that is sent now, and its delay in seconds.
    pub fn respond(
        &mut self,
        now: i64,
        target: usize,
        wanted: &Wanted,
        act: &TargetRequest,
    ) -> (i64, TargetResponse) {
        let trouble = self.troubles.iter().find(|it| it.from <= now && now < it.to);
        let broken = || Failure::Unavailable {
            from: String::new(),
            why: "no response".to_owned(),
            retry_after: None,
        };
        let failed = |failure| match act {
            TargetRequest::Issue { .. } => TargetResponse::TokenResponse(Err(failure)),
            TargetRequest::Verify(_) => TargetResponse::Verified(Err(failure)),
            TargetRequest::Retire(_) => TargetResponse::Retired(Err(failure)),
        };
        match trouble.map(|it| it.kind) {
            Some(Kind::Down) => (self.jitter.between(0, 10), failed(broken())),
            Some(Kind::LimitExceeded) => {
                let seconds = self.jitter.between(0, 300);
                let retry_after = u64::try_from(seconds).ok().filter(|it| *it < 200);
                (0, failed(Failure::LimitExceeded { retry_after }))
            }
            Some(Kind::Broken) => {
                if self.jitter.one_in(2) {
                    self.carry_out(now, target, wanted, act);
                }
                (0, failed(broken()))
            }
            Some(Kind::Lost) => {
                self.carry_out(now, target, wanted, act);
                (self.jitter.between(0, 10), failed(broken()))
            }
            Some(Kind::Slow) => {
                let takes = self.jitter.between(3, 25);
                let outcome = self.carry_out(now, target, wanted, act);
                if takes > 10 { (10, failed(broken())) } else { (takes, outcome) }
            }
            None => (self.jitter.between(0, 1), self.carry_out(now, target, wanted, act)),
        }
    }

    fn carry_out(
        &mut self,
        now: i64,
        target: usize,
        wanted: &Wanted,
        act: &TargetRequest,
    ) -> TargetResponse {
        match act {
            TargetRequest::Issue { key } => {
                TargetResponse::TokenResponse(self.issue(now, target, wanted, key))
            }
            TargetRequest::Verify(token) => {
                let token = &self.tokens[number(token)];
                let verified = Verified {
                    client_id: token.channel.to_string(),
                    expires_in: token.until - now,
                    scope: None,
                };
                TargetResponse::Verified(if token.is_good(now) {
                    Ok(verified)
                } else {
                    Err(denied(400))
                })
            }
            TargetRequest::Retire(token) => {
                self.tokens[number(token)].ended = true;
                self.version += 1;
                TargetResponse::Retired(Ok(()))
            }
        }
    }

    fn issue(
        &mut self,
        now: i64,
        target: usize,
        wanted: &Wanted,
        key: &str,
    ) -> Result<TokenResponse, Failure> {
        let issued = |number: usize, until| TokenResponse {
            token: PlainSecret::from_caller(number.to_string()),
            expires_in: until - now,
            key_id: None,
        };
        if let Some(&number) = self.keys.get(key)
            && self.plan == Plan::Tegata
        {
            let token = &self.tokens[number];
            return if token.is_good(now) {
                Ok(issued(number, token.until))
            } else {
                Err(denied(409))
            };
        }
        let live = |it: &&Token| it.is_good(now) && it.channel == wanted.channel;
        if self.tokens.iter().filter(live).count() >= 30 {
            return Err(denied(400));
        }
        if self.plan == Plan::Tegata && self.live(now, target) >= 2 {
            let oldest = self.tokens.iter_mut().find(|it| it.is_good(now) && it.target == target);
            oldest.unwrap().ended = true;
        }
        let until = now + LIFE;
        self.tokens.push(Token { target, channel: wanted.channel, until, ended: false });
        self.version += 1;
        let number = self.tokens.len() - 1;
        self.keys.insert(key.to_owned(), number);
        Ok(issued(number, until))
    }

    pub fn live(&self, now: i64, target: usize) -> usize {
        // Older tokens of its kind have expired.
        let recent = self.tokens.iter().rev().take(400);
        recent.filter(|it| it.target == target && it.is_good(now)).count()
    }
}

pub fn number(token: &PlainSecret) -> usize {
    token.reveal().parse().unwrap()
}

fn denied(status: u16) -> Failure {
    Failure::Denied { status, said: "no".to_owned() }
}
