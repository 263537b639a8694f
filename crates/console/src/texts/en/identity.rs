//! Signing in by an identity provider, in English.

use crate::{html, texts::IdentityTexts};

pub const TEXTS: IdentityTexts = IdentityTexts {
    or: "or",
    sign_in: "Sign in with single sign-on",
    continue_title: "Going on to the identity provider",
    continue_link: "Continue",
    code_title: "Second factor",
    code_lead: |account| html!("Your identity provider has signed you in as {}.", account),
    another_way: "Sign in another way",
    not_begun: "This single sign-on was not begun in this browser, was used already, or took too \
                long. Begin again.",
    declined: "The identity provider did not sign you in. Try again, or sign in with your \
               password.",
    unavailable: "The identity provider cannot be used at the moment. Sign in with your password; \
                  for administrators, the server’s log names the reason.",
    invalid: "The identity provider’s answer is not valid, so you are not signed in. Sign in with \
              your password; for administrators, the server’s log names the reason.",
    unlinked: "Your account at the identity provider is not linked to a person who can sign in \
               here. Sign in with your password, then link it under your name.",
    taken: "This account is linked to another person, or another account is linked to you. Unlink \
            that one first.",
    title: "Single sign-on",
    under: "Sign in with your account at an identity provider in place of your password. The \
            password remains, for when the provider cannot be reached.",
    provider: "Identity provider",
    account: "Account there",
    linked_at: "Linked",
    link: "Link account",
    link_question: |issuer| html!("Link your account at {}?", issuer),
    link_lead: "You go to the identity provider to sign in, and come back.",
    link_keep: "Do not link",
    confirm_question: |account| html!("Sign in as {} from now on?", account),
    confirm_lead: |subject, issuer| {
        html!("The holder of the account {} at {} can then sign in as you.", subject, issuer)
    },
    unlink: "Unlink account",
    unlink_question: |issuer| html!("Unlink your account at {}?", issuer),
    unlink_others: |name| html!("Unlink the account of {} at the identity provider?", name),
    unlink_why: "The account at the identity provider signs in no more, and the sessions end that \
                 it may have begun. The password remains.",
    unlink_keep: "Keep it linked",
};
