//! What was not accepted: each form says so at the top of its page, an act that the present
//! state refuses keeps the form, and no error is a dead end.

use crate::{
    browser::{Browser, PASSWORD, Page, World, jwk},
    pages::{Company, administered},
    shop::Shop,
};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use reqwest::Method;
use tegata_policy::permission::{ChannelRole, OperatorRole, RoleChange};
use tegata_server::api::console::paths;

/// The values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start[..]).skip(1).map(|it| it.split('"').next().unwrap()).collect()
}

/// Checks that a page begins with a summary of what is wrong, which the browser focuses, with a
/// link to each wrong field.
#[track_caller]
fn begins_with_a_summary(page: &Page, what: &str) {
    let html = &page.text;
    let title = ["<title>Error: ", "<title>エラー："].iter().any(|it| html.contains(it));
    assert!(title, "{what}: {html}");
    let summary = html.split("tabindex=\"-1\" autofocus>").nth(1);
    let summary = summary.unwrap_or_else(|| panic!("{what}: no summary in {html}"));
    let links = values(summary.split("</section>").next().unwrap(), "href");
    assert!(!links.is_empty(), "{what}");
    for link in &links {
        assert!(values(html, "id").contains(&&link[1..]), "{what}: {link} leads nowhere");
    }
    for tag in html.split('<').filter(|it| it.contains(" aria-invalid=\"true\"")) {
        let id = values(tag, "id")[0];
        assert!(links.contains(&&*format!("#{id}")), "{what}: {id} is not in {links:?}");
        assert!(tag.contains("aria-describedby"), "{what}: {tag}");
    }
}

/// Every address that takes a form, with one that is wrong; none: a button alone, or a choice
/// that a person cannot get wrong.
fn wrong_form(path: &str) -> Option<Vec<(&'static str, &'static str)>> {
    const LONG: &str = "\u{1b}";
    Some(match path {
        "/sign-in" => vec![("login", "mika"), ("password", "wrong"), ("code", "000000")],
        "/invitation" | "/invitation/accept" => vec![("invitation", "tgi_unknown")],
        "/account/password" => vec![("old", "wrong"), ("new", "correct horse battery staple")],
        "/account/tokens" => vec![("name", " "), ("rights", "read"), ("days", "1")],
        "/providers" | "/providers/{provider}/name" | "/channels/{channel}/name" => {
            vec![("name", " ")]
        }
        "/providers/{provider}/channels" => vec![("name", " "), ("type", "mini-app")],
        "/channels/{channel}/keys" => vec![("key", "nonsense")],
        "/channels/{channel}/messaging-api" => vec![("delay", "other"), ("hours", "25")],
        "/channels/{channel}/security" => vec![("group_cap", "0"), ("verify_rate", "x")],
        "/channels/{channel}/groups/{group}" => vec![("cap", "31"), ("contact", LONG)],
        "/verifiers/new" => vec![("name", ""), ("provider", "1"), ("staleness", "0")],
        "/people/invitations" => vec![("login", "?"), ("role", "auditor")],
        "/providers/{provider}/roles" | "/channels/{channel}/roles" => {
            vec![("person", "?"), ("role", "member")]
        }
        "/providers/{provider}/roles/invitations" | "/channels/{channel}/roles/invitations" => {
            vec![("login", "?"), ("role", "member")]
        }
        "/channels/{channel}/revoke" => vec![("what", "all"), ("reason", LONG)],
        "/leak-desk" => vec![("text", "longer than 1 MiB")],
        "/sign-out"
        | "/settings"
        | "/account/sessions"
        | "/channels/{channel}/resume"
        | "/people/{person}/enable" => return None,
        // Without an identity provider they are not there.
        _ if path.contains("/identity") || path == "/people/{person}/unlink" => return None,
        // There is none of these.
        "/channels/{channel}/secret/previous/delete"
        | "/account/tokens/{admin_token}/delete"
        | "/verifiers/{verifier}/instances/{instance}/remove"
        | "/providers/{provider}/delete"
        | "/channels/{channel}/leave"
        | "/channels/{channel}/roles/{person}"
        | "/providers/{provider}/roles/{person}" => return None,
        // What asks for a reason before it is done.
        _ => vec![("reason", LONG), ("role", "auditor")],
    })
}

