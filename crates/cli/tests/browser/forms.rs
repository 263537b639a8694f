//! Forms as a browser sends them: twice, again, and while something is typed.

use crate::{
    browser::{Browser, Way},
    console::{Authenticator, Console, PASSWORD},
    program::finish,
};
use serde_json::{Value, json};

/// The names of the providers.
fn providers(console: &Console) -> Vec<Value> {
    let listed = console.desk.json(&["provider", "list"]);
    listed["providers"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
}

#[test]
fn a_form_that_is_sent_twice_at_once_creates_one_thing() {
    let console = Console::start();
    let mika = console.browser(Way::Desk);
    mika.goes_to("/console/providers/new").fills("Name", "Harbour Foods");
    let twice = "const form = document.querySelector('form[action=\"/console/providers\"]');
        const send = () => fetch(form.action, { method: 'POST', redirect: 'manual',
            body: new URLSearchParams(new FormData(form)) });
        const done = arguments[0];
        Promise.all([send(), send()]).then(all => done(all.map(it => it.type)))";
    let sent = mika.driver.wait(mika.driver.client.execute_async(twice, vec![]));
    assert_eq!(sent, json!(["opaqueredirect", "opaqueredirect"]));
    let made = providers(&console).into_iter().filter(|it| it == "Harbour Foods").count();
    assert_eq!(made, 1);
}

fn a_form_that_the_store_did_not_answer_is_sent_again_and_creates_one_thing(way: Way) {
    let console = Console::start();
    let mika = console.browser(way);
    mika.goes_to("/console/providers/new").fills("Name", "Harbour Foods");
    // Another process holds the database's write lock.
    let store = rusqlite::Connection::open(console.desk.home.path("tegata.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    mika.presses("Create provider").sees("Unknown result").sees("it is applied only once");
    store.execute_batch("ROLLBACK").unwrap();
    mika.presses("Send request again");
    let shown = mika.until("an answer", || {
        let text = mika.text();
        ["Harbour Foods", "sent before"].into_iter().find(|it| text.contains(it))
    });
    let made = providers(&console).into_iter().filter(|it| it == "Harbour Foods").count();
    // The store may have taken the form in the moment in which its time was over: then the
    // server cannot tell more, and creates nothing a second time.
    let most = if shown == "sent before" { 0..=1 } else { 1..=1 };
    assert!(most.contains(&made), "{shown}: {made}");
}

#[test]
fn a_form_that_the_store_did_not_answer_is_sent_again_by_keyboard() {
    a_form_that_the_store_did_not_answer_is_sent_again_and_creates_one_thing(Way::Keyboard);
}

#[test]
fn a_form_that_the_store_did_not_answer_is_sent_again_without_javascript() {
    a_form_that_the_store_did_not_answer_is_sent_again_and_creates_one_thing(Way::NoScript);
}

/// Whether the first element that a selector finds is in view, as a whole.
const IN_VIEW: &str = "const it = document.querySelector(arguments[0]).getBoundingClientRect();
    return it.height > 0 && it.top >= 0 && it.bottom <= innerHeight";

fn a_form_that_is_not_accepted_is_announced_at_the_top(way: Way) {
    let console = Console::start();
    console.desk.channel();
    let mika = console.browser(way);
    mika.presses("shop").sees("Assertion signing keys");
    mika.fills("Public key (JWK or PEM)", "nonsense").presses("Register key");
    mika.sees("There is a problem");
    assert_eq!(mika.script("return document.title.split(' ')[0]", vec![]), json!("Error:"));
    let focus = "return document.activeElement.getAttribute('aria-labelledby')";
    mika.until("the focus", || (mika.script(focus, vec![]) == json!("h-mistakes")).then_some(()));
    assert_eq!(mika.script(IN_VIEW, vec![json!("#h-mistakes")]), json!(true));
    let link = mika.script("return document.querySelector('[href=\"#key\"]').textContent", vec![]);
    mika.presses(link.as_str().unwrap());
    mika.until("the focus in the field", || {
        (mika.script("return document.activeElement.id", vec![]) == json!("key")).then_some(())
    });
    assert_eq!(mika.script(IN_VIEW, vec![json!("#key")]), json!(true));
    mika.has_no_complaint();
}

#[test]
fn a_form_that_is_not_accepted_is_announced_without_javascript() {
    a_form_that_is_not_accepted_is_announced_at_the_top(Way::NoScript);
}

#[test]
fn a_form_that_is_not_accepted_is_announced_on_a_phone() {
    a_form_that_is_not_accepted_is_announced_at_the_top(Way::Phone);
}

#[test]
fn a_generated_key_says_what_to_do_next_where_the_person_looks_on_a_phone() {
    let console = Console::start();
    console.desk.channel();
    let mika = console.browser(Way::Phone);
    mika.presses("shop").sees("Assertion signing keys");
    mika.presses("Generate and download key pair").sees("The private key was downloaded");
    mika.until("the next step in view", || {
        (mika.script(IN_VIEW, vec![json!("#generated")]) == json!(true)).then_some(())
    });
    // The next press of Tab goes to the button that registers it.
    let focus = "return document.activeElement.id";
    assert_eq!(mika.script(focus, vec![]), json!("generated"));
    mika.presses("Register key").sees("The key was registered under").sees("--key-id");
    mika.presses("Copy");
    mika.has_no_complaint();
}

#[test]
fn the_other_tokens_of_a_leak_are_reached_without_looking_them_up_again() {
    let console = Console::start();
    let (channel, secret) = console.desk.channel();
    let issue = || {
        let at = ["--channel", &*channel];
        let words = ["token", "issue", "--kind", "short-lived", "-o", "json"];
        let mut issue = console.desk.command(&[&words[..], &at].concat());
        let issued = finish(issue.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let issued: Value = serde_json::from_str(&issued).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let tokens = [issue(), issue()];
    let mika = console.browser(Way::Desk);
    mika.presses("Leak desk").fills("Token, or text with tokens", &tokens.join(" "));
    mika.presses("Look up tokens").sees("2 tokens found");
    mika.sees("Other active tokens of the channel without a group");
    mika.presses("Revoke this token…").sees("Other tokens that were found");
    mika.fills("Reason", "found in a log").presses("Revoke 1 token").sees("What was changed");
    mika.sees("found in a log").sees("Other tokens that were found");
    mika.presses("Revoke…");
    mika.sees("You cannot undo a revocation");
    mika.fills("Reason", "found in a log").presses("Revoke 1 token").sees("What was changed");
    for token in &tokens {
        assert_ne!(console.desk.run(&["token", "verify", token]).code, 0);
    }
    mika.has_no_complaint();
}

/// The strength that the page shows of what was typed.
fn strength(browser: &Browser) -> Value {
    let shown = "const line = document.querySelector('[data-strength]');
        return line.hidden ? null : [line.querySelector('meter').value, line.innerText.trim()]";
    browser.script(shown, vec![])
}

fn the_strength_of_a_password_is_shown_while_it_is_typed(way: Way) {
    let console = Console::start();
    let mika = console.browser(way);
    mika.goes_to("/console/account").sees("Change password");
    assert_eq!(strength(&mika), Value::Null, "nothing is typed");
    for (typed, shown) in [
        ("kV7", json!([0, "very weak"])),
        ("aaaaaaaaaaaaaaaa", json!([0, "very weak"])),
        // The own name adds nothing.
        ("mika@example.com", json!([0, "very weak"])),
        ("correct horse battery staple", json!([4, "very good"])),
    ] {
        mika.fills("New password", typed);
        assert_eq!(strength(&mika), shown, "{typed}");
    }
    mika.has_no_complaint();
}

#[test]
fn the_strength_of_a_password_is_shown_while_it_is_typed_at_a_desk() {
    the_strength_of_a_password_is_shown_while_it_is_typed(Way::Desk);
}

#[test]
fn the_strength_of_a_password_is_shown_while_it_is_typed_by_keyboard() {
    the_strength_of_a_password_is_shown_while_it_is_typed(Way::Keyboard);
}

#[test]
fn without_javascript_the_strength_is_not_shown_before_the_server_has_found_it() {
    let console = Console::start();
    let invited =
        console.desk.json(&["person", "invite", "aoi", "--operator", "--role", "auditor"]);
    let aoi = Browser::open(&console.desk.server.url, Way::NoScript);
    aoi.goes_to("/console/invitation").fills("Invitation", invited["invitation"].as_str().unwrap());
    aoi.presses("Continue").sees("Second factor");
    let secret = aoi.script("return document.getElementById('totp').textContent", vec![]);
    aoi.fills("Password", PASSWORD);
    assert_eq!(strength(&aoi), Value::Null);
    let code = Authenticator::of(secret.as_str().unwrap()).next_code(&console.desk);
    aoi.fills("Code", &code).presses("Accept invitation");
    aoi.sees("Recovery codes").sees("Password strength: very good");
}
