//! Puts settings in force, at the start and at a reload.

use super::{Config, Core, Folder, Kept, Saves, Sink, Target, UnixTime, Watch};
use crate::wanted::Wanted;

/// The kept state of the tokens in some settings, in their order, read from the disk.
pub struct Loaded(Vec<Result<Option<Kept>, String>>);

impl Loaded {
    /// Reads the kept state, which can block.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let folder = config.state.as_deref().map(Folder::at);
        let load = |token| {
            let Some(folder) = &folder else { return Ok(None) };
            let token: &super::super::config::TokenConfig = token;
            folder
                .load(&token.name, &config.wanted(token))
                .map_err(|problem| format!("{problem}; {}", folder.set_aside(&token.name)))
        };
        Self(config.tokens.iter().map(load).collect())
    }
}

impl Core {
    /// Puts settings in force. Tokens, sinks and watched tokens with unchanged settings go
    /// on as they are; `loaded` is for new tokens. No order may be under way. With another
    /// authority, all tokens are verified.
    pub fn reload(
        &mut self,
        config: &Config,
        loaded: Loaded,
        is_another_authority: bool,
        now: UnixTime,
    ) {
        let look = i64::from(config.verify_interval_seconds);
        self.folder = config.state.as_deref().map(Folder::at);
        self.saves = Saves::default();
        let mut old = std::mem::take(&mut self.targets);
        for (number, (token, loaded)) in config.tokens.iter().zip(loaded.0).enumerate() {
            let wanted = config.wanted(token);
            let same = |it: &Target| it.name == token.name && is_same(&it.wanted, &wanted);
            let target = match old.iter().position(same) {
                Some(at) => {
                    // To the folder, which may be another one.
                    self.saves.ask(number, now);
                    let mut target = old.swap_remove(at);
                    target.reload(wanted, look, is_another_authority, now);
                    target
                }
                None => {
                    let kept = self.kept(number, loaded, now);
                    Target::new(token.name.clone(), wanted, kept, look, now, self.random.jitter())
                }
            };
            self.targets.push(target);
        }
        self.reload_others(config, look);
        if is_another_authority {
            self.skew = None;
        }
    }

    fn reload_others(&mut self, config: &Config, look: i64) {
        let mut old = std::mem::take(&mut self.sinks);
        for (number, settings) in config.sinks.iter().enumerate() {
            let mut sink = match old.iter().position(|it| it.settings == *settings) {
                Some(at) => old.swap_remove(at),
                None => Sink::new(settings.clone(), number, look),
            };
            sink.reload(number, look);
            self.sinks.push(sink);
        }
        let mut old = std::mem::take(&mut self.watched);
        for settings in &config.watched {
            let mut watch = match old.iter().position(|it| it.settings == *settings) {
                Some(at) => old.swap_remove(at),
                None => Watch::new(settings.clone(), look),
            };
            watch.reload(look);
            self.watched.push(watch);
        }
        self.channels = config.channels.clone();
        self.warnings = config.warnings();
    }

    fn kept(&mut self, target: usize, loaded: Result<Option<Kept>, String>, now: UnixTime) -> Kept {
        let found = loaded.unwrap_or_else(|problem| {
            tracing::error!(problem, "the kept state cannot be used");
            self.saves.note(problem);
            None
        });
        // Saved before the first request, so that the agent can repeat the request if it is
        // killed before the response arrives.
        found.unwrap_or_else(|| {
            self.saves.ask(target, now);
            Kept { generation: self.random.number(), ..Kept::default() }
        })
    }
}

/// Whether a token of one is a token of the other. Another lifetime holds from the next
/// token on.
fn is_same(a: &Wanted, b: &Wanted) -> bool {
    (a.channel, &a.group, a.kind) == (b.channel, &b.group, b.kind)
}
