//! Account, in English.

use crate::{html, texts::AccountTexts};
use tegata_policy::permission::{ChannelRole, ProviderRole, Rights};

pub const TEXTS: AccountTexts = AccountTexts {
    you: "You",
    id: "Person ID",
    sessions: "Sessions",
    session: "Signed in",
    present: "this one",
    end_others: "End all other sessions",
    password: "Password",
    password_under: "All your other sessions end when you change the password.",
    old_password: "Present password",
    old_wrong: "The present password is wrong.",
    new_password: "New password",
    change_password: "Change password",
    tokens: "Personal tokens",
    tokens_under: "For programs and the command line. A token has your roles, narrowed by its \
                   rights, until it expires.",
    rights: "Rights",
    rights_name: |rights| match rights {
        Rights::Read => "read",
        Rights::Revoke => "read and revoke",
        Rights::Full => "full",
    },
    valid_for: "Valid for",
    new_token: "New token",
    create_token: "Create token",
    once: "New personal token",
    once_lead: "Copy the token now and store it where the program reads it. You will not be \
                able to see it again.",
    delete_token: |name| html!("Delete the personal token {}?", name),
    delete_token_name: "Delete token",
    delete_token_button: "Delete token",
    delete_token_keep: "Keep token",
    provider_role: |role| match role {
        ProviderRole::Admin => "Admin",
        ProviderRole::Member => "Member",
    },
    channel_role: |role| match role {
        ChannelRole::Admin => "Admin",
        ChannelRole::Member => "Member",
        ChannelRole::Tester => "Tester",
    },
};
