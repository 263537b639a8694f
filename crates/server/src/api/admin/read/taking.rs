//! The members that every act that takes something away has: in a body, or in the query
//! of a deletion.

use super::{Line, Whole};
use crate::authority::admin::ActOptions;
use std::time::Duration;
use tegata_policy::text::LONGEST_REASON;

/// The reason of an act.
pub type Reason = Line<LONGEST_REASON>;

/// For how many seconds to wait.
pub type Wait = Whole<0, 60>;

/// Defines a body of an act that takes something away: its own members, and those that
/// all have in common.
macro_rules! taking_body {
    ($(#[$of:meta])* pub struct $name:ident { $($(#[$member:meta])* $own:ident: $type:ty,)* }) => {
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        $(#[$of])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$member])* $own: $type,)*
            /// The reason: for the audit, the tokens' rows and the revocation journal.
            #[schema(value_type = Option<String>, min_length = 1, max_length = 500,
                     nullable = false)]
            reason: Option<crate::api::admin::read::Reason>,
            /// Maximum time to wait until no verifier can accept what the act takes away.
            #[serde(default)]
            #[schema(value_type = u8, required = false, minimum = 0, maximum = 60, default = 0)]
            wait_seconds: crate::api::admin::read::Wait,
            /// Change nothing; list the tokens that would become invalid.
            #[serde(default)]
            #[schema(required = false, default = false)]
            dry_run: bool,
        }

        impl $name {
            /// How the act is done.
            fn options(&mut self) -> crate::authority::admin::ActOptions {
                let reason = self.reason.take();
                crate::api::admin::read::options(reason, self.wait_seconds, self.dry_run)
            }
        }
    };
}

/// Defines the query of a deletion, likewise.
macro_rules! taking_query {
    ($(#[$of:meta])* pub struct $name:ident { $($(#[$member:meta])* $own:ident: $type:ty,)* }) => {
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        $(#[$of])*
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($(#[$member])* $own: $type,)*
            /// The reason: for the audit, the tokens' rows and the revocation journal.
            #[param(value_type = Option<String>, min_length = 1, max_length = 500)]
            reason: Option<crate::api::admin::read::Reason>,
            /// Maximum time to wait until no verifier can accept what the act takes away.
            #[serde(default)]
            #[param(value_type = u8, required = false, minimum = 0, maximum = 60, default = 0)]
            wait_seconds: crate::api::admin::read::Wait,
            /// Delete nothing; list the tokens that would become invalid.
            #[serde(default)]
            #[param(required = false)]
            dry_run: bool,
        }

        impl $name {
            /// How the act is done.
            pub fn options(&mut self) -> crate::authority::admin::ActOptions {
                let reason = self.reason.take();
                crate::api::admin::read::options(reason, self.wait_seconds, self.dry_run)
            }
        }
    };
}

/// The options that these members give.
pub fn options(reason: Option<Reason>, wait: Wait, dry_run: bool) -> ActOptions {
    let wait = Duration::from_secs(wait.get().unsigned_abs());
    ActOptions { reason: reason.map(|it| it.0), wait, dry_run }
}

taking_query! {
    /// The query of a deletion.
    pub struct Deletion {}
}
