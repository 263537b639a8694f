//! Sign in, in English.

use crate::texts::SignInTexts;

pub const TEXTS: SignInTexts = SignInTexts {
    title: "Sign in to Tegata",
    login: "Sign-in name",
    password: "Password",
    code: "Code",
    code_hint: "6 digits from your authenticator, or a recovery code.",
    sign_in: "Sign in",
    wrong: "The sign-in name, the password or the code is wrong. A code works once: wait for \
            the next one.",
    too_many: |length| format!("Too many attempts. Try again in {length}."),
    busy: "Too many people sign in at the moment. Try again.",
    invited: "Invited?",
    invited_link: "Accept an invitation",
    locked_out: "Locked out? If no administrator can sign in, run this command on the server. \
                 STORE is the value of the server’s --store. While the server runs, the command also \
                 needs the administrator’s token: --admin-token-file FILE.",
    invite: "Makes a link for a new administrator, NAME",
    signed_out: "You are signed out.",
};
