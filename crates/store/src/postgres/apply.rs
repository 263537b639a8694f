//! Writes the effects of acts. One match and no rule: an act has decided before what is
//! written.
//!
//! The statements of all acts of a wave are sent together, in one round trip. What nearly every
//! act writes is one statement for all acts and tables; acts of one wave concern different
//! channels.

mod act;
mod audit;
mod channels;
mod followers;
mod jobs;
mod keys;
mod people;
mod sweep;
mod tokens;
mod wave;

pub(super) use act::At;

use super::statements::Statements;
use act::Of;
use tegata_policy::acts::{Effects, ReceiptRow, Write};
use tegata_token::id::ChannelId;
use wave::Wave;

/// An act's channel, effects, place in the log, and receipt.
pub(super) type Decided = (Option<ChannelId>, Effects, At, Option<ReceiptRow>);

/// The statements that write all effects of acts but the changes of the log, whose positions they
/// have already. Nothing is locked that their locks do not cover, apart from the authority's row,
/// and rows that unique indexes find.
pub(super) fn statements(acts: &[Decided]) -> Statements<'_> {
    let mut wave = Wave::default();
    let mut others = Statements::default();
    for (channel, effects, at, receipt) in acts {
        let of = Of { at, author: effects.author.as_ref() };
        for it in &effects.writes {
            if !wave.take(of, it) {
                write_one(&mut others, of, it);
            }
        }
        let is_logged = !effects.changes.is_empty() || effects.audit.is_some();
        if let Some(id) = channel.filter(|_| !is_logged && !effects.writes.is_empty()) {
            // Otherwise the authority's row has the time.
            wave.at(id, at.now);
        }
        wave.receipt(receipt.as_ref(), at);
        wave.audit(effects.audit.as_ref(), at);
        wave.journal(effects, at);
    }
    wave.into_statements(others)
}

/// Writes one effect that is no part of a statement for several acts.
fn write_one<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &'a Write) {
    match it {
        Write::TokenRevokedFrom { .. } => tokens::revoke_from(to, of, it),
        Write::Provider(_)
        | Write::ProviderName(..)
        | Write::ProviderDeleted(_)
        | Write::NewChannel(_)
        | Write::Settings(_)
        | Write::StateChangedBy(_)
        | Write::Secret { .. }
        | Write::PreviousSecretsDropped { .. }
        | Write::EverySerialRaised { .. } => channels::apply(to, of, it),
        Write::AssertionKey(..)
        | Write::AssertionKeyGone { .. }
        | Write::GroupUsed { .. }
        | Write::GroupDeleted { .. }
        | Write::ScopesForgotten(_)
        | Write::Group(..) => channels::apply_scope(to, of, it),
        Write::SigningKey(_)
        | Write::SigningKeyState(_)
        | Write::SigningKeyWrapped(..)
        | Write::ClockOffset(_)
        | Write::RootToken { .. } => keys::apply(to, of, it),
        Write::AuditKey(..)
        | Write::AuditKeyWrapped(_)
        | Write::AuditBegunAnew
        | Write::Checkpoint(_) => audit::apply(to, it),
        Write::ProviderJob(_)
        | Write::ProviderJobAt { .. }
        | Write::ProviderJobDone(_)
        | Write::Warning { .. }
        | Write::WarningTried { .. }
        | Write::WarningDropped(_)
        | Write::Request(_)
        | Write::RequestAnswered(..)
        | Write::RequestForgotten(_) => jobs::apply(to, of, it),
        Write::LogDropped { .. } | Write::AuditDropped { .. } | Write::AssertionsDropped(_) => {
            sweep::apply(to, it);
        }
        Write::NewVerifier(_)
        | Write::VerifierSettings(_)
        | Write::VerifierDeleted(..)
        | Write::Instance(_)
        | Write::InstancesRenewed { .. }
        | Write::InstanceDropped { .. } => followers::apply(to, it),
        Write::NewPerson(_)
        | Write::Person(_)
        | Write::PersonDeleted(..)
        | Write::Session(_)
        | Write::SessionEnded(_)
        | Write::AdminToken(_)
        | Write::AdminTokenDeleted(_) => people::apply(to, it),
        Write::Used(place, at) => tokens::stamp(to, *place, *at),
        // The wave has them.
        Write::Token(_)
        | Write::TokenRevoked { .. }
        | Write::TokenPast { .. }
        | Write::Serial(..)
        | Write::BulkSerial(..)
        | Write::Revised(_)
        | Write::Revocations(..)
        | Write::AssertionUsed { .. }
        | Write::Uses { .. }
        | Write::UsesDropped { .. }
        | Write::TokenDropped { .. }
        | Write::Receipt(_) => {}
    }
}