#[tokio::test]
async fn every_form_that_is_not_accepted_says_so_at_the_top_in_both_languages() {
    let (world, browser, company) = administered().await;
    let before = world.events().await;
    let too_long = "x".repeat((1 << 20) + 1);
    let mut tried = 0;
    for language in ["en", "ja"] {
        browser.send("/console/settings", &[("language", language)]).await;
        for path in paths(Method::POST) {
            let Some(mut fields) = wrong_form(path) else { continue };
            if path == "/leak-desk" {
                fields = vec![("text", &too_long)];
            }
            let page = browser.send(&company.path(path), &fields).await;
            assert_eq!(page.status, 422, "{path}: {}", page.text);
            begins_with_a_summary(&page, path);
            tried += 1;
        }
        // The one form whose answer is a page that asks.
        for (what, which) in [("group", ""), ("group", "x y"), ("kind", "v9"), ("key", "k")] {
            let at = format!(
                "/channels/{{channel}}/revoke?what={what}&which={}",
                which.replace(' ', "+")
            );
            let page = browser.get(&company.path(&at)).await;
            assert_eq!(page.status, 422, "{at}: {}", page.text);
            begins_with_a_summary(&page, &at);
            assert!(
                page.text
                    .contains(&format!("id=\"w-{what}\" name=\"what\" value=\"{what}\" checked"))
            );
        }
    }
    assert!(tried > 50, "only {tried} forms");
    let after = world.events().await;
    let none = before.len() == after.len();
    assert!(none || after.len() <= before.len() + 12, "only wrong sign-ins are recorded");
}

async fn register(browser: &Browser, company: &Company, key: &str, group: &str) -> Page {
    let path = company.path("/channels/{channel}/keys");
    browser.send(&path, &[("key", key), ("group", group)]).await
}

#[tokio::test]
async fn a_key_that_the_channel_cannot_have_leaves_the_form_with_what_was_entered() {
    let (_world, browser, company) = administered().await;
    let channel = company.path("/channels/{channel}");
    let key = || jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap()).to_string();
    let second = key();
    assert!(!browser.get(&channel).await.text.contains("which is the limit"));
    assert_eq!(register(&browser, &company, &second, "").await.status, 303);
    // The form says so before it is filled in.
    browser.get(&channel).await.shows(200, "Two keys without a group are registered");
    let full = register(&browser, &company, &key(), "").await;
    let full = full.shows(422, "First delete the one that is no longer used");
    begins_with_a_summary(&full, "full");
    let full = full.shows(422, "name=\"key\"");
    assert!(full.text.contains("href=\"#group\""), "{}", full.text);
    let twice = register(&browser, &company, &second, "kitchen").await;
    let twice = twice.shows(422, "This key is registered in this channel already");
    begins_with_a_summary(&twice, "twice");
    assert!(twice.text.contains("value=\"kitchen\"") && twice.text.contains("href=\"#key\""));
    assert_eq!(register(&browser, &company, &key(), "kitchen").await.status, 303);
    let wrong = register(&browser, &company, "nonsense", "").await;
    let wrong = wrong.shows(422, "Neither a JWK, a set of one JWK, nor PEM; give the whole text");
    assert!(!wrong.text.contains("line 1 column"), "{}", wrong.text);
    // Each field is named, and not the first one alone.
    let both = register(&browser, &company, "{\"kty\":\"RSA\",\"d\":\"AQAB\"}", "no good").await;
    let both = both.shows(422, "href=\"#group\"").shows(422, "href=\"#key\"");
    both.shows(422, "This is a private key");
}

#[tokio::test]
async fn a_person_with_all_personal_tokens_keeps_the_form() {
    let (_world, browser, _) = administered().await;
    let fields = [("name", "laptop"), ("rights", "read"), ("days", "1")];
    for _ in 0..50 {
        assert_eq!(browser.send("/console/account/tokens", &fields).await.status, 303);
    }
    let page = browser.send("/console/account/tokens", &fields).await;
    let page = page.shows(422, "The person has 50 personal tokens; delete one first.");
    begins_with_a_summary(&page, "tokens");
    page.shows(422, "value=\"laptop\"");
}

