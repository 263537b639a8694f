//! Forms as a browser sends them: twice, again, and while something is typed.

use crate::{
    browser::{Browser, Way},
    console::{Authenticator, Console, PASSWORD},
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
