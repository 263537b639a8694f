//! Writing a sink's file. Blocks for the disk, and for whatever the owner of the folder
//! put there, so it runs off the agent's loop.

use super::{
    config,
    disk::{self, FileOwner},
    form,
    state::HeldToken,
};
use std::collections::BTreeMap;
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// What to write, and where.
#[derive(Debug)]
pub struct Writing {
    /// What the settings say of the sink.
    pub settings: config::SinkConfig,
    /// The tokens that are good. One that is not is not put anywhere, but what a file
    /// holds of it is left there.
    pub held: BTreeMap<Group, HeldToken>,
    /// What the last write left in the file.
    pub before: Option<PlainSecret>,
}

/// What came of it.
#[derive(Debug)]
pub struct Written {
    /// What the file holds now; `None` if there was nothing to write.
    pub content: Option<PlainSecret>,
    /// Whether the file was replaced.
    pub is_changed: bool,
    /// Of each token that was to be written, until when it is good.
    pub until: BTreeMap<Group, UnixTime>,
}

impl Writing {
    /// Brings the file up to what is held.
    ///
    /// # Errors
    /// What is wrong, with the file's name.
    pub fn write(self) -> Result<Written, String> {
        let until = self.held.iter().map(|(name, held)| (name.clone(), held.life.until)).collect();
        let (content, is_changed) = self.bring_up()?;
        Ok(Written { content, is_changed, until })
    }

    fn bring_up(&self) -> Result<(Option<PlainSecret>, bool), String> {
        let settings = &self.settings;
        let Some(path) = &settings.path else { return Ok((None, false)) };
        let wrong = |what: String| format!("{}: {what}", path.display());
        let named = |token| (settings.name_of(token), self.held.get(token));
        let tokens: Vec<_> = settings.tokens.iter().map(named).collect();
        let present = disk::present(path).map_err(wrong)?;
        let before = present.as_ref().map(|it| it.text.reveal());
        let Some(content) = form::render(settings, &tokens, before) else {
            return Ok((None, false));
        };
        let owner = settings.owner.as_deref().map(FileOwner::find).transpose().map_err(wrong)?;
        let (mode, owner) = (settings.mode.0, owner.unwrap_or_default());
        if present.is_some_and(|it| it.is(content.reveal(), mode, owner)) {
            return Ok((Some(content), false));
        }
        if self.before.as_ref().is_some_and(|it| it.reveal() == content.reveal()) {
            tracing::warn!(file = %path.display(), "changed or removed by another program; written anew");
        }
        disk::replace(path, content.reveal(), mode, owner)
            .map_err(|error| wrong(error.to_string()))?;
        Ok((Some(content), true))
    }
}
