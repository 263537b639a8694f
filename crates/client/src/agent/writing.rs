//! Writes a sink's file. It can block on the disk, or on what the folder's owner put there,
//! so it runs off the agent's loop.

use super::{
    config,
    disk::{self, FileOwner},
    form,
    state::HeldToken,
};
use std::collections::BTreeMap;
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// A write of a sink's file.
#[derive(Debug)]
pub struct Writing {
    /// The sink's settings.
    pub settings: config::SinkConfig,
    /// The active tokens. A token that is not active is not written, but its entry in the
    /// file stays.
    pub held: BTreeMap<Group, HeldToken>,
    /// The content after the last write.
    pub before: Option<PlainSecret>,
}

/// The result of a write.
#[derive(Debug)]
pub struct Written {
    /// The file's content; `None` if there was nothing to write.
    pub content: Option<PlainSecret>,
    /// Whether the file has another content than after the last write that succeeded.
    pub is_changed: bool,
    /// The expiry of each token that was to be written.
    pub until: BTreeMap<Group, UnixTime>,
}

impl Writing {
    /// Updates the file.
    ///
    /// # Errors
    /// The problem, with the file's name.
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
            // It is new to the programs if the last write replaced it, and failed only after that.
            let is_new = self.before.as_ref().is_some_and(|it| it.reveal() != content.reveal());
            if is_new {
                disk::sync_name(path).map_err(|error| wrong(error.to_string()))?;
            }
            return Ok((Some(content), is_new));
        }
        if self.before.as_ref().is_some_and(|it| it.reveal() == content.reveal()) {
            tracing::warn!(file = %path.display(), "changed or removed by another program; written again");
        }
        disk::replace(path, content.reveal(), mode, owner)
            .map_err(|error| wrong(error.to_string()))?;
        Ok((Some(content), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::Validity;

    #[test]
    fn a_file_that_a_failed_write_had_replaced_is_a_change() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let written = |before: &str| {
            let settings = toml::from_str(&format!("tokens = ['a']\npath = {path:?}")).unwrap();
            let token = PlainSecret::from_caller("new".to_owned());
            let life = Validity { from: UnixTime(0), until: UnixTime(60) };
            let held = [("a".parse().unwrap(), HeldToken { token, life })].into();
            let before = Some(PlainSecret::from_caller(before.to_owned()));
            Writing { settings, held, before }.write().unwrap().is_changed
        };
        assert!(written("old"), "it is written");
        assert!(written("old"), "the disk failed after it had its name");
        assert!(!written("new"));
    }
}
