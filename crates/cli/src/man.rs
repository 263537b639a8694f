//! `tegata man`: the manual, generated from the commands' help texts.

use crate::output::Output;
use anyhow::Context;
use serde_json::json;
use std::path::Path;

/// Writes a page for each command, such as `tegata-token-issue.1`.
pub fn write(command: clap::Command, folder: &Path, out: &Output) -> anyhow::Result<()> {
    let named = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(named)?;
    clap_mangen::generate_to(command, folder).with_context(named)?;
    let done = format!("the pages are in {0}; read one: man {0}/tegata.1", named());
    out.done(&done, &json!({ "folder": folder }))
}
