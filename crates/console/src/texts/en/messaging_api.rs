//! Messaging api, in English.

use crate::{html, texts::MessagingApiTexts};

pub const TEXTS: MessagingApiTexts = MessagingApiTexts {
    title: "Long-lived token",
    no_token: "The channel has no long-lived token.",
    current: "Current token",
    previous: "Previous token",
    revoke: "Revoke",
    previous_in_use: |at| {
        html!(
            "<strong>The previous token is still in use.</strong> It expires {}. Update its \
             clients before. Its expiry cannot be extended. Reissuing again revokes it at once.",
            at
        )
    },
    issue: "Issue",
    issue_under: "Issues the channel’s long-lived token and shows it once.",
    issue_button: "Issue token",
    reissue: "Reissue",
    reissue_under: "Issues a new token and shows it once. The current token stays active for the \
                    time you choose, so that you can update its clients.",
    reissue_button: "Reissue token",
    replace_question: |channel, count| match count {
        0 => html!("Issue a long-lived token of {}?", channel),
        1 => html!("Reissue the long-lived token of {} and revoke the current one now?", channel),
        _ => html!("Reissue the long-lived token of {} and revoke {} tokens now?", channel, count),
    },
    replace_lead: "Clients that use the current token fail until they have the new one, which the \
                   next page shows once.",
    replace_previous_question: |channel, count| match count {
        1 => html!("Reissue the long-lived token of {} and revoke the previous one now?", channel),
        _ => html!(
            "Reissue the long-lived token of {} and revoke {} previous tokens now?",
            channel,
            count
        ),
    },
    replace_previous_lead: |length| {
        format!(
            "Clients that use the previous token fail from now on. The current token stays active \
             for {length}. The next page shows the new one once."
        )
    },
    replace_keep: "Keep tokens",
    delay: "Keep the current token active for",
    delay_none: "0 hours (revoke now)",
    other: "Other",
    hours: "hours",
    hours_wrong: "Enter a number of hours from 0 to 24.",
    once: "New long-lived token",
    once_lead: "Copy the token now and store it where your bot reads it. Tegata does not store \
                tokens, so you will not be able to see it again.",
    about: "About long-lived tokens",
    about_text: "A channel has one long-lived token. It does not expire, so a leaked token works \
                 until you revoke it. v2.1 tokens expire and can be rotated one group at a time.",
};
