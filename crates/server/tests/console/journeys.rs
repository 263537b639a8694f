//! What people come for, each without a script.

use crate::browser::{Browser, PASSWORD, Page, World, jwk};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use data_encoding::BASE32_NOPAD;
use tegata_policy::permission::{ChannelRole, OperatorRole, ProviderRole, RoleChange};
use tegata_server::authority::admin::NewPerson;

/// The value of a field of the page's form.
fn field(page: &Page, name: &str) -> String {
    let found = page.text.split(&format!("name=\"{name}\"")).nth(1).unwrap();
    let value = found.split('>').next().unwrap().split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

/// The secret that a page shows once.
fn secret(page: &Page) -> String {
    let found = page.text.split("id=\"secret\">").nth(1).unwrap();
    found.split('<').next().unwrap().trim().to_owned()
}

/// Goes on to where an answer leads.
async fn follow(browser: &Browser, answer: Page) -> Page {
    assert_eq!(answer.status, 303, "{}", answer.text);
    browser.get(answer.location()).await
}

#[tokio::test]
async fn an_invited_person_sets_a_password_and_a_second_factor_and_signs_in() {
    let world = World::new().await;
    let new = NewPerson { login: "mika".to_owned(), name: "Mika".to_owned(), role: None };
    let invited = world.root().invite(new).await.unwrap();
    let browser = world.browser();
    let link = format!("http://x/console/invitation#{}", invited.invitation.reveal());
    let page = browser.send("/console/invitation", &[("invitation", &link)]).await;
    let page = page.shows(200, "<svg class=\"qr\"");
    let (invitation, totp_secret) = (field(&page, "invitation"), field(&page, "totp_secret"));
    let totp = BASE32_NOPAD.decode(totp_secret.as_bytes()).unwrap();
    let accept = async |password: &str, code: &str| {
        let fields = [
            ("invitation", &*invitation),
            ("totp_secret", &totp_secret),
            ("password", password),
            ("code", code),
        ];
        browser.send("/console/invitation/accept", &fields).await
    };
    let code = world.code(&totp, -1);
    let weak = accept("mikamikamika", &code).await.shows(422, "not little more than your own name");
    assert!(!weak.text.contains("mikamikamika"));
    assert_eq!(field(&weak, "totp_secret"), totp_secret);
    accept(PASSWORD, "000000").await.shows(422, "not the code of this secret");
    let done = accept(PASSWORD, &code).await.shows(200, "Recovery codes");
    assert_eq!(secret(&done).lines().count(), 10);
    accept(PASSWORD, &code).await.shows(422, "no such invitation");
    let code = world.code(&totp, 0);
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", &code)];
    let answer = browser.send("/console/sign-in", &fields).await;
    follow(&browser, answer).await.shows(200, "Mika");
}

#[tokio::test]
async fn a_provider_and_a_channel_are_created_and_secrets_are_shown_once() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    browser.get("/console").await.shows(200, "No providers yet");
    browser.send("/console/providers", &[("name", " ")]).await.shows(422, "Enter a name");
    let made = browser.send("/console/providers", &[("name", "<b>Harbour</b>")]).await;
    let provider = made.location().to_owned();
    let page = follow(&browser, made).await.shows(200, "&lt;b&gt;Harbour&lt;/b&gt;");
    let id = provider.rsplit('/').next().unwrap();
    let notice = format!("Provider <span class=\"id\">{id}</span> was created.");
    let page = page.shows(200, &notice);
    assert!(page.text.contains("Create a channel. It gets an ID"), "{}", page.text);
    let fields = [("name", "Order bot"), ("type", "messaging-api")];
    let made = browser.send(&format!("{provider}/channels"), &fields).await;
    let channel = made.location().to_owned();
    let page = follow(&browser, made).await.shows(200, "New channel secret");
    let id = channel.rsplit('/').next().unwrap();
    let page = page.shows(200, &format!("Channel <span class=\"id\">{id}</span> was created."));
    assert_eq!(secret(&page).len(), 32);
    let again = browser.get(&channel).await.shows(200, "Order bot");
    assert!(!again.text.contains("id=\"secret\"") && !again.text.contains(&secret(&page)));

    let issue = format!("{channel}/messaging-api");
    let page = browser.get(&issue).await.shows(200, "no long-lived token");
    let request = field(&page, "request");
    let fields = [("request", &*request), ("delay", "0")];
    let first = follow(&browser, browser.send(&issue, &fields).await).await;
    let first = secret(&first);
    // Sent twice, as by a double click, it issues one token.
    let twice = follow(&browser, browser.send(&issue, &fields).await).await;
    assert_eq!(secret(&twice), first);
    let page = browser.get(&issue).await;
    let fields = [("request", &*field(&page, "request")), ("delay", "other"), ("hours", "1.5")];
    let page = follow(&browser, browser.send(&issue, &fields).await).await;
    assert_ne!(secret(&page), first);
    let page = page.shows(200, "Previous token").shows(200, "Long-lived token");
    page.shows(200, "was issued. The one before expires in 1 hour.");
    let fields = [("delay", "other"), ("hours", "25")];
    browser.send(&issue, &fields).await.shows(422, "from 0 to 24");
    let explained = world.root().explain(&first).await.unwrap();
    let left = explained.token.expires_at.since(world.authority().now());
    assert!((5_340..=5_400).contains(&left), "{left}");
}

