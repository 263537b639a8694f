//! Frame, in English.

use crate::{html, named::Theme, texts::FrameTexts};
use tegata_policy::permission::OperatorRole;

pub const TEXTS: FrameTexts = FrameTexts {
    skip: "Skip to content",
    menu: "Menu",
    main: "Main",
    overview: "Overview",
    leak_desk: "Leak desk",
    verifiers: "Verifiers",
    signing_keys: "Signing keys",
    audit: "Audit log",
    people: "People",
    account: "Your account",
    role: |role| match role {
        OperatorRole::Administrator => "Administrator",
        OperatorRole::OnCall => "On call",
        OperatorRole::Auditor => "Auditor",
    },
    comma: ", ",
    sign_out: "Sign out",
    you_are_here: "You are here",
    dev: "Development mode: for trials and tests only.",
    ahead: |length| format!("The clock is {length} ahead."),
    server: |version, host| html!("Tegata {} on {}.", html::Html::text(version), host),
    zone: "All times are UTC.",
    updated: |at| html!("Last updated {}.", at),
    refresh: "Refresh page",
    theme: "Theme",
    theme_name: |theme| match theme {
        Theme::System => "System",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    },
    language: "Language",
};
