//! Runs the target that `TEGATA_FUZZ_TARGET` names, so that one instrumented build
//! serves all targets.

#![no_main]

#[path = "../../crates/cli/src/serve/address.rs"]
#[expect(dead_code, reason = "the fuzzer parses settings and does not use them")]
mod address;
#[path = "../../crates/cli/src/duration.rs"]
mod duration;
#[path = "../../crates/cli/src/serve/file.rs"]
mod file;
#[path = "../../crates/cli/src/log/settings.rs"]
mod log;
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
