//! Secrets that a page shows once, after the form that made them.

use crate::{
    browser::{Browser, Page, World},
    pages::{Company, administered},
};
use postgres_fixture::{PostgresServer, ServerSettings};
use tegata_policy::{permission::OperatorRole, secret::PlainSecret};
use tegata_server::authority::place::{Database, Files};

/// The secret that a page shows, if it shows one.
fn secret(page: &Page) -> Option<String> {
    let found = page.text.split("id=\"secret\"").nth(1)?.split_once('>')?.1;
    Some(found.split('<').next().unwrap().trim().to_owned())
}

/// Creates a personal token with this name; returns the answer of the form.
async fn personal_token(browser: &Browser, name: &str) -> Page {
    let fields = [("name", name), ("rights", "read"), ("days", "1")];
    let made = browser.send("/console/account/tokens", &fields).await;
    assert_eq!((made.status, made.location()), (303, "/console/account"), "{}", made.text);
    made
}

/// Two servers of one database.
async fn two_servers() -> (PostgresServer, World, World) {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let url = postgres.url(&postgres.empty_database().unwrap());
    let start = async |master_key_file| {
        let address = PlainSecret::from_caller(url.clone());
        let database = Files::on_database(Database { address, direct: None });
        World::with(|settings| {
            let store = settings.place.store.clone();
            settings.place = Files { store, master_key_file, ..database };
            settings.public_url = Some("http://tokens.example".to_owned());
        })
        .await
    };
    let one = start(None).await;
    let other = start(Some(one.folder.path().join("master.key"))).await;
    (postgres, one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_by_another_server_than_the_one_that_made_it() {
    let (_postgres, one, other) = two_servers().await;
    let human = one.operator("mika", OperatorRole::Administrator).await;
    let company = Company::new(&one, "company").await;
    let at_one = one.browser_of(&human).await;
    let at_other = at_one.balanced_to(&other);
    for (action, fields) in [
        ("/providers/{provider}/channels", &[("name", "Bot"), ("type", "messaging-api")][..]),
        ("/channels/{channel}/secret/rotate", &[("keep", "3600"), ("revoke", "none")]),
        ("/channels/{channel}/messaging-api", &[("delay", "3600")]),
        ("/channels/{channel}/roles/invitations", &[("login", "jun"), ("role", "tester")]),
        ("/verifiers/new", &[("name", "Gate"), ("staleness", "60")]),
        ("/people/invitations", &[("login", "kim"), ("role", "auditor")]),
        ("/people/{person}/reset", &[]),
        ("/account/tokens", &[("name", "laptop"), ("rights", "read"), ("days", "1")]),
    ] {
        let made = at_one.send(&company.path(action), fields).await;
        assert_eq!(made.status, 303, "{action}: {}", made.text);
        let page = at_other.get(made.location()).await;
        let once = secret(&page).unwrap_or_else(|| panic!("{action}: {page:?}"));
        let again = at_one.get(made.location()).await;
        assert_eq!((secret(&again), again.text.contains(&once)), (None, false), "{action}");
    }
}

#[tokio::test]
async fn a_secret_that_waits_is_shown_to_its_person_on_its_page_for_a_minute() {
    let (world, browser, company) = administered().await;
    let other = world.operator("jun", OperatorRole::Administrator).await;
    let other = world.browser_of(&other).await;
    personal_token(&browser, "laptop").await;
    let waits = browser.cookies.lock().unwrap()["tegata-once"].clone();
    let keep = |browser: &Browser, waits: &str| {
        browser.cookies.lock().unwrap().insert("tegata-once".to_owned(), waits.to_owned());
    };
    keep(&other, &waits);
    assert_eq!(secret(&other.get("/console/account").await), None, "to another person");
    assert_eq!(secret(&browser.get(&company.path("/channels/{channel}")).await), None, "elsewhere");
    let changed: String = waits.chars().rev().collect();
    for bad in ["", "tgp_made_up", &changed] {
        keep(&browser, bad);
        assert_eq!(secret(&browser.get("/console/account").await), None, "{bad}");
    }
    keep(&browser, &waits);
    world.authority().advance_clock(40).await.unwrap();
    assert!(secret(&browser.get("/console/account").await).unwrap().starts_with("tgp_"));
    keep(&browser, &waits);
    world.authority().advance_clock(20).await.unwrap();
    assert_eq!(secret(&browser.get("/console/account").await), None, "after a minute");
}

#[tokio::test]
async fn a_secret_waits_in_a_cookie_that_only_its_page_gets_and_that_hides_it() {
    let (_world, browser, _) = administered().await;
    let cookie = |page: &Page| {
        let all = page.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap());
        all.filter(|it| it.starts_with("tegata-once=")).collect::<Vec<_>>().join("\n")
    };
    let made = cookie(&personal_token(&browser, "laptop").await);
    let rest = "; Path=/console/account; Max-Age=60; HttpOnly; SameSite=Strict";
    assert!(made.ends_with(rest) && made.len() < 1_000, "{made}");
    let page = browser.get("/console/account").await;
    assert!(!made.contains(&secret(&page).unwrap()));
    assert_eq!(cookie(&page), format!("tegata-once={}", rest.replace("60", "0")));
}
