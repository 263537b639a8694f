//! Signing in by an identity provider: npm's `oidc-provider`, with a page of its own.

use crate::{
    browser::{Browser, Way},
    console::Console,
    node::{CLIENT_ID, CLIENT_SECRET, NodeProvider},
    pages::Check,
};

/// A console with an identity provider.
fn console() -> (Console, NodeProvider) {
    let mut provider = NodeProvider::start();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), CLIENT_SECRET).unwrap();
    let console = Console::with(&[
        "--oidc-issuer",
        &provider.issuer,
        "--oidc-client-id",
        CLIENT_ID,
        "--oidc-client-secret-file",
        secret.path().to_str().unwrap(),
    ]);
    provider.serves(&console.desk.server.url);
    (console, provider)
}

fn a_person_links_an_account_and_signs_in_by_it(way: Way) {
    let (console, _provider) = console();
    let mika = console.browser(way);
    mika.goes_to("/console/account")
        .presses("Link account")
        .sees("You go to the identity provider");
    mika.presses("Link account").sees("The provider").fills("Name", "mika-1").presses("Go");
    mika.sees("Sign in as mika-1 at the provider from now on?").presses("Link account");
    mika.sees("Unlink account").has_no_complaint();

    mika.presses("Sign out").sees("Sign in to Tegata");
    mika.goes_to("/console/audit").sees("Sign in to Tegata");
    mika.presses("Sign in with single sign-on");
    // The provider knows the browser by now.
    mika.sees("Your identity provider has signed you in as mika-1 at the provider");
    mika.fills("Code", &console.code()).presses("Sign in").sees("person.link-identity");
    assert_eq!(mika.path(), "/console/audit", "no code of the provider is in the address");
    mika.has_no_complaint();
}

#[test]
fn a_person_links_an_account_and_signs_in_by_it_at_a_desk() {
    a_person_links_an_account_and_signs_in_by_it(Way::Desk);
}

#[test]
fn a_person_links_an_account_and_signs_in_by_it_on_a_phone() {
    a_person_links_an_account_and_signs_in_by_it(Way::Phone);
}

#[test]
fn a_person_links_an_account_and_signs_in_by_it_by_keyboard() {
    a_person_links_an_account_and_signs_in_by_it(Way::Keyboard);
}

#[test]
fn a_person_links_an_account_and_signs_in_by_it_without_javascript() {
    a_person_links_an_account_and_signs_in_by_it(Way::NoScript);
}

fn every_page(language: &'static str) {
    let (console, provider) = console();
    let mut check = Check::new(language);
    let browser = Browser::open(&console.desk.server.url, Way::Desk);
    let name = if language == "en" { "English" } else { "日本語" };
    browser.goes_to("/console/sign-in").presses(name);
    browser.until("the language", || browser.attribute("html", "lang").filter(|it| it == language));
    check.page(&browser, "sign-in-identity");
    console.signs_in_whatever_the_language(&browser);
    browser.goes_to("/console/account");
    check.page(&browser, "account-identity-none");
    browser.goes_to("/console/account/identity/link");
    check.page(&browser, "account-identity-link");
    // The provider's page; the browser comes back by itself.
    browser.sends("form[action='/console/account/identity/link']", &[]);
    browser.sees("The provider").fills("Name", "mika-1").presses("Go");
    browser
        .until("the confirmation", || browser.path().ends_with("/identity/confirm").then_some(()));
    check.page(&browser, "account-identity-confirm");
    browser.sends("form[action='/console/account/identity/confirm']", &[]);
    check.page(&browser, "account-identity");
    browser.goes_to("/console/account/identity/unlink");
    check.page(&browser, "account-identity-unlink");
    let mika = console.desk.json(&["person", "list"]);
    let mika = mika["people"][0]["person_id"].as_str().unwrap();
    browser.goes_to(&format!("/console/people/{mika}"));
    check.page(&browser, "person-identity");
    browser.goes_to(&format!("/console/people/{mika}/unlink"));
    check.page(&browser, "person-unlink");
    browser.sends("form[action='/console/sign-out']", &[]);
    browser.sends("form[action='/console/sign-in/identity']", &[]);
    browser.until("the code", || browser.path().ends_with("/identity/code").then_some(()));
    check.page(&browser, "sign-in-identity-code");
    drop(provider);
    browser.goes_to("/console/sign-in/identity/return?state=x");
    browser.driver.console();
    check.page(&browser, "sign-in-identity-refused");
    check.end();
}

#[test]
fn every_page_of_single_sign_on_in_english_is_accessible_and_fits_a_phone() {
    every_page("en");
}

#[test]
fn every_page_of_single_sign_on_in_japanese_is_accessible_and_fits_a_phone() {
    every_page("ja");
}
