//! Roles, in English.

use crate::{html, html::Html, texts::RolesTexts};
use tegata_policy::{
    acts::PersonState,
    permission::{ChannelRole, OperatorRole, ProviderRole},
};

pub const TEXTS: RolesTexts = RolesTexts {
    title: "Roles",
    people: "People",
    no_people: "No person has a role here.",
    role: "Role",
    no_role: "No role",
    you: "you",
    state: |state| match state {
        PersonState::Invited => "invited",
        PersonState::Active => "active",
        PersonState::Disabled => "disabled",
    },
    invited_until: "The invitation expires",
    change: "Change role",
    change_short: "Change",
    change_question: |name, role| html!("Change the role of {} to {}?", name, Html::text(role)),
    take: "Take role away",
    take_question: |name| html!("Remove {}’s role?", name),
    take_why: "The person keeps roles in other places, and can sign in as before.",
    own: "This is your own role",
    own_why: "You may not be able to undo this yourself.",
    leave: "Give up role",
    leave_question: |channel| html!("Give up your role in {}?", channel),
    add: "Give a role",
    person: "Person ID",
    person_hint: "10 digits. A person finds it at Your account.",
    person_wrong: "There is no person with this ID.",
    give: "Give role",
    invite: "Invite a person",
    invite_under: "Makes a link that works once. Hand it over in confidence: its holder sets the \
                   password and the second factor.",
    invite_button: "Invite person",
    login_hint: "1 to 64 of a-z 0-9 . _ @ + -, beginning with a letter or a digit, and not 10 digits \
                 alone.",
    login_wrong: "Enter 1 to 64 of a-z 0-9 . _ @ + -, beginning with a letter or a digit, and not \
                  10 digits alone.",
    login_taken: "A person with this sign-in name exists. Give the role by the person’s ID.",
    name_hint: "Shown to other people and in the audit log. Empty: the sign-in name.",
    once: "New invitation",
    once_lead: "Copy the link now and hand it over in confidence. You will not be able to see it \
                again.",
    what: "What each role permits",
    operator_hint: |role| match role {
        OperatorRole::Administrator => "Everything.",
        OperatorRole::OnCall => {
            "Reads everything, revokes, suspends, deletes keys and groups, takes roles away and \
             disables people. Creates nothing and sees no secret."
        }
        OperatorRole::Auditor => "Reads everything.",
    },
    provider_hint: |role| match role {
        ProviderRole::Admin => {
            "Renames and deletes the provider, creates its channels, manages its roles. Gives no \
             access to the settings of channels."
        }
        ProviderRole::Member => "Sees the provider’s name and ID.",
    },
    channel_hint: |role| match role {
        ChannelRole::Admin => "Everything in the channel, secrets and keys included.",
        ChannelRole::Member => "Sees the channel’s settings and groups.",
        ChannelRole::Tester => "Sees the channel.",
    },
    disable: "Disable person",
    disable_question: |name| html!("Disable {}?", name),
    disable_why: "All sessions and personal tokens stop working until you enable the person \
                  again.",
    enable: "Enable person",
    reset: "Reset sign-in",
    reset_question: |name| html!("Reset the sign-in of {}?", name),
    reset_why: "Password, second factor and all sessions end. You get a link that works once, \
                with which the person sets new ones. Roles and personal tokens stay: if a device was \
                lost that had tokens, delete them on the person’s page.",
    reset_own_why: "Your password, your second factor and all your sessions end, this one too. The \
                    next page shows a link that works once, with which you set new ones: until then \
                    you cannot sign in.",
    delete: "Delete person",
    delete_question: |name| html!("Delete {}?", name),
    delete_why: "Sessions, personal tokens and all roles are deleted, too. You cannot undo this.",
    keep: "Change nothing",
    account: "Sign-in",
    in_places: "Roles in providers and channels",
};
