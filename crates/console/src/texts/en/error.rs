//! Error, in English.

use crate::{html, texts::ErrorTexts};

pub const TEXTS: ErrorTexts = ErrorTexts {
    in_title: "Error: ",
    mistakes: "There is a problem",
    not_found: "Page not found",
    not_found_why: "The page does not exist, or you do not have access to it.",
    forbidden: "Permission required",
    forbidden_why: "Your role lets you see this, but not change it. An Admin of the channel or \
                    the provider, or an administrator, can give you another role.",
    foreign: "Request from another site",
    foreign_why: "Your browser did not confirm that this request came from a page of this \
                  console, so nothing was changed. Open the page here and send the form again.",
    bad_request: "Request not understood",
    bad_request_why: "Nothing was changed. Open the page again and send its form.",
    conflict: "Not possible now",
    conflict_why: "Nothing was changed.",
    too_many: "Too many attempts",
    too_many_why: |length| format!("Nothing was changed. Try again in {length}."),
    not_now: "Try again in a moment",
    not_now_why: "The server could not take your request. Nothing was changed.",
    unavailable: "Unknown result",
    unavailable_why: "The server could not confirm your request, because the store did not \
                      respond.",
    unavailable_strong: "Your change may or may not have been saved.",
    unavailable_next: "Look at the present state before you send the request again.",
    sent_before_why: "The same form was sent before, and the server cannot tell whether it was \
                      carried out.",
    again: "Send request again",
    again_why: "You can send the request again: it is applied only once.",
    admins: |names| html!("Admins here: {}.", names),
    on_the_server: "On the server",
    internal: "Internal error",
    internal_why: "This is a bug. Your change may or may not have been saved; the server log \
                   has the details.",
    back: "Go back to the page",
    overview: "Go to overview",
    request: |id| html!("Request ID: {}. The server log lists this request under the same ID.", id),
};
