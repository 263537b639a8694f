//! What the operator does, and the faults.

use super::{END, Event, HEALED, SECOND, World};
use crate::simulation::{
    Answer, TestedFollower,
    authority::{Moment, Token, nanos},
};
use std::time::Duration;

impl<S: TestedFollower> World<S> {
    // ---- what the operator does

    pub(super) fn operate(&mut self) {
        if self.now >= HEALED {
            return self.restore_order();
        }
        let next = self.random.about(0.3);
        self.after(next, Event::Operator);
        let (now, id) = (self.now, self.random.bytes());
        let channel = self.random.below(self.authority.channels.len());
        let count = self.authority.tokens.len();
        let active = |it: &usize| self.authority.tokens[*it].revoked.is_none();
        let candidates: Vec<usize> = (count.saturating_sub(12)..count).filter(active).collect();
        match self.random.below(100) {
            drawn if drawn < 45 || candidates.is_empty() => {
                let lifetime = self.random.one_of(&[20, 3_600, 3_600]);
                self.authority.issue(now, channel, id, lifetime);
            }
            drawn if drawn < 75 => {
                let token = self.random.one_of(&candidates);
                let delay = (drawn < 50).then_some(3);
                self.note(format!("revokes token {token}, delay {delay:?}"));
                self.authority.revoke(now, token, delay);
            }
            drawn if drawn < 84 => {
                self.note(format!("switches channel {channel}"));
                self.authority.switch_channel(now, channel);
            }
            drawn if drawn < 90 => self.authority.change_settings(),
            drawn if drawn < 93 => self.authority.publish_key(now),
            _ => {
                let kept = self.random.one_of(&[0, 0, 1, 3]);
                self.note(format!("keeps {kept} changes of the log"));
                self.authority.trim(kept);
            }
        }
        self.answer_held();
    }

    /// All channels active, and one token of each, which expires soon after the end.
    fn restore_order(&mut self) {
        for channel in 0..self.authority.channels.len() {
            if self.authority.channels[channel].2.is_none() {
                self.authority.switch_channel(self.now, channel);
            }
            let id = self.random.bytes();
            let rest = (END - self.now) / SECOND + 3;
            self.authority.issue(self.now, channel, id, rest);
        }
        self.answer_held();
    }

    pub(super) fn check_the_end(&mut self) -> Result<(), String> {
        if self.authority.pending_receipts() > 0 {
            return Err("a receipt does not become complete".to_owned());
        }
        let count = self.authority.tokens.len();
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let mut tokens = self.authority.tokens[count - 4..].iter();
            let own =
                |it: &&Token| host.provider.is_none_or(|provider| provider == it.claims.provider);
            let Some(token) = tokens.find(own) else { continue };
            let clocks = host.clocks(self.now);
            let answer = host.subject.verify(&token.text, clocks.steady, [clocks, clocks])?;
            if answer != Answer::Active {
                let trace: Vec<String> = self.trace.iter().cloned().collect();
                let trace = trace.join("\n");
                return Err(format!("host {index} answers {answer:?} after the faults\n{trace}"));
            }
        }
        Ok(())
    }

    // ---- faults

    pub(super) fn fault(&mut self) -> Result<(), String> {
        if self.now >= HEALED {
            for host in &mut self.hosts {
                (host.cut_until, host.slow) = (0, 1.0);
            }
            self.authority.clock.set_right();
            return Ok(());
        }
        let next = self.random.about(1.1);
        self.after(next, Event::Fault);
        self.figures.faults += 1;
        let index = self.random.below(self.hosts.len());
        let time = Duration::from_secs_f64(self.random.one_of(&[0.3, 1.0, 3.0, 8.0]));
        let until = self.now + nanos(time);
        let host = &mut self.hosts[index];
        let what = match self.random.below(100) {
            0..12 => {
                host.frozen_until = host.frozen_until.max(until);
                "stands still"
            }
            12..20 => {
                // A paused machine: its steady clock stands still, its wall clock is set.
                if host.frozen_until <= self.now {
                    host.frozen_until = until;
                    host.paused += nanos(time);
                    host.wall += (nanos(time) as f64 * host.rate) as Moment;
                }
                "is paused"
            }
            20..40 => {
                host.cut_until = host.cut_until.max(until);
                "is cut off"
            }
            40..50 => {
                host.slow = self.random.one_of(&[1.0, 20.0, 200.0]);
                "has another network"
            }
            50..60 => {
                self.kill(index);
                "is killed"
            }
            60..68 => {
                self.stop(index)?;
                "is stopped"
            }
            68..78 => {
                host.wall += self.random.one_of(&[-SECOND, -60 * SECOND, SECOND]);
                "has its clock set"
            }
            78..87 => {
                self.down_until = until;
                self.authority.held.clear();
                "loses the authority"
            }
            87..90 => {
                self.authority.clock.set_ahead(until);
                "sees a clock that is ahead"
            }
            _ => {
                self.authority.restore(self.now, 4 * SECOND);
                self.answer_held();
                "sees a restore"
            }
        };
        self.note(format!("host {index} {what} for {time:?}"));
        Ok(())
    }

    fn kill(&mut self, index: usize) {
        self.hosts[index].running = false;
        let down = self.random.between(0.02, 2.0);
        self.after(down, Event::Start { host: index });
    }

    fn stop(&mut self, index: usize) -> Result<(), String> {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.running && !host.stopping && host.frozen_until <= now {
            host.stopping = true;
            host.subject.stop(host.clocks(now))?;
            self.tick_now(index)?;
            self.after(Duration::from_millis(1_500), Event::Start { host: index });
        }
        Ok(())
    }
}
