//! What a token is, and why it is valid or not.

use super::{
    facade::{Admin, Error, Result},
    token_context::TokenContext,
};
use tegata_policy::{idle::Idle, permission::Permission};
use tegata_store::{
    AuditFilter, AuditRow, Page, RecentUse, RevocationCause, TokenName, TokenRow, TokenState,
    audit_event::AuditEvent,
};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    verify::{self, Invalid},
    view::{ChannelState, RevokedBy, View},
};

/// What a token is, and why it is valid or not.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The channel that it is for.
    pub channel: ChannelId,
    /// Its facts; its state is what a verification finds.
    pub token: TokenRow,
    /// Why it is in that state.
    pub why: Why,
    /// The token that evicted or replaced it.
    pub newer: Option<TokenId>,
    /// The audit event of the act that revoked it, where there is one.
    pub event: Option<AuditRow>,
    /// From where it was used lately, newest first.
    pub recent_uses: Vec<RecentUse>,
    /// Its channel, its provider, and its group with the group's other tokens.
    pub around: TokenContext,
}

/// Why a token is valid or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is valid until then.
    Valid {
        /// Its expiry.
        until: UnixTime,
    },
    /// It is valid until it is revoked or reissued.
    ValidUntilRevoked,
    /// It was reissued with a delay, during which it stays valid.
    ValidForDelay {
        /// The delay's end.
        until: UnixTime,
    },
    /// Its lifetime is over.
    Expired {
        /// Its expiry.
        at: UnixTime,
    },
    /// It was revoked, and would have expired by now.
    RevokedAndExpired {
        /// When it was revoked.
        at: UnixTime,
    },
    /// Its channel is suspended.
    ChannelSuspended,
    /// Its channel was deleted.
    ChannelDeleted,
    /// The signing key that signed it was revoked.
    SigningKeyRevoked {
        /// The key.
        key: SigningKeyId,
    },
    /// The signing key that signed it is limited to tokens issued before a time, since the
    /// store was recovered.
    SigningKeyLimited {
        /// The key.
        key: SigningKeyId,
        /// Only tokens issued before are valid.
        issued_before: UnixTime,
    },
    /// A newer token took its place under a cap.
    Evicted {
        /// When.
        at: UnixTime,
    },
    /// A newer long-lived token replaced it.
    Reissued {
        /// When.
        at: UnixTime,
    },
    /// It was revoked alone.
    Revoked {
        /// When, if a row records it.
        at: Option<UnixTime>,
    },
    /// It was revoked together with others.
    RevokedWithOthers {
        /// When, if a row records it.
        at: Option<UnixTime>,
    },
    /// A verification rejects it for another reason.
    Invalid(Invalid),
}

impl Why {
    /// All codes.
    pub const CODES: [&str; 14] = [
        "valid",
        "valid-until-revoked",
        "valid-for-delay",
        "expired",
        "revoked-and-expired",
        "channel-suspended",
        "channel-deleted",
        "signing-key-revoked",
        "signing-key-limited",
        "evicted",
        "reissued",
        "revoked",
        "revoked-with-others",
        "invalid",
    ];