#[tokio::test]
async fn a_public_key_is_registered_and_a_private_one_is_neither_stored_nor_shown() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let channel = format!("/console/channels/{}", company.channel);
    let keys = format!("{channel}/keys");
    let mut private = jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap());
    private["d"] = "c2VjcmV0LXBhcnQ".into();
    let page = browser.send(&keys, &[("key", &private.to_string())]).await;
    let page = page.shows(422, "This is a private key");
    assert!(!page.text.contains("c2VjcmV0LXBhcnQ"));
    let public = jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap()).to_string();
    let wrong = browser.send(&keys, &[("key", &public), ("group", "no good")]).await;
    wrong.shows(422, "1 to 64 of a-z");
    let answer = browser.send(&keys, &[("key", &public), ("group", "kitchen")]).await;
    let page = follow(&browser, answer).await.shows(200, "The key was registered under");
    let kid = page.text.split("id=\"created\" class=\"id\">").nth(1).unwrap();
    let kid = kid.split('<').next().unwrap().to_owned();
    let page = page.shows(200, "data-copy=\"created\"").shows(200, &format!("/keys/{kid}/delete"));
    assert_eq!(page.text.matches("/delete\">Delete…<span class=\"hide\">").count(), 2);
}

#[tokio::test]
async fn an_act_asks_for_a_code_if_the_sign_in_was_long_ago() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let delete = format!("/console/channels/{}/delete", company.channel);
    let page =
        browser.get(&delete).await.shows(200, "Delete <bdi>company</bdi> and revoke 1 token?");
    assert!(!page.text.contains("name=\"code\""), "{}", page.text);
    world.authority().advance_clock(601).await.unwrap();
    browser.get(&delete).await.shows(200, "name=\"code\"");
    for (code, why) in [("", "Enter a code to go on"), ("000000", "The code is wrong")] {
        let fields = [("reason", "found in a log"), ("code", code)];
        let page = browser.send(&delete, &fields).await.shows(422, why);
        assert!(page.text.contains("value=\"found in a log\""), "{}", page.text);
    }
    browser.get(&format!("/console/channels/{}", company.channel)).await.shows(200, "company");
    let code = world.code(&human.totp, 0);
    let fields = [("reason", "found in a log"), ("code", &code)];
    let answer = browser.send(&delete, &fields).await;
    follow(&browser, answer).await.shows(200, "Deleted. 1 token revoked.");
    // The proof counts for ten minutes, as a sign-in does.
    let (suspend, code) = (company.path("/people/{person}/disable"), "name=\"code\"");
    assert!(!browser.get(&suspend).await.shows(200, "Disable").text.contains(code));
    world.authority().advance_clock(601).await.unwrap();
    browser.get(&suspend).await.shows(200, code);
}

#[tokio::test]
async fn a_form_that_was_opened_before_a_code_was_needed_counts_as_no_guess() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let delete = company.path("/channels/{channel}/delete");
    let page = browser.get(&delete).await;
    assert!(!page.text.contains("name=\"code\""), "{}", page.text);
    world.authority().advance_clock(601).await.unwrap();
    let before = world.events().await;
    // More of them than a person, or a source, may guess.
    for _ in 0..12 {
        let page = browser.send(&delete, &[]).await.shows(422, "Enter a code to go on");
        page.shows(422, "name=\"code\"");
    }
    assert_eq!(world.events().await, before);
    let code = world.code(&human.totp, 0);
    assert_eq!(browser.send(&delete, &[("code", &code)]).await.status, 303);
}

