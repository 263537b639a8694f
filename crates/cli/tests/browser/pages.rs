//! Every page: usable with assistive technology, in both languages and colour schemes, as
//! narrow as a small phone, and without a complaint of the browser.
//!
//! The pages are found by following every link from the overview, so that a new page is
//! covered by itself; a route that no link leads to fails the test.

use crate::{
    browser::{Browser, Way},
    console::{Authenticator, Console, PASSWORD},
    scenery::{HARD_NAME, Scenery},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
};

/// Number of pages of one route that are checked: the second one is of another object.
fn of_one_route() -> usize {
    if std::env::var_os("TEGATA_LONG").is_some() { 2 } else { 1 }
}

/// The routes as the routers have them.
const ROUTERS: [&str; 2] = [
    include_str!("../../../server/src/api/console/mod.rs"),
    include_str!("../../../server/src/api/console/channel/mod.rs"),
];
/// Routes that are no pages, or that the test visits by itself.
const OTHERS: [&str; 10] = [
    "/console/assets",
    "/console/sign-in",
    "/console/invitation",
    // With an identity provider: see `single_sign_on`.
    "/console/account/identity",
    "/console/people/*/unlink",
    "/console/receipts/*/events",
    "/console/receipts/*/signed",
    // Of a person with a role in the channel, who is no operator.
    "/console/channels/*/leave",
    // Of an instance that runs.
    "/console/verifiers/*/instances",
    // After the verifier was created, once.
    "/console/verifiers/*/created",
];
const SCHEMES: [&str; 2] = ["light", "dark"];
/// A small phone, and the smallest width that the accessibility guidelines name.
const NARROW: [u32; 2] = [360, 320];

/// Checks pages, and writes their pictures if `cargo xtask screenshots` asks for them.
pub struct Check {
    language: &'static str,
    rules: String,
    pictures: Option<PathBuf>,
    wrong: Vec<String>,
}

impl Check {
    pub fn new(language: &'static str) -> Self {
        let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts/browser");
        let rules = parts.join("node_modules/axe-core/axe.min.js");
        let rules = fs::read_to_string(rules).expect("`cargo xtask setup` installs axe-core");
        let pictures = std::env::var_os("TEGATA_SCREENSHOTS").map(PathBuf::from);
        Self { language, rules, pictures, wrong: Vec::new() }
    }

    /// Checks the page that the browser shows.
    pub fn page(&mut self, browser: &Browser, name: &str) {
        let before = self.wrong.len();
        for scheme in SCHEMES {
            browser.scheme(scheme);
            self.accessible(browser, &format!("{name} ({}, {scheme})", self.language));
        }
        // Names with markup are in the scenery.
        let markup = "const all = '[onclick], [onerror], [style], script:not([src]), iframe, main b[onclick]';
            return [...document.querySelectorAll(all)].map(it => it.outerHTML.slice(0, 150))";
        let markup = browser.script(markup, vec![]);
        if markup != json!([]) {
            self.wrong.push(format!("{name}: markup that is not of the page: {markup:#}"));
        }
        for width in NARROW {
            browser.width(width);
            let wider = "const all = [...document.querySelectorAll('body *')];
                const over = all.filter(it => it.getBoundingClientRect().right > innerWidth + 1);
                return document.documentElement.scrollWidth > document.documentElement.clientWidth
                    ? over.slice(-3).map(it => it.outerHTML.slice(0, 150)) : []";
            let wider = browser.script(wider, vec![]);
            if wider != json!([]) {
                self.wrong.push(format!("{name}: wider than {width} px: {wider:#}"));
            }
        }
        let unlabelled = "const cells = [...document.querySelectorAll('.cards :is(td, tbody th)[data-label]')];
            const shown = it => getComputedStyle(it, '::before').content.includes(it.dataset.label);
            return cells.filter(it => it.checkVisibility() && !shown(it)).map(it => it.outerHTML.slice(0, 150))";
        let unlabelled = browser.script(unlabelled, vec![]);
        if unlabelled != json!([]) {
            self.wrong.push(format!("{name}: cells without their labels: {unlabelled:#}"));
        }
        // An option of a command is broken only where it is longer than a line.
        let broken = "const words = [...document.querySelectorAll('.cli code span')];
            const wide = it => it.parentElement.clientWidth - 1;
            const lines = it => it.getBoundingClientRect().height / parseFloat(getComputedStyle(it).lineHeight);
            return words.filter(it => lines(it) > 1.5 && it.getBoundingClientRect().width < wide(it) - 40)
                .map(it => it.textContent)";
        let broken = browser.script(broken, vec![]);
        if broken != json!([]) {
            self.wrong.push(format!("{name}: broken words of commands: {broken:#}"));
        }
        self.accessible(browser, &format!("{name} ({}, dark, phone)", self.language));
        self.take_pictures(browser, name);
        browser.width(1440);
        let complaints = browser.complaints();
        if !complaints.is_empty() {
            self.wrong.push(format!("{name}: {complaints:#?}"));
        }
        self.prints(before);
    }