    /// The reason's code, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::ValidUntilRevoked => "valid-until-revoked",
            Self::ValidForDelay { .. } => "valid-for-delay",
            Self::Expired { .. } => "expired",
            Self::RevokedAndExpired { .. } => "revoked-and-expired",
            Self::ChannelSuspended => "channel-suspended",
            Self::ChannelDeleted => "channel-deleted",
            Self::SigningKeyRevoked { .. } => "signing-key-revoked",
            Self::SigningKeyLimited { .. } => "signing-key-limited",
            Self::Evicted { .. } => "evicted",
            Self::Reissued { .. } => "reissued",
            Self::Revoked { .. } => "revoked",
            Self::RevokedWithOthers { .. } => "revoked-with-others",
            Self::Invalid(_) => "invalid",
        }
    }

    fn of(claims: &Claims, row: &TokenRow, verdict: Verdict, view: &View) -> Self {
        let limit = view.key(claims.key).map(|it| it.state);
        match (verdict, row.revocation) {
            (Ok(until), _) if until < claims.expires_at => Self::ValidForDelay { until },
            (Ok(_), _) if claims.kind == Kind::LongLived => Self::ValidUntilRevoked,
            (Ok(until), _) => Self::Valid { until },
            (Err(Invalid::Expired), Some((_, at))) => Self::RevokedAndExpired { at },
            (Err(Invalid::Expired), None) => Self::Expired { at: claims.expires_at },
            (Err(Invalid::Suspended), _) => Self::ChannelSuspended,
            (Err(Invalid::Revoked(RevokedBy::SigningKey)), _) => match limit {
                Some(KeyState::Retired { issued_before: Some(issued_before) }) => {
                    Self::SigningKeyLimited { key: claims.key, issued_before }
                }
                _ => Self::SigningKeyRevoked { key: claims.key },
            },
            (Err(Invalid::Revoked(RevokedBy::Channel)), _) => Self::ChannelDeleted,
            (Err(Invalid::Revoked(_)), Some((RevocationCause::Evicted, at))) => {
                Self::Evicted { at }
            }
            (Err(Invalid::Revoked(_)), Some((RevocationCause::Reissued, at))) => {
                Self::Reissued { at }
            }
            (Err(Invalid::Revoked(how)), revoked) => {
                let at = revoked.map(|(_, at)| at);
                match how {
                    RevokedBy::Cutoff => Self::RevokedWithOthers { at },
                    _ => Self::Revoked { at },
                }
            }
            (Err(other), _) => Self::Invalid(other),
        }
    }
}

/// The result of a verification without its signature check.
type Verdict = std::result::Result<UnixTime, Invalid>;

/// Maximum number of a channel's newest events that are searched, where no row names one.
const EVENTS: usize = 1_000;

