//! Overview, in English.

use crate::{
    html,
    html::{Bdi, Html},
    texts::OverviewTexts,
};
use tegata_token::kind::Kind;

pub const TEXTS: OverviewTexts = OverviewTexts {
    title: "Overview",
    alerts_lead: |count, more| match (count, more) {
        (0, _) => "No warnings.".to_owned(),
        (1, false) => "1 warning.".to_owned(),
        (_, false) => format!("{count} warnings, most urgent first."),
        (_, true) => format!("More than {count} warnings, most urgent of the first ones first."),
    },
    searched: |when| format!("All channels were searched {when}."),
    leaked: "Revoke leaked token",
    create_provider: "Create provider",
    warnings: "Warnings",
    view: "View",
    providers: "Providers",
    search: "Search providers and channels by name or ID",
    name_or_id: "Name or ID",
    nothing_found: "Nothing found.",
    no_providers: "No providers yet",
    first_steps: "A provider is the organisation that owns channels. Create one, then create a \
                  channel in it.",
    revoking: |left| match left {
        1 => "revoking tokens: 1 channel left".to_owned(),
        _ => format!("revoking tokens: {left} channels left"),
    },
    token_expires: |kind, group, channel| {
        html!("The {} token of {} has no replacement", kind_name(kind), holder(group, channel))
    },
    token_expires_why: |at, used| {
        html!("It expires {}; last used: {}. Issue and deploy a new token.", at, used)
    },
    token_unused: |kind, group, channel| {
        html!("A {} token of {} has never been used", kind_name(kind), holder(group, channel))
    },
    unused_why: |at| html!("It was issued {}. Deploy it, or revoke it if it is not needed.", at),
    token_replaced: |kind, group, channel| {
        html!("{} still uses its older {} token", holder(group, channel), kind_name(kind))
    },
    token_replaced_why: |at, used| {
        html!("The older token expires {}; last used: {}. Deploy the newer one.", at, used)
    },
    secret_expires: |channel| html!("The previous secret of {} expires", channel),
    secret_expires_why: |at| html!("It expires {}. Update all clients to the current secret.", at),
    key_unused: |channel| html!("An assertion key of {} has never been used", channel),
    key_unused_why: |at| html!("It was registered {}. Delete it if it is not needed.", at),
    nearly_full: |kind, channel| {
        html!("{} nearly has as many {} tokens as it may have", channel, kind_name(kind))
    },
    nearly_full_why: |active, cap| {
        format!("{active} of {cap} are active. Revoke tokens that are not used any more.")
    },
    signing_key_overdue: "The signing key should be replaced",
    signing_key_overdue_why: |at| {
        html!("Its replacement was due {}. No token becomes invalid when it is replaced.", at)
    },
    certificate_expires: "The TLS certificate expires",
    certificate_expires_why: |at| {
        html!("It expires {}. Renew it in its file; the server reads it again by itself.", at)
    },
    backup_old: "The newest backup is old",
    backup_old_why: |at| {
        html!("It was made {}. Make one, then find out why no other was made.", at)
    },
    went_backwards: "The store may be an older copy",
    went_backwards_why: |at| {
        html!(
            "A verifier knew more than the store, last {}. Revoked tokens may be active again: find \
             out whether the store was replaced.",
            at
        )
    },
    contact: |contact| html!("Contact: {}.", contact),
};

fn kind_name(kind: Kind) -> Html {
    Html::from(kind.name())
}

fn holder(group: Option<Bdi<'_>>, channel: Bdi<'_>) -> Html {
    match group {
        Some(group) => html!("{} ({})", group, channel),
        None => html!("{}", channel),
    }
}
