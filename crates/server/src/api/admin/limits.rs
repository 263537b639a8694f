//! A channel's limits, as requests change them and responses show them.

use crate::api::admin::read::Whole;
use serde::{Deserialize, Serialize};
use tegata_policy::channel::ChannelLimits;
use tegata_store::LimitsPatch;
use tegata_token::time::DAY;
use utoipa::ToSchema;

/// A rate: a higher limit would not limit anything.
type Rate = Whole<1, 1_000_000>;

/// The rate and surge limits of a channel; null: the server's limit applies.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Short-lived tokens per second.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    issue_rate_short_lived: Option<Option<Rate>>,
    /// Requests per second for each operation but LINE's two verifications.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    issue_rate: Option<Option<Rate>>,
    /// Requests per second for each of LINE's two verifications.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    verify_rate: Option<Option<Rate>>,
    /// Tokens of one kind that can be issued per window before a cooldown begins; 0
    /// disables the limit.
    #[schema(value_type = Option<u32>)]
    surge_limit: Option<Option<Whole<0, { u32::MAX as i64 }>>>,
    /// The length of the window.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86_400)]
    surge_window_seconds: Option<Option<Whole<1, DAY>>>,
    /// The length of the cooldown.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86_400)]
    surge_cooldown_seconds: Option<Option<Whole<1, DAY>>>,
}

impl From<Limits> for LimitsPatch {
    fn from(it: Limits) -> Self {
        Self {
            issue_rate_short_lived: it.issue_rate_short_lived.map(|it| it?.positive()),
            issue_rate: it.issue_rate.map(|it| it?.positive()),
            verify_rate: it.verify_rate.map(|it| it?.positive()),
            surge_limit: it.surge_limit.map(|it| it?.limit()),
            surge_window_seconds: it.surge_window_seconds.map(|it| it?.positive()),
            surge_cooldown_seconds: it.surge_cooldown_seconds.map(|it| it?.positive()),
        }
    }
}

impl From<ChannelLimits> for Limits {
    fn from(it: ChannelLimits) -> Self {
        Self {
            issue_rate_short_lived: Some(it.issue_rate_short_lived.map(Whole::from)),
            issue_rate: Some(it.issue_rate.map(Whole::from)),
            verify_rate: Some(it.verify_rate.map(Whole::from)),
            surge_limit: Some(it.surge_limit.map(Whole::from)),
            surge_window_seconds: Some(it.surge_window_seconds.map(Whole::from)),
            surge_cooldown_seconds: Some(it.surge_cooldown_seconds.map(Whole::from)),
        }
    }
}
