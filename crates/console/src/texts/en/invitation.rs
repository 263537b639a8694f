//! Invitation, in English.

use crate::{html, texts::InvitationTexts};

pub const TEXTS: InvitationTexts = InvitationTexts {
    title: "Accept an invitation",
    lead: "With an invitation you set your password and your second factor. It works once.",
    invitation: "Invitation",
    invitation_hint: "The link that you were given, or the part of it that begins with tgi_.",
    unknown: "There is no such invitation: it was used, it has expired, or it was not copied \
              completely. If you have just accepted it, sign in; if not, ask for a new one.",
    open: "Continue",
    accept: "Accept invitation",
    expires: |at| html!("The invitation works once and expires {}.", at),
    name: "For",
    password: "Password",
    password_hint: "At least 12 characters. Several unrelated words work well. You can paste \
                    from a password manager.",
    password_wrong: "Enter 12 to 200 characters with at least 5 different ones, and not little \
                     more than your own name.",
    second_factor: "Second factor",
    second_factor_hint: "Add this to an authenticator program: scan the code, or enter the \
                         secret. Then enter the 6 digits that it shows.",
    qr: "QR code of the secret below, for an authenticator program",
    secret: "Secret:",
    code_hint: "The 6 digits that the authenticator shows now.",
    code_wrong: "This is not the code of this secret at present. Compare the clock of the \
                 device, and enter the code that is shown now.",
    strength_label: "Password strength",
    strength: |strength| match strength {
        0 => "very weak",
        1 => "weak",
        2 => "fair",
        3 => "good",
        _ => "very good",
    },
    codes: "Recovery codes",
    codes_lead: "Store these codes now: each of them signs you in once without the \
                 authenticator. You will not be able to see them again.",
    then: "Then sign in, once the authenticator shows another code.",
    own: "Set a new password",
    own_lead: "Your sign-in is reset, and all your sessions have ended. Continue now, or copy the \
               link: it works once, within a day. You will not be able to see it again.",
};