#[tokio::test]
async fn a_code_proves_nothing_for_another_holder_of_the_session() {
    let world = World::new().await;
    let company = crate::pages::Company::new(&world, "company").await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let (own, thief) = (world.browser_of(&human).await, world.browser());
    *thief.cookies.lock().unwrap() = own.cookies.lock().unwrap().clone();
    let recovery = human.recovery[0].as_str();
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", recovery)];
    let other = world.browser();
    other.send("/console/sign-in", &fields).await;
    world.authority().advance_clock(601).await.unwrap();
    let suspend = format!("/console/channels/{}/suspend", company.channel);
    let code = world.code(&human.totp, 0);
    assert_eq!(own.send(&suspend, &[("code", &code)]).await.status, 303);
    // Not to one who has the session alone, nor in another session of the same person.
    let delete = format!("/console/channels/{}/delete", company.channel);
    own.get(&delete).await.shows(200, "Delete <bdi>company</bdi>");
    thief.get(&delete).await.shows(200, "name=\"code\"");
    thief.send(&delete, &[("code", &code)]).await.shows(422, "The code is wrong");
    let proof = own.cookies.lock().unwrap()["tegata-proof"].clone();
    other.cookies.lock().unwrap().insert("tegata-proof".to_owned(), proof);
    other.send(&delete, &[]).await.shows(422, "name=\"code\"");
    let audit = own.get("/console/audit").await.shows(200, "<code>person.use-code</code>");
    assert!(!audit.text.contains("<code>person.sign-out</code>"), "the session goes on");
}

#[tokio::test]
async fn a_secret_is_rotated_with_an_overlap_and_the_page_lists_what_goes() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let channel = format!("/console/channels/{}", company.channel);
    let ask = format!("{channel}/secret/rotate?keep=3600&revoke=all");
    let page = browser.get(&ask).await.shows(200, "and revoke 1 token?");
    page.shows_command("--keep-previous 3600 --revoke-tokens all --dry-run");
    let fields = [("keep", "3600"), ("revoke", "all")];
    let answer = browser.send(&format!("{channel}/secret/rotate"), &fields).await;
    let page = follow(&browser, answer).await.shows(200, "1 token revoked.");
    assert_eq!(secret(&page).len(), 32);
    assert!(page.text.contains("Previous"), "{}", page.text);
    let previous = format!("{channel}/secret/previous/delete");
    browser.get(&previous).await.shows(200, "Delete the previous secret of");
    let answer = browser.send(&previous, &[]).await;
    follow(&browser, answer).await.shows(200, "Deleted.");
    assert_eq!(browser.get(&previous).await.status, 404);
}

#[tokio::test]
async fn a_rotation_that_revokes_no_token_waits_for_no_verifier() {
    let (_world, browser, company) = crate::pages::administered().await;
    let channel = format!("/console/channels/{}", company.channel);
    let ask = |revoke: &str| format!("{channel}/secret/rotate?keep=3600&revoke={revoke}");
    let page = browser.get(&ask("none")).await.shows(200, "name=\"reason\"");
    assert!(!page.text.contains("name=\"wait\""), "{}", page.text);
    browser.get(&ask("by-secret")).await.shows(200, "name=\"wait\"");
    let fields = [("keep", "3600"), ("revoke", "none")];
    assert_eq!(browser.send(&format!("{channel}/secret/rotate"), &fields).await.status, 303);
    let previous = browser.get(&format!("{channel}/secret/previous/delete")).await;
    assert!(!previous.shows(200, "name=\"reason\"").text.contains("name=\"wait\""));
}

#[tokio::test]
async fn a_suspension_says_of_no_token_that_it_is_revoked() {
    let (_world, browser, company) = crate::pages::administered().await;
    let channel = format!("/console/channels/{}", company.channel);
    let page = browser.get(&format!("{channel}/suspend")).await;
    let page = page.shows(200, "Tokens that stop working until you resume the channel");
    let page = page.shows(200, "Stateless tokens stop working, too.");
    assert!(!page.text.contains("revoke"), "{}", page.text);
    let page = browser.get(&format!("{channel}/delete")).await.shows(200, "Tokens to revoke");
    page.shows(200, "Stateless tokens are revoked, too.");
}

#[tokio::test]
async fn a_provider_with_channels_offers_no_deletion() {
    let (world, browser, company) = crate::pages::administered().await;
    let delete = "/delete\">";
    let page = browser.get(&format!("/console/providers/{}", company.provider)).await;
    assert!(!page.shows(200, "once all its channels are deleted").text.contains(delete));
    let empty = world.root().create_provider("empty").await.unwrap().id;
    browser.get(&format!("/console/providers/{empty}")).await.shows(200, delete);
}

