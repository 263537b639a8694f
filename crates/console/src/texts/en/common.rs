//! Common, in English.

use crate::texts::CommonTexts;

pub const TEXTS: CommonTexts = CommonTexts {
    command_line: "Command line",
    name: "Name",
    name_hint: "1 to 100 characters. Does not have to be unique.",
    created: "Created",
    last_used: "Last used",
    never: "never",
    none: "none",
    search: "Search",
    older: "Older",
    newest: "Newest",
    action: "Action",
    active: "active",
    suspended: "suspended",
    deleted: "deleted",
    copy: "Copy",
    copied: "Copied",
    hide: "Hide",
    save: "Save",
    delete: "Delete…",
    expires: "Expires",
    provider: "Provider",
    channel: "Channel",
    kind: "Type",
    state: "State",
    name_wrong: "Enter a name of 1 to 100 characters that shows something, without characters that control the direction of writing.",
    keep: "Change nothing",
};

/// A number of tokens.
pub fn tokens(count: usize) -> String {
    match count {
        1 => "1 token".to_owned(),
        _ => format!("{count} tokens"),
    }
}
