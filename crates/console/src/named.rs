//! What the texts have words for: languages, themes, tabs, states.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Ja];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// Its own name for itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ja => "日本語",
        }
    }

    /// The language with this code.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }

    /// The first language of ours that an `Accept-Language` header prefers.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let weight = |it: &str| {
            let (range, parameter) = it.split_once(';').unwrap_or((it, "q=1"));
            let weight = parameter.trim().strip_prefix("q=").and_then(|it| it.parse().ok());
            let code = range.trim().split('-').next().unwrap_or("").to_ascii_lowercase();
            Some((Self::of(&code)?, weight.unwrap_or(0.0)))
        };
        let ranges = header.split(',').filter_map(weight).filter(|(_, it): &(_, f32)| *it > 0.0);
        let first = ranges.fold(None, |best: Option<(Self, f32)>, it| match best {
            Some(best) if best.1 >= it.1 => Some(best),
            _ => Some(it),
        });
        first.map_or(Self::En, |(language, _)| language)
    }
}

/// The colours of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Theme {
    /// As the system is set.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name in forms and cookies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// A tab of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelTab {
    /// Name, secret, keys, suspension and deletion.
    Basic,
    /// The long-lived token.
    MessagingApi,
    /// All tokens.
    Tokens,
    /// Groups.
    Groups,
    /// Rules and limits.
    Security,
    /// Who has which role.
    Roles,
    /// Who did what.
    Audit,
}

impl ChannelTab {
    /// All of them, in LINE's order.
    pub const ALL: [Self; 7] = [
        Self::Basic,
        Self::MessagingApi,
        Self::Tokens,
        Self::Groups,
        Self::Security,
        Self::Roles,
        Self::Audit,
    ];

    /// The end of its address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Basic => "",
            Self::MessagingApi => "/messaging-api",
            Self::Tokens => "/tokens",
            Self::Groups => "/groups",
            Self::Security => "/security",
            Self::Roles => "/roles",
            Self::Audit => "/audit",
        }
    }
}

/// Whether an instance can still accept what was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceStanding {
    /// It has applied the change.
    Acknowledged,
    /// It may not have applied it yet.
    Waiting,
    /// It rejects all tokens, since it has not polled.
    LeaseExpired,
    /// It has not polled, and may accept tokens by stale data.
    MayStillAccept,
    /// It has reported that it cannot apply the change.
    CannotApply,
    /// It has reported that it stops.
    Stopped,
    /// An operator removed it.
    Removed,
}