#[tokio::test]
async fn the_command_for_a_personal_token_names_the_person_who_signs_in() {
    let (_world, browser, _company) = crate::pages::administered().await;
    let page = browser.get("/console/account").await;
    page.shows_command("tegata admin-token create NAME --sign-in mika --rights read");
}

#[tokio::test]
async fn other_sessions_end_at_once() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let here = world.browser_of(&human).await;
    let there = world.browser();
    let recovery = human.recovery[0].as_str();
    let fields = [("login", "mika"), ("password", PASSWORD), ("code", recovery)];
    there.send("/console/sign-in", &fields).await;
    there.get("/console").await.shows(200, "Overview");
    here.get("/console/account").await.shows(200, "End all other sessions");
    let answer = here.send("/console/account/sessions", &[]).await;
    follow(&here, answer).await.shows(200, "this one");
    assert_eq!(there.get("/console").await.status, 303);
}

#[tokio::test]
async fn a_reissue_that_revokes_the_current_token_at_once_is_asked_for_first() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let page = company.path("/channels/{channel}/messaging-api");
    let question = "and revoke the current one now?";
    for fields in [&[("delay", "0")][..], &[("delay", "other"), ("hours", "0")], &[]] {
        let before = world.events().await;
        let asked = browser.send(&page, fields).await;
        assert_eq!(asked.location(), format!("{page}/reissue?delay=0"), "{}", asked.text);
        let asked = browser.get(asked.location()).await.shows(200, question);
        asked.shows_command("--delay 0");
        assert_eq!(world.events().await, before, "nothing is done yet");
    }
    world.authority().advance_clock(601).await.unwrap();
    let reissue = format!("{page}/reissue");
    browser.send(&reissue, &[]).await.shows(422, question);
    let code = world.code(&human.totp, 0);
    let done = browser.send(&reissue, &[("code", &code)]).await;
    let done = follow(&browser, done).await.shows(200, "New long-lived token");
    assert!(!done.text.contains("Previous token"), "{}", done.text);
}

#[tokio::test]
async fn a_reissue_with_a_delay_asks_before_it_revokes_the_previous_token() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let page = company.path("/channels/{channel}/messaging-api");
    let first = [("delay", "86400")];
    let done = browser.send(&page, &first).await;
    assert_eq!(done.location(), page, "the current token stays active: {}", done.text);
    follow(&browser, done).await.shows(200, "Previous token");

    for fields in [&[("delay", "86400")][..], &[("delay", "other"), ("hours", "24")]] {
        let before = world.events().await;
        let asked = browser.send(&page, fields).await;
        assert_eq!(asked.location(), format!("{page}/reissue?delay=86400"), "{}", asked.text);
        let asked = browser.get(asked.location()).await;
        let asked = asked.shows(200, "and revoke the previous one now?");
        let asked = asked.shows(200, "The current token stays active for 1 day");
        asked.shows_command("--delay 86400");
        assert_eq!(world.events().await, before, "nothing is done yet");
    }
    // Less than a minute is no time at all.
    let asked = browser.send(&page, &[("delay", "other"), ("hours", "0.0003")]).await;
    assert_eq!(asked.location(), format!("{page}/reissue?delay=0"), "{}", asked.text);

    world.authority().advance_clock(601).await.unwrap();
    let reissue = format!("{page}/reissue?delay=86400");
    browser.send(&reissue, &[("delay", "86400")]).await.shows(422, "revoke the previous one now?");
    let code = world.code(&human.totp, 0);
    let done = browser.send(&reissue, &[("delay", "86400"), ("code", &code)]).await;
    let done = follow(&browser, done).await.shows(200, "New long-lived token");
    done.shows(200, "Previous token");
}

#[tokio::test]
async fn giving_a_role_takes_none_away_without_a_question() {
    let world = World::new().await;
    let human = world.operator("mika", OperatorRole::Administrator).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let channel = company.channel;
    let admin = RoleChange::Channel { channel, role: Some(ChannelRole::Admin) };
    let aoi = world.human("aoi", Some(admin)).await.id;
    let roles = company.path("/channels/{channel}/roles");
    let before = world.events().await;
    let id = aoi.to_string();
    let asked = browser.send(&roles, &[("person", &id), ("role", "tester")]).await;
    assert_eq!(asked.location(), format!("{roles}/{id}?role=tester"), "{}", asked.text);
    browser.get(asked.location()).await.shows(200, "Change the role of <bdi>aoi</bdi>");
    browser.send(&roles, &[("person", &id), ("role", "none")]).await.shows(400, "");
    assert_eq!(world.events().await, before, "nothing is done yet");
    // One who has no role there gets one at once.
    let person = company.path("/people/{person}");
    let id = person.rsplit('/').next().unwrap();
    let given = browser.send(&roles, &[("person", id), ("role", "tester")]).await;
    assert_eq!(given.location(), roles, "{}", given.text);
}