#[tokio::test]
async fn an_act_that_is_not_possible_now_leads_back_to_its_object() {
    let (_world, browser, company) = administered().await;
    let provider = company.path("/providers/{provider}");
    let page = browser.get(&company.path("/providers/{provider}/delete")).await;
    let page = page.shows(409, &format!("<a class=\"btn main\" href=\"{provider}\">"));
    let shown = page.text.split("<p lang=\"en\">").nth(1).unwrap();
    assert!(shown.starts_with(|it: char| it.is_uppercase()), "{shown}");
    browser.send("/console/signing-keys/rotate", &[]).await;
    let page = browser.send("/console/signing-keys/rotate", &[]).await;
    let page = page.shows(409, "<a class=\"btn main\" href=\"/console/signing-keys\">");
    // And so does the footer.
    page.shows(409, "<a href=\"/console/signing-keys\">Refresh page</a>");
    let path = company.path("/channels/{channel}/name");
    let page = browser.send(&path, &[("seen", "0"), ("name", "x")]).await;
    let channel = company.path("/channels/{channel}");
    page.shows(409, &format!("<a class=\"btn main\" href=\"{channel}\">"));
    let page = browser.get(&company.path("/channels/{channel}/revoke?what=nonsense")).await;
    page.shows(400, &format!("<a class=\"btn main\" href=\"{channel}\">"));
}

#[tokio::test]
async fn the_address_of_every_form_leads_to_its_page() {
    let (world, browser, company) = administered().await;
    let pages: Vec<_> = paths(Method::GET).collect();
    let mut tried = 0;
    for path in paths(Method::POST).filter(|it| !pages.contains(it)) {
        let answer = browser.get(&company.path(path)).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        let page = browser.get(answer.location()).await;
        assert!([200, 303].contains(&page.status), "{path}: {}", page.status);
        tried += 1;
    }
    assert!(tried > 12, "only {tried} addresses");
    let keys = browser.get(&company.path("/channels/{channel}/keys")).await;
    assert_eq!(keys.location(), company.path("/channels/{channel}"));
    // A person who is not signed in comes to the same page by way of the sign-in.
    let stranger = world.browser();
    let keys = stranger.get(&company.path("/channels/{channel}/keys")).await;
    assert_eq!(keys.location(), company.path("/channels/{channel}"));
    assert!(stranger.get(keys.location()).await.location().starts_with("/console/sign-in?next="));
}

#[tokio::test]
async fn a_leaked_token_is_revoked_and_the_other_one_is_a_link_away() {
    let shop = Shop::new().await;
    let tokens =
        [shop.token("blue").await, shop.token("green").await, shop.stateless("blue").await];
    let [one, two] = [shop.id_of(&tokens[0]).await, shop.id_of(&tokens[1]).await];
    let fields = [("text", &*tokens.join("\n"))];
    let found = shop.browser.send("/console/leak-desk", &fields).await.shows(200, "3 tokens found");
    let review =
        crate::shop::link(&found, &shop.at(&format!("/revoke?what=token&amp;which={one}")));
    let page = shop.browser.get(&review).await.shows(200, "Other tokens that were found");
    let page = page.shows(200, &shop.at(&format!("/tokens/{two}")));
    let action = action(&page, &shop.at("/revoke?found="));
    let fields = [("what", "token"), ("which", &*one), ("reason", "found in a log")];
    let done = shop.browser.send(&action, &fields).await;
    assert!(done.location().starts_with("/console/receipts/"), "{done:?}");
    let receipt =
        shop.browser.get(done.location()).await.shows(200, "Other tokens that were found");
    // It says what was revoked, of which channel, by whom and why.
    let receipt = receipt.shows(200, "<code>token.revoke</code>").shows(200, &one);
    let receipt = receipt.shows(200, &shop.id.to_string()).shows(200, "<bdi>mika</bdi>");
    let receipt = receipt.shows(200, "<bdi>found in a log</bdi>");
    let receipt = receipt.shows(200, "/console/audit?act=token.revoke");
    for token in &tokens {
        assert!(
            !receipt.text.contains(token.as_str()) && !done.location().contains(token.as_str())
        );
    }
    let next =
        crate::shop::link(&receipt, &shop.at(&format!("/revoke?what=token&amp;which={two}")));
    shop.browser.get(&next).await.shows(200, "Revoke token").shows(200, &two);
    let next = crate::shop::link(&receipt, &shop.at("/revoke?what=stateless"));
    let page = shop.browser.get(&next).await.shows(200, "Other tokens that were found");
    assert!(page.text.contains(&two) && !page.text.contains(&format!("/tokens/{one}")));
    // The leak desk names the person who has revoked it.
    let found = shop.browser.send("/console/leak-desk", &[("text", &*tokens[0])]).await;
    found.shows(200, "<bdi>mika</bdi><span class=\"sub\"><bdi>person ");
}

