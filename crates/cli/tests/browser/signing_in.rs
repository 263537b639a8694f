//! The first administrator, and the way in and out.

use crate::{
    browser::{Browser, Way},
    console::{Authenticator, PASSWORD},
    program::Desk,
};

fn the_first_administrator_signs_in(way: Way) {
    let desk = Desk::with(&["--store", "sqlite:tegata.db"]);
    let invited = desk.json(&["admin", "invite", "mika", "--store", "sqlite:tegata.db"]);
    let invitation = invited["invitation"].as_str().unwrap();
    let mika = Browser::open(&desk.server.url, way);

    if way == Way::NoScript {
        mika.goes_to("/console").sees("Sign in to Tegata");
        mika.presses("Accept an invitation").sees("It works once");
        mika.fills("Invitation", invitation).presses("Continue");
    } else {
        // The link alone, which never sends the invitation in an address.
        mika.goes_to(&format!("/console/invitation#{invitation}"));
    }
    mika.sees("Second factor").fills("Password", "password").fills("Code", "123456");
    mika.presses("Accept invitation");
    // The browser itself may hold back a short password.
    mika.fills("Password", PASSWORD);
    let secret = mika.script("return document.getElementById('totp').textContent", vec![]);
    let phone = Authenticator::of(secret.as_str().unwrap());
    mika.fills("Code", &phone.next_code(&desk)).presses("Accept invitation");

    mika.sees("Recovery codes");
    let recovery = mika.script("return document.getElementById('secret').textContent", vec![]);
    let recovery: Vec<&str> = recovery.as_str().unwrap().split_whitespace().collect();
    assert_eq!(recovery.len(), 10, "{recovery:?}");
    mika.presses("Sign in").sees("Sign in to Tegata");
    mika.fills("Sign-in name", "mika").fills("Password", PASSWORD);
    mika.fills("Code", &phone.next_code(&desk)).presses("Sign in").sees("Overview");

    mika.presses("Sign out").sees("Sign in to Tegata");
    mika.goes_to("/console/account").sees("Sign in to Tegata");
    mika.fills("Sign-in name", "mika").fills("Password", PASSWORD);
    mika.fills("Code", recovery[0]).presses("Sign in");
    // Back on the page that was asked for.
    mika.sees("Change password");
    assert_eq!(mika.path(), "/console/account");
    mika.has_no_complaint();
}

#[test]
fn the_first_administrator_signs_in_by_a_link_at_a_desk() {
    the_first_administrator_signs_in(Way::Desk);
}

#[test]
fn the_first_administrator_signs_in_by_a_link_on_a_phone() {
    the_first_administrator_signs_in(Way::Phone);
}

#[test]
fn the_first_administrator_signs_in_by_a_link_by_keyboard() {
    the_first_administrator_signs_in(Way::Keyboard);
}

#[test]
fn the_first_administrator_signs_in_without_javascript() {
    the_first_administrator_signs_in(Way::NoScript);
}