    fn accessible(&mut self, browser: &Browser, name: &str) {
        if browser.script("return typeof axe", vec![]) == json!("undefined") {
            browser.script(&self.rules, vec![]);
        }
        let run = "const done = arguments[0];
            axe.run().then(it => done(it.violations), error => done([{ id: String(error) }]))";
        let found = browser.driver.client.execute_async(run, vec![]);
        for it in browser.driver.wait(found).as_array().unwrap() {
            let nodes = it["nodes"].as_array().into_iter().flatten();
            let places: Vec<String> = nodes
                .map(|node| format!("{}: {}", node["target"], node["failureSummary"]))
                .collect();
            self.wrong.push(format!(
                "{name}: {} {}\n    {}",
                it["id"],
                it["help"],
                places.join("\n    ")
            ));
        }
    }

    fn take_pictures(&self, browser: &Browser, name: &str) {
        let Some(folder) = &self.pictures else { return };
        fs::create_dir_all(folder).unwrap();
        for width in [360, 768, 1440] {
            browser.width(width);
            for scheme in SCHEMES {
                browser.scheme(scheme);
                let whole = json!({ "format": "png", "captureBeyondViewport": true });
                let picture = browser.driver.chromium("Page.captureScreenshot", whole);
                let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
                let file = format!("{name}-{width}-{scheme}-{}.png", self.language);
                fs::write(folder.join(file), picture).unwrap();
            }
        }
    }

    /// Prints what was found so far, in case the rest takes too long.
    fn prints(&self, from: usize) {
        for wrong in &self.wrong[from..] {
            println!("{wrong}");
        }
    }

