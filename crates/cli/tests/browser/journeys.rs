//! What people come to the console for, without having read a manual: each journey at a desk,
//! on a phone, by keyboard alone, and without JavaScript.

use crate::{browser::Way, console::Console, key::Key, program::finish};
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
    a_long_lived_token_is_issued_and_reissued_with_a_delay
    who_uses_a_token_is_shown
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

fn a_long_lived_token_is_issued_and_reissued_with_a_delay(way: Way) {
    let console = Console::start();
    console.desk.channel();
    let is_active = |token: &str| console.desk.run(&["token", "verify", token]).code == 0;
    let mika = console.browser(way);
    let shown = || {
        mika.sees("New long-lived token");
        let text = mika.script("return document.getElementById('secret').textContent", vec![]);
        text.as_str().unwrap().trim().to_owned()
    };

    mika.presses("shop").sees("Assertion signing keys");
    mika.presses("Messaging API").sees("The channel has no long-lived token.");
    mika.presses("Issue token");
    let first = shown();
    assert!(first.starts_with("tgl_") && is_active(&first), "{first}");
    mika.presses("Hide").sees("Current token").does_not_see(&first);

    mika.chooses("1 hour").presses("Reissue token").sees("Previous token");
    let second = shown();
    assert!(second != first && is_active(&first) && is_active(&second));
    console.desk.server.advance(3_700);
    assert!(!is_active(&first) && is_active(&second), "the delay is over");
    assert!(!mika.path().contains("tgl_"), "{}", mika.path());
    mika.presses("Revoke…").sees("You cannot undo a revocation");
    mika.has_no_complaint();
}

fn who_uses_a_token_is_shown(way: Way) {
    let console = Console::start();
    let (channel, secret) = console.desk.channel();
    let token = issue(&console, &channel, &secret);
    console.desk.run(&["token", "verify", &token]).expect(0);
    let console = console.restarted();
    let mika = console.browser(way);
    mika.presses("shop").sees("Assertion signing keys").presses("Tokens");
    mika.sees("All tokens").sees("blue").sees("short-lived");
    let listed = console.desk.json(&["token", "list", "--channel", &channel]);
    mika.presses(listed["tokens"][0]["token_id"].as_str().unwrap());
    mika.sees("Recent uses").sees("127.0.0.1");
    mika.has_no_complaint();
}

/// The text of a new short-lived token of the group `blue`.
fn issue(console: &Console, channel: &str, secret: &str) -> String {
    let words = ["token", "issue", "--kind", "short-lived", "--group", "blue", "-o", "json"];
    let mut issue = console.desk.command(&[&words[..], &["--channel", channel]].concat());
    let issued = finish(issue.env("TEGATA_CHANNEL_SECRET", secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    issued["access_token"].as_str().unwrap().to_owned()
}

fn a_leaked_token_is_revoked_with_a_receipt(way: Way) {
    let console = Console::start();
    let desk = &console.desk;
    let (channel, secret) = desk.channel();
    let token = &issue(&console, &channel, &secret);

    let mika = console.browser(way);
    mika.presses("Leak desk").sees("Paste a leaked token");
    let text = format!("curl -H 'Authorization: Bearer {token}' https://bot.example/");
    mika.fills("Token, or text with tokens", &text).presses("Look up tokens");
    mika.sees("Active token").sees("still accepted").sees("blue").sees("never");
    mika.does_not_see(token);

    mika.presses("Revoke this token…").sees("You cannot undo a revocation").sees("1 token");
    mika.fills("Reason", "found in a log").presses("Revoke 1 token");
    mika.sees("Receipt").sees("No verifier accepts what was revoked any more");
    let shown = desk.run(&["token", "verify", token]);
    assert_ne!(shown.code, 0, "{shown:?}");
    // The page has an address of its own.
    let receipt = mika.path();
    mika.goes_to("/console").sees("Overview").goes_to(&receipt);
    mika.sees("No verifier accepts what was revoked any more");
    assert!(receipt.starts_with("/console/receipts/") && !receipt.contains(token), "{receipt}");
    mika.has_no_complaint();
}
