//! Replays the inputs that fuzzing has kept (`fuzz/corpus`) through the functions that the
//! fuzzer calls. `cargo xtask fuzz` looks for new ones.

#[path = "../../src/serve/address.rs"]
#[expect(dead_code, reason = "what the settings lead to is not needed here")]
mod address;
#[path = "../../src/duration.rs"]
mod duration;
#[path = "../../src/serve/file.rs"]
mod file;
#[path = "../../src/log/settings.rs"]
mod log;
#[path = "../../src/serve/settings.rs"]
mod settings;
#[path = "../../../../fuzz/targets/mod.rs"]
mod targets;

use std::{fs, path::Path};

#[test]
fn every_kept_input_satisfies_the_properties() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "nothing was kept for {name}");
        for path in paths {
            let input = fs::read(&path).expect("an input");
            // A property that fails panics, and the name of the input goes with it.
            println!("{}", path.display());
            target(&input);
        }
    }
}

#[test]
fn every_folder_of_inputs_has_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for folder in fs::read_dir(corpus).expect("the corpus") {
        let name = folder.expect("a folder").file_name();
        assert!(targets::TARGETS.iter().any(|(known, _)| name == *known), "{name:?}");
    }
}
