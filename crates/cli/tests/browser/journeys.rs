//! What people come to the console for, without having read a manual: each journey at a desk,
//! on a phone, by keyboard alone, and without JavaScript.

use crate::{
    browser::Way,
    console::Console,
    key::Key,
    program::finish,
};
use serde_json::{Value, json};

/// Declares the tests of each journey, one for each way.
macro_rules! each_way {
    ($($journey:ident)*) => {
        mod at_a_desk { $(#[test] fn $journey() { super::$journey(crate::browser::Way::Desk); })* }
        mod on_a_phone { $(#[test] fn $journey() { super::$journey(crate::browser::Way::Phone); })* }
        mod by_keyboard { $(#[test] fn $journey() { super::$journey(crate::browser::Way::Keyboard); })* }
        mod without_javascript { $(#[test] fn $journey() { super::$journey(crate::browser::Way::NoScript); })* }
    };
}

each_way! {
    a_provider_and_a_channel_are_created_and_keys_registered
    a_leaked_token_is_revoked_with_a_receipt
}

fn a_provider_and_a_channel_are_created_and_keys_registered(way: Way) {
    let console = Console::start();
    let mika = console.browser(way);
    mika.presses("Create provider").sees("1 to 100 characters");
    mika.fills("Name", "Harbour Foods").presses("Create provider");
    mika.sees("Harbour Foods").sees("No channels to show");

    mika.presses("Create channel").sees("For bots");
    mika.fills("Name", "Order bot").chooses("messaging-api").presses("Create channel");
    mika.sees("New channel secret").sees("Order bot");
    let secret = mika.script("return document.getElementById('secret').textContent", vec![]);
    assert_eq!(secret.as_str().unwrap().trim().len(), 32, "{secret}");
    mika.presses("Hide").sees("Assertion signing keys").does_not_see(secret.as_str().unwrap());

    let pasted = Key::generate().jwk();
    let mut private = pasted.clone();
    private["d"] = json!("AQAB");
    mika.fills("Public key (JWK or PEM)", &private.to_string()).presses("Register key");
    mika.sees("This is a private key").does_not_see("AQAB\"");
    mika.fills("Public key (JWK or PEM)", &pasted.to_string()).presses("Register key");
    mika.sees("Order bot");
    mika.until("the registered key", || (console.keys().len() == 1).then_some(()));

    if way != Way::NoScript {
        mika.presses("Generate and download key pair").sees("The private key was downloaded");
        mika.presses("Register key");
        mika.until("both keys", || (console.keys().len() == 2).then_some(()));
    }
    mika.has_no_complaint();
}

fn a_leaked_token_is_revoked_with_a_receipt(way: Way) {
    let console = Console::start();
    let desk = &console.desk;
    let (channel, secret) = desk.channel();
    let mut issue = desk.command(&["token", "issue", "--kind", "short-lived", "--channel", &channel, "--group", "blue", "-o", "json"]);
    let issued = finish(issue.env("TEGATA_CHANNEL_SECRET", secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let token = issued["access_token"].as_str().unwrap();

    let mika = console.browser(way);
    mika.presses("Leak desk").sees("Paste a leaked token");
    let text = format!("curl -H 'Authorization: Bearer {token}' https://bot.example/");
    mika.fills("Token, or text with tokens", &text).presses("Look up tokens");
    mika.sees("Active token").sees("still accepted").sees("blue").sees("never");
    mika.does_not_see(token);

    mika.presses("Revoke this token…").sees("You cannot undo a revocation").sees("1 token");
    mika.fills("Reason", "found in a log").presses("Revoke 1 token");
    mika.sees("Receipt").sees("Done.").sees("Complete");
    let shown = desk.run(&["token", "verify", "--channel", &channel, token]);
    assert_ne!(shown.code, 0, "{shown:?}");
    // The page has an address of its own.
    let receipt = mika.path();
    mika.goes_to("/console").sees("Overview").goes_to(&receipt);
    mika.sees("Complete");
    assert!(receipt.starts_with("/console/receipts/") && !receipt.contains(token), "{receipt}");
    mika.has_no_complaint();
}
