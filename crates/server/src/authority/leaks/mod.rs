//! Who may report leaked tokens in a programme's name: the public keys of the programmes, the
//! token that a self-managed GitLab shares with the operator, and how many reports are read at
//! once.

mod keys;
mod slots;

pub use keys::{BadKeys, ForgedReport, ProgrammeKeys};

pub use slots::Slot;

use crate::authority::{actor::Reporter, source::Source};
use arc_swap::ArcSwap;
use slots::Slots;
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use tegata_policy::secret::{HashedSecret, PlainSecret};
use tegata_system::file::{self, Links};

/// A programme that signs its reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programme {
    /// GitHub's secret scanning partner programme.
    GitHub,
    /// GitLab.com's secret detection.
    GitLab,
}

impl Programme {
    /// Its name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }

    /// The header with the id of the key.
    #[must_use]
    pub const fn key_header(self) -> &'static str {
        match self {
            Self::GitHub => "github-public-key-identifier",
            Self::GitLab => "gitlab-public-key-identifier",
        }
    }

    /// The header with the signature.
    #[must_use]
    pub const fn signature_header(self) -> &'static str {
        match self {
            Self::GitHub => "github-public-key-signature",
            Self::GitLab => "gitlab-public-key-signature",
        }
    }
}

/// The file with the public keys of a programme, in the programme's own JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysFile {
    /// The programme.
    pub programme: Programme,
    /// The file.
    pub file: PathBuf,
}

/// `PROGRAMME=FILE`
impl FromStr for KeysFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write it as github=FILE or gitlab=FILE";
        let (name, file) = text.split_once('=').ok_or(wrong)?;
        let all = [Programme::GitHub, Programme::GitLab];
        let programme = all.into_iter().find(|it| it.name() == name).ok_or(wrong)?;
        match file {
            "" => Err(wrong),
            file => Ok(Self { programme, file: file.into() }),
        }
    }
}

/// The settings of reports.
#[derive(Clone, Default)]
pub struct LeakSettings {
    /// The files of public keys, at most one per programme.
    pub keys: Vec<KeysFile>,
    /// The token of a self-managed GitLab.
    pub gitlab_token: Option<PlainSecret>,
}

impl fmt::Debug for LeakSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LeakSettings").field(&self.keys).finish()
    }
}

/// Why the settings of reports cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadLeakSettings {
    /// A programme has two files.
    #[error("leak_keys: {0} is named twice; name one file")]
    Twice(&'static str),
    /// The file cannot be read.
    #[error("leak_keys: {}: {}", .0.display(), .1)]
    File(PathBuf, file::Error),
    /// The file has no usable keys.
    #[error("leak_keys: {}: {}", .0.display(), .1)]
    Keys(PathBuf, BadKeys),
}

/// The largest file of keys, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// The keys of a programme, and the file that they come from.
struct KeySource {
    of: KeysFile,
    keys: ArcSwap<ProgrammeKeys>,
}

/// Checks who reports, and how many reports are read at once.
pub struct LeakReceiver {
    sources: Vec<KeySource>,
    gitlab_token: Option<HashedSecret>,
    /// For each [`Reporter`], so that one sort cannot keep the others out.
    slots: [Arc<Slots>; 4],
}

impl LeakReceiver {
    /// Reads the files of the settings.
    ///
    /// # Errors
    /// [`BadLeakSettings`].
    pub fn new(settings: LeakSettings) -> Result<Self, BadLeakSettings> {
        let mut sources: Vec<KeySource> = Vec::new();
        for of in settings.keys {
            if sources.iter().any(|it| it.of.programme == of.programme) {
                return Err(BadLeakSettings::Twice(of.programme.name()));
            }
            let keys = ArcSwap::from_pointee(read(&of.file)?);
            sources.push(KeySource { of, keys });
        }
        let slots = std::array::from_fn(|_| Arc::default());
        let gitlab_token = settings.gitlab_token.map(|it| it.hash());
        Ok(Self { sources, gitlab_token, slots })
    }

    /// Reads the files again. A file that cannot be used is rejected with a line in the log, and
    /// the keys that were read before stay in force.
    pub fn reload(&self) {
        for source in &self.sources {
            let programme = source.of.programme.name();
            match read(&source.of.file) {
                Ok(keys) => {
                    tracing::info!(programme, keys = keys.len(), "the keys of reports were read");
                    source.keys.store(Arc::new(keys));
                }
                Err(error) => tracing::error!(
                    programme,
                    %error,
                    "the new keys of reports are rejected; the old ones stay in force"
                ),
            }
        }
    }

    /// The public keys of a programme; `None`: the operator takes no reports of it.
    #[must_use]
    pub fn keys(&self, programme: Programme) -> Option<Arc<ProgrammeKeys>> {
        let source = self.sources.iter().find(|it| it.of.programme == programme)?;
        Some(source.keys.load_full())
    }

    /// Whether this is the token of the self-managed GitLab; `None`: there is none.
    #[must_use]
    pub fn is_gitlab(&self, token: &PlainSecret) -> Option<bool> {
        Some(self.gitlab_token.as_ref()?.is_of(token))
    }

    /// A slot for reading one report; `None`: all are taken, or all that one network may take.
    #[must_use]
    pub fn slot(&self, reporter: Reporter, source: Source) -> Option<Slot> {
        let of = match reporter {
            Reporter::Unsigned => 0,
            Reporter::GitHub => 1,
            Reporter::GitLab => 2,
            Reporter::GitLabSelfManaged => 3,
        };
        self.slots[of].take(source)
    }
}

fn read(path: &Path) -> Result<ProgrammeKeys, BadLeakSettings> {
    let text = file::read(path, Links::Follow, LARGEST_FILE);
    let (text, _) = text.map_err(|error| BadLeakSettings::File(path.to_owned(), error))?;
    let keys = ProgrammeKeys::parse(&text);
    keys.map_err(|error| BadLeakSettings::Keys(path.to_owned(), error))
}
