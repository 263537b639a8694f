//! The scenes in which decisions are measured, built from the token crate.
//!
//! The one place of the benchmark that names `tegata_token`: everything else
//! knows HTTP, files and times.

use super::{Scene, Spec};

/// The scene of the spec.
pub(super) fn build(spec: &Spec) -> anyhow::Result<Scene> {
    anyhow::bail!(
        "no scene can be built yet ({} tokens in use of {} issued on {} channels, {} endings)",
        spec.in_use,
        spec.issued,
        spec.channels,
        spec.ended
    )
}