/// Where the form of a page goes that begins so.
#[track_caller]
fn action(page: &Page, begins: &str) -> String {
    let at = page.text.find(&format!("action=\"{begins}"));
    let rest = &page.text[at.unwrap_or_else(|| panic!("no {begins} in {}", page.text)) + 8..];
    rest[..rest.find('"').unwrap()].replace("&#38;", "&").replace("&amp;", "&")
}

/// The form of a page before an act: its address, and its fields.
fn form_of(page: &Page) -> (String, Vec<(String, String)>) {
    let forms = page.text.split("<form method=\"post\" action=\"").skip(1);
    let mut forms = forms.map(|it| it.split("</form>").next().unwrap());
    let form = forms.find(|it| it.contains("name=\"reason\"")).unwrap();
    let action = form.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let hidden = form.split("<input type=\"hidden\" ").skip(1);
    let field = |it: &str| {
        let tag = format!(" {}", it.split('>').next().unwrap());
        (values(&tag, "name")[0].to_owned(), values(&tag, "value")[0].to_owned())
    };
    (action, hidden.map(field).collect())
}

#[tokio::test]
async fn an_act_that_a_sign_in_interrupts_is_asked_for_again_as_it_was() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let company = Company::new(&world, "company").await;
    let channel = company.channel;
    let role = RoleChange::Channel { channel, role: Some(ChannelRole::Admin) };
    let admin = world.human("aoi", Some(role)).await.id;
    for (page, shows) in [
        ("/channels/{channel}/revoke?what=group&which=kitchen", "of group <bdi>kitchen</bdi>"),
        ("/channels/{channel}/secret/rotate?keep=3600&revoke=all", "--keep-previous 3600"),
        ("/channels/{channel}/keys/{kid}/delete?tokens=revoke", "--revoke-tokens"),
        (&format!("/channels/{{channel}}/roles/{admin}?role=tester"), "Tester"),
    ] {
        world.authority().advance_clock(30).await.unwrap();
        let browser = world.browser_of(&human).await;
        let asked = browser.get(&company.path(page)).await;
        let (heading, (action, mut fields)) = (heading(&asked, shows), form_of(&asked));
        // The language is changed on the page that says what is wrong.
        fields.push(("reason".to_owned(), "\u{1b}".to_owned()));
        let sent: Vec<_> = fields.iter().map(|(name, it)| (&**name, &**it)).collect();
        let wrong = browser.send(&action, &sent).await;
        assert_eq!(wrong.status, 422, "{page}: {}", wrong.text);
        let next = values(&wrong.text, "value").into_iter().find(|it| it.starts_with("/console/"));
        let next = next.unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let same = browser.send("/console/settings", &[("next", &next)]).await;
        assert_eq!(self::heading(&browser.get(same.location()).await, shows), heading, "{page}");
        // The session ends before the form is sent.
        browser.cookies.lock().unwrap().clear();
        fields.retain(|it| it.0 != "reason");
        let sent: Vec<_> = fields.iter().map(|(name, it)| (&**name, &**it)).collect();
        let out = browser.send(&action, &sent).await;
        let next = out.location().split("next=").nth(1).unwrap();
        let next = form_urlencoded::parse(format!("next={next}").as_bytes())
            .next()
            .unwrap()
            .1
            .into_owned();
        world.authority().advance_clock(30).await.unwrap();
        let code = world.code(&human.totp, 0);
        let fields =
            [("login", "mika"), ("password", PASSWORD), ("code", &*code), ("next", &*next)];
        let back = browser.send("/console/sign-in", &fields).await;
        assert_eq!(self::heading(&browser.get(back.location()).await, shows), heading, "{page}");
    }
}

/// The heading of a page that shows this.
#[track_caller]
fn heading(page: &Page, shows: &str) -> String {
    let text = page.text.replace("<span>", "").replace("</span>", "");
    assert!(page.status == 200 && text.contains(shows), "no {shows} in {}", page.text);
    text.split("<h1").nth(1).unwrap().split("</h1>").next().unwrap().to_owned()
}