#[tokio::test]
async fn a_person_on_call_takes_roles_away_and_gives_none() {
    let world = World::new().await;
    let human = world.operator("ren", OperatorRole::OnCall).await;
    let browser = world.browser_of(&human).await;
    let company = crate::pages::Company::new(&world, "company").await;
    let (channel, provider) = (company.channel, company.provider);
    let aoi = world.operator("aoi", OperatorRole::Auditor).await.id;
    let roles = [
        RoleChange::Channel { channel, role: Some(ChannelRole::Admin) },
        RoleChange::Provider { provider, role: Some(ProviderRole::Admin) },
    ];
    for role in roles {
        world.root().set_role(aoi, role).await.unwrap();
    }
    for (list, of_person) in [
        ("/channels/{channel}/roles", "/channels/{channel}/roles/AOI"),
        ("/providers/{provider}/roles", "/providers/{provider}/roles/AOI"),
        ("/people", "/people/AOI/role"),
    ] {
        let (list, at) = (company.path(list), of_person.replace("AOI", &aoi.to_string()));
        let at = company.path(&at);
        let page = browser.get(&list).await.shows(200, &format!("href=\"{at}?role=none\""));
        assert!(!page.text.contains("<select"), "{list}: {}", page.text);
        assert_eq!(browser.get(&format!("{at}?role=admin")).await.status, 403, "{at}");
        browser.get(&format!("{at}?role=none")).await.shows(200, "Remove <bdi>aoi</bdi>");
        let done = browser.send(&at, &[("role", "none")]).await;
        assert_eq!(done.location(), list, "{}", done.text);
    }
    let person = world.root().person(aoi).await.unwrap().person;
    assert!(person.operator.is_none() && person.channels.is_empty() && person.providers.is_empty());
}

#[tokio::test]
async fn a_member_leaves_a_channel() {
    let world = World::new().await;
    let company = crate::pages::Company::new(&world, "company").await;
    let channel = company.channel;
    let (page, leave) =
        (company.path("/channels/{channel}"), company.path("/channels/{channel}/leave"));
    for (login, role) in [("mika", ChannelRole::Member), ("sora", ChannelRole::Tester)] {
        let human =
            world.human(login, Some(RoleChange::Channel { channel, role: Some(role) })).await;
        let browser = world.browser_of(&human).await;
        browser.get(&page).await.shows(200, &format!("href=\"{leave}\""));
        browser.get(&leave).await.shows(200, "Give up your role in <bdi>company</bdi>?");
        let done = browser.send(&leave, &[]).await;
        assert_eq!(done.location(), "/console", "{}", done.text);
        assert_eq!(browser.get(&page).await.status, 404);
    }
}

#[tokio::test]
async fn the_tokens_of_a_lost_device_are_found_and_deleted_on_its_persons_page() {
    let world = World::new().await;
    let mika = world.operator("mika", OperatorRole::Administrator).await;
    let own = world.browser_of(&mika).await;
    let fields = [("name", "old laptop"), ("rights", "full"), ("days", "30")];
    assert_eq!(own.send("/console/account/tokens", &fields).await.status, 303);
    let id = world.root().admin_tokens().unwrap()[0].id;
    let (page, delete) =
        (format!("/console/people/{}", mika.id), format!("/console/account/tokens/{id}/delete"));
    let auditor = world.operator("aki", OperatorRole::Auditor).await;
    let sees = world.browser_of(&auditor).await.get(&page).await.shows(200, "old laptop");
    assert!(!sees.text.contains(&delete), "{}", sees.text);
    let on_call = world.operator("ren", OperatorRole::OnCall).await;
    let browser = world.browser_of(&on_call).await;
    browser.get(&page).await.shows(200, &format!("href=\"{delete}\""));
    browser.get(&delete).await.shows(200, &format!("href=\"{page}\""));
    let done = browser.send(&delete, &[]).await;
    assert_eq!(done.location(), page, "{}", done.text);
    assert!(world.root().admin_tokens().unwrap().is_empty());
}
