//! Acts that take no tokens away: their reason, and the dry run of a deletion.

use super::taking::Reason;
use crate::{api::admin::administrator::Administrator, authority::admin::Admin};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The reason of an act that has no other parameters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Reason>,
}

impl Reasoned {
    /// The reason, if one is given.
    pub fn reason(self) -> Option<String> {
        self.reason.map(|it| it.0)
    }
}

/// The query of a deletion that takes no tokens away.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Forgetting {
    /// The reason, for the audit.
    #[param(value_type = Option<String>, min_length = 1, max_length = 500)]
    reason: Option<Reason>,
    /// Delete nothing; show the person, personal tokens and sessions that would be deleted.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

impl Forgetting {
    /// Whether it is a dry run, and the administration with the reason.
    pub fn split(self, who: Administrator) -> (bool, Admin) {
        (self.dry_run, who.admin.because(self.reason.map(|it| it.0)))
    }
}
