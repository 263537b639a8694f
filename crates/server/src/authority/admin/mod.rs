//! Administration: every administrative act and query is a method of [`Admin`].
//!
//! A method first checks the actor's permission. Protocols parse a request, call a method
//! here and render its result; they contain no rules and do not use the store.

mod account;
mod assertion_keys;
mod attention;
mod audit;
mod channel_tokens;
mod channels;
mod created;
mod created_by;
mod explain;
mod facade;
mod groups;
mod identity;
mod ids;
mod leaks;
mod options;
mod own_reset;
mod people;
mod permits;
mod personal_tokens;
mod proof;
mod providers;
mod recovery_codes;
mod requests;
mod revocations;
mod settings;
mod signing_keys;
mod taking;
mod token_context;
mod tokens;
mod verifiers;
mod warnings;

pub use account::{NewSession, OpenedInvitation};
pub use assertion_keys::UsedKey;
pub use attention::{Attention, DAYS, Expiries};
pub use channel_tokens::ChannelTokens;
pub use channels::{ChannelWithUse, NewSecret};
pub use created::{CreatedBy, CreatedKey};
pub use explain::{Explanation, Why};
pub use facade::{Admin, Error, Result};
#[cfg(feature = "openid-connect")]
pub use identity::{Departure, IdentityError, Return};
pub use leaks::{HandledReport, LeakedText};
pub use options::ActOptions;
pub use own_reset::DrawnInvitation;
pub use people::{Invited, ListedPerson, NewPerson, PersonToDelete};
pub use providers::ListedProvider;
pub use recovery_codes::{Accepted, DrawnCodes};
pub use requests::{KeyUse, RequestName};
pub use revocations::{Anywhere, InChannel};
pub use settings::EffectiveSettings;
pub use taking::{DryRun, Outcome, TakenAway};
pub use token_context::TokenContext;
pub use verifiers::{ListedVerifier, VerifierSettings};
pub use warnings::{FoundWarnings, WarningFilter};