impl Admin {
    /// Searches a text, apart from the threads that serve requests.
    ///
    /// # Errors
    /// [`Error::Busy`]: too many at once.
    pub async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.authority.searches.run(search).await
    }

    /// Explains a token by its text.
    ///
    /// # Errors
    /// [`Error::NotOurToken`], or as the store.
    pub async fn explain(&self, token: &str) -> Result<Explanation> {
        let claims = self.claims_for(Permission::ReadTokens, token).await?;
        let now = self.authority.now();
        let view = self.authority.view();
        let verdict = verify::verify_claims(&claims, now, &view);
        let row = match claims.kind.is_stored() {
            true => {
                let name = TokenName::Serial(claims.serial);
                self.authority.store().token(claims.channel, name, now).await?
            }
            false => None,
        };
        let row = row.filter(|row| row.id == claims.id).unwrap_or_else(|| without_row(&claims));
        let verdict = self.first_cause(&claims, &row, verdict).await?;
        let mut row = in_state_of(row, verdict);
        let recent_uses = match claims.kind.is_stored() {
            true => self.authority.recent_uses(claims.channel, claims.serial).await?,
            false => Vec::new(),
        };
        self.authority.note_idle(claims.channel, &mut [&mut row]).await?;
        Ok(Explanation {
            recent_uses,
            channel: claims.channel,
            why: Why::of(&claims, &row, verdict, &view),
            newer: self.newer(&claims, &row).await?,
            event: self.event(&claims, &row, verdict).await?,
            around: self.around(&claims).await?,
            token: row,
        })
    }

    /// The verdict by the act that revoked the token first: the deletion of its channel
    /// covers tokens that were revoked before it.
    async fn first_cause(
        &self,
        claims: &Claims,
        row: &TokenRow,
        verdict: Verdict,
    ) -> Result<Verdict> {
        let (Err(Invalid::Revoked(RevokedBy::Channel)), Some(act)) = (verdict, row.revoked_act)
        else {
            return Ok(verdict);
        };
        let deletion = self.authority.store().state_act(claims.channel).await?;
        let by =
            if deletion == Some(act) { RevokedBy::Channel } else { RevokedBy::SingleRevocation };
        Ok(Err(Invalid::Revoked(by)))
    }

    /// The claims of a token, if this authority signed it.
    pub(super) async fn claims(&self, token: &str) -> Result<Result<Claims>> {
        let read = self.authority.read(token.as_bytes()).await?;
        Ok(read.map_err(|_| Error::NotOurToken))
    }

    async fn newer(&self, claims: &Claims, row: &TokenRow) -> Result<Option<TokenId>> {
        let Some(serial) = row.replaced_by else { return Ok(None) };
        let (name, now) = (TokenName::Serial(serial), self.authority.now());
        let newer = self.authority.store().token(claims.channel, name, now).await?;
        Ok(newer.map(|newer| newer.id))
    }

    async fn event(
        &self,
        claims: &Claims,
        row: &TokenRow,
        verdict: Verdict,
    ) -> Result<Option<AuditRow>> {
        let store = self.authority.store();
        let act = match verdict {
            Err(Invalid::Suspended | Invalid::Revoked(RevokedBy::Channel)) => {
                store.state_act(claims.channel).await?
            }
            Err(_) => row.revoked_act,
            Ok(_) => None,
        };
        let newest = Page { before: None, most: EVENTS };
        // Of several acts that cover a token, the first one revoked it.
        let first = |rows: Vec<AuditRow>, does: &dyn Fn(&AuditEvent) -> bool| {
            let event = |row: &AuditRow| AuditEvent::read(&row.act, &row.detail);
            rows.into_iter().rev().find(|row| event(row).is_some_and(|event| does(&event)))
        };
        match (act, verdict) {
            (Some(act), _) => Ok(store.audit_row(act).await?),
            (None, Err(Invalid::Revoked(RevokedBy::SigningKey))) => {
                let rows = store.audit(AuditFilter::default(), newest).await?;
                Ok(first(rows, &|event: &AuditEvent| {
                    event.revoked_signing_key(claims.key) || event.limited_signing_keys(claims)
                }))
            }
            (None, Err(Invalid::Revoked(how))) if row.revocation.is_none() => {
                let mut rows = store.audit(AuditFilter::of(claims.channel), newest).await?;
                // An act in the same second as the issue may have come before it.
                rows.retain(|row| row.at >= claims.issued_at);
                Ok(first(rows, &|event: &AuditEvent| match how {
                    RevokedBy::SingleRevocation => event.revoked_by_name(claims),
                    _ => event.revoked(claims),
                }))
            }
            _ => Ok(None),
        }
    }
}

/// What is known of a token without a row.
pub(super) fn without_row(claims: &Claims) -> TokenRow {
    TokenRow {
        id: claims.id,
        serial: claims.serial,
        kind: claims.kind,
        group: claims.group.clone(),
        assertion_key: claims.assertion_key,
        state: TokenState::Active,
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        last_used_at: None,
        idle: Idle::No,
        revocation: None,
        replaced_by: None,
        revoked_act: None,
        revoked_by: None,
        reason: None,
    }
}

/// The row with the state that a verification finds: the view decides, and rows are
/// marked later, or never.
fn in_state_of(mut row: TokenRow, verdict: Verdict) -> TokenRow {
    match verdict {
        Ok(_) => row.state = TokenState::Active,
        // A verification says so only of a token that would be active otherwise.
        Err(Invalid::Suspended) => {
            row.state = TokenState::Active.in_channel(ChannelState::Suspended);
        }
        Err(Invalid::Expired) if row.revocation.is_none() => row.state = TokenState::Expired,
        Err(Invalid::Revoked(_)) => row.state = TokenState::Revoked,
        Err(_) => {}
    }
    row
}
