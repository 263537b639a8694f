//! The fuzzer's end of the targets: which of them runs, the environment says, so
//! that one instrumented build serves all.

#![no_main]

#[path = "../../crates/cli/src/failure.rs"]
#[expect(dead_code, reason = "the exit codes of the program are not needed here")]
mod failure;
#[path = "../../crates/cli/src/serve/settings.rs"]
mod settings;
#[path = "../targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TEGATA_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("TEGATA_FUZZ_TARGET names no target: {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