    #[track_caller]
    pub fn end(self) {
        assert!(self.wrong.is_empty(), "{} findings:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// Follows the links of the console.
struct Walk {
    queue: VecDeque<String>,
    known: Vec<String>,
    /// How many pages of each route were seen.
    routes: BTreeMap<String, usize>,
}

impl Walk {
    fn from(paths: &[String]) -> Self {
        Self { queue: paths.to_vec().into(), known: paths.to_vec(), routes: BTreeMap::new() }
    }

    /// The pages of the routers that it has not come to.
    fn missed(&self) -> Vec<String> {
        let seen = |page: &String| {
            self.routes.keys().any(|it| it.split(' ').next() == Some(page.as_str()))
        };
        let other = |page: &String| OTHERS.iter().any(|it| page.starts_with(it));
        pages_of_the_routers().into_iter().filter(|it| !seen(it) && !other(it)).collect()
    }

    /// The next page, and a name for its picture.
    fn next(&mut self) -> Option<(String, String)> {
        while let Some(path) = self.queue.pop_front() {
            let route = route_of(&path);
            let count = self.routes.entry(route.clone()).or_default();
            *count += 1;
            if *count <= of_one_route() {
                let name = route.trim_start_matches("/console").trim_matches('/');
                let name: String =
                    name.chars().map(|it| if it.is_alphanumeric() { it } else { '-' }).collect();
                let name = if name.is_empty() { "overview".to_owned() } else { name };
                return Some((path, format!("{name}-{count}")));
            }
        }
        None
    }

    /// Adds the links of the page that the browser shows, and the forms that ask before a role
    /// is changed.
    fn add_links(&mut self, browser: &Browser) {
        let links = "const asks = [...document.querySelectorAll('form[method=get][action*=\"/role\"]')]
            .map(it => `${it.action}?${new URLSearchParams(new FormData(it))}`);
            const links = [...document.querySelectorAll('a[href]:not([download])')];
            return links.map(it => it.href).concat(asks).map(it => new URL(it)).filter(it => it.origin === location.origin)
            .map(it => it.pathname + it.search).filter(it => it.startsWith('/console'))";
        for link in browser.script(links, vec![]).as_array().unwrap() {
            let link = link.as_str().unwrap().to_owned();
            if !self.known.contains(&link) {
                self.known.push(link.clone());
                self.queue.push_back(link);
            }
        }
    }
}

/// The route of a path: ids, names of groups and cursors have digits or capitals.
fn route_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let id = |it: &str| it.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
    let parts: Vec<_> = path.split('/').map(|it| if id(it) { "*" } else { it }).collect();
    let pairs = query.split('&').filter(|it| !it.is_empty());
    let keys: Vec<_> =
        pairs.map(|it| if id(it) { it.split('=').next().unwrap() } else { it }).collect();
    format!("{} {}", parts.join("/"), keys.join("&")).trim_end().to_owned()
}

/// The routes of pages, from the routers' source: `*` is a parameter.
fn pages_of_the_routers() -> Vec<String> {
    let mut pages = Vec::new();
    for router in ROUTERS {
        let routes = router.split_once("ROUTES: &[").unwrap().1.split("\n];").next().unwrap();
        for route in routes.split("|it|").filter(|it| it.contains("\"/") && it.contains("get(")) {
            let path = route.split_once("\"/").unwrap().1.split('"').next().unwrap();
            let parts = path.split('/').map(|it| if it.starts_with('{') { "*" } else { it });
            let path = format!("/console/{}", parts.collect::<Vec<_>>().join("/"));
            pages.push(path.trim_end_matches('/').to_owned());
        }
    }
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The pages before a person is signed in.
fn pages_of_strangers(check: &mut Check, console: &Console, browser: &Browser) {
    browser.goes_to("/console/sign-in");
    check.page(browser, "sign-in");
    let wrong = [("login", "mika"), ("password", "wrong"), ("code", "123456")];
    browser.sends("form[action='/console/sign-in']", &wrong);
    check.page(browser, "sign-in-wrong");
    browser.goes_to("/console/invitation");
    check.page(browser, "invitation");
    let invited = console.desk.json(&[
        "person",
        "invite",
        "yui",
        "--name",
        HARD_NAME,
        "--operator",
        "--role",
        "auditor",
    ]);
    let form = "form[action='/console/invitation']";
    browser.sends(form, &[("invitation", "tgi_unknown")]);
    check.page(browser, "invitation-unknown");
    browser.sends(form, &[("invitation", invited["invitation"].as_str().unwrap())]);
    check.page(browser, "invitation-accept");
    let secret = browser.script("return document.getElementById('totp').textContent", vec![]);
    let code = Authenticator::of(secret.as_str().unwrap()).next_code(&console.desk);
    let form = "form[action='/console/invitation/accept']";
    browser.sends(form, &[("password", PASSWORD), ("code", &code)]);
    check.page(browser, "recovery-codes");
}

/// The pages that answer a form.
fn pages_after_forms(check: &mut Check, scenery: &Scenery, browser: &Browser) {
    let desk = "form[action='/console/leak-desk']";
    browser.goes_to("/console/leak-desk").sends(desk, &[("text", &scenery.token)]);
    check.page(browser, "leak-desk-found");
    browser.sends(desk, &[("text", "nothing of ours")]);
    check.page(browser, "leak-desk-nothing");
    let channel = format!("/console/channels/{}", scenery.channel);
    let reissue = format!("{channel}/messaging-api");
    browser.goes_to(&reissue).sends(&format!("form[action='{reissue}']"), &[]);
    check.page(browser, "messaging-api-shown-once");
    browser.goes_to(&channel);
    let key = [("key", "{\"kty\":\"RSA\",\"d\":\"AQAB\"}"), ("group", "?")];
    browser.sends(&format!("form[action='{channel}/keys']"), &key);
    check.page(browser, "channel-key-wrong");
    browser.goes_to("/console/nothing/there");
    browser.driver.console();
    check.page(browser, "not-found");
    browser.goes_to(&format!("{channel}/revoke?what=nonsense"));
    browser.driver.console();
    check.page(browser, "bad-request");
}

fn every_page(language: &'static str) {
    let console = Console::start();
    let scenery = Scenery::of(&console);
    let mut check = Check::new(language);
    let browser = Browser::open(&console.desk.server.url, Way::Desk);
    let name = if language == "en" { "English" } else { "日本語" };
    browser.goes_to("/console/sign-in").presses(name);
    browser.until("the language", || browser.attribute("html", "lang").filter(|it| it == language));
    pages_of_strangers(&mut check, &console, &browser);

    console.signs_in_whatever_the_language(&browser);
    let receipt = format!("/console/receipts/{}", scenery.receipt);
    // First the pages that show most.
    let channel = format!("/console/channels/{}", scenery.channel);
    let tokens = format!("{channel}/tokens");
    // The roles of the provider that has people.
    let roles = format!("/console/providers/{}/roles", scenery.provider);
    // Forms lead there.
    let rotate = format!("{channel}/secret/rotate?keep=3600&revoke=none");
    let replace = format!("{channel}/messaging-api/reissue");
    let token = "form[action='/console/account/tokens']";
    browser.goes_to("/console/account").sends(token, &[("name", HARD_NAME)]);
    let verify = "/console/audit/verify".to_owned();
    let first = ["/console".to_owned(), channel, tokens, receipt, roles, rotate, replace, verify];
    let mut walk = Walk::from(&first);
    while let Some((path, name)) = walk.next() {
        browser.goes_to(&path);
        check.page(&browser, &name);
        walk.add_links(&browser);
    }
    pages_after_forms(&mut check, &scenery, &browser);
    check.wrong.extend(walk.missed().iter().map(|it| format!("no link leads to {it}")));
    check.end();
}

#[test]
fn every_page_in_english_is_accessible_and_fits_a_phone() {
    every_page("en");
}

#[test]
fn every_page_in_japanese_is_accessible_and_fits_a_phone() {
    every_page("ja");
}
