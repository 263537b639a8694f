//! People over the API: invited, signed in, given roles, disabled; and their tokens.

use crate::world::{HttpResponse, World};
use data_encoding::BASE32_NOPAD;
use http::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tegata_policy::totp;
use tegata_server::authority::source::Source;
use tegata_token::time::DAY;

pub const PASSWORD: &str = "correct horse battery staple";

/// A person who has accepted an invitation and is signed in.
pub struct Human {
    pub id: String,
    pub session: String,
    pub totp: Vec<u8>,
    pub recovery: Vec<String>,
}

/// Each person signs in from an own address.
static ADDRESS: AtomicU8 = AtomicU8::new(20);

impl World {
    /// A request with this bearer token, if any, from an address of its own.
    pub async fn by(
        &self,
        token: Option<&str>,
        (method, path): (Method, &str),
        body: &Value,
    ) -> HttpResponse {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = self.request(method, path, text);
        let source = [192, 0, 2, ADDRESS.fetch_add(1, Relaxed)];
        request.extensions_mut().insert(Source(source.into()));
        request.headers_mut().remove("authorization");
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
        }
        self.send(request).await
    }

    pub async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> HttpResponse {
        self.by(Some(token), (method, path), &body).await
    }

    /// A code of the person's authenticator, so many steps from now.
    pub fn code(&self, secret: &[u8], steps: i64) -> String {
        format!("{:06}", totp::code(secret, totp::step_at(self.authority.now()) + steps))
    }

    /// Accepts an invitation; gives the second factor's secret and the recovery codes.
    pub async fn accept(&self, invitation: &str, password: &str) -> (Vec<u8>, Vec<String>) {
        let body = json!({ "invitation": invitation });
        let opened = self.by(None, (Method::POST, "/invitations/open"), &body).await.expect(200);
        let secret = opened["totp_secret"].as_str().unwrap();
        assert!(opened["totp_uri"].as_str().unwrap().contains(secret));
        let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let body = json!({
            "invitation": invitation, "password": password, "totp_secret": secret,
            "code": self.code(&bytes, -1),
        });
        let done = self.by(None, (Method::POST, "/invitations/accept"), &body).await.expect(201);
        let codes = done["recovery_codes"].as_array().unwrap().iter();
        (bytes, codes.map(|it| it.as_str().unwrap().to_owned()).collect())
    }

    pub async fn sign_in(&self, login: &str, password: &str, code: &str) -> HttpResponse {
        let body = json!({ "login": login, "password": password, "code": code });
        self.by(None, (Method::POST, "/sessions"), &body).await
    }

    /// A person with at most one role, signed in.
    pub async fn human(&self, login: &str, role: Value) -> Human {
        let mut body = role;
        body["login"] = login.into();
        let invited = self.post("/people/invitations", body).await.expect(201);
        let (totp, recovery) = self.accept(text(&invited, "invitation"), PASSWORD).await;
        let session = self.sign_in(login, PASSWORD, &self.code(&totp, 0)).await.expect(201);
        Human {
            id: text(&invited, "person_id").to_owned(),
            session: text(&session, "session_token").to_owned(),
            totp,
            recovery,
        }
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[tokio::test]
async fn a_person_is_invited_signs_in_and_acts_under_the_own_name() {
    let world = World::new().await;
    let mika = world.human("mika@example.com", json!({ "operator": "administrator" })).await;
    let own = world.call(&mika.session, Method::GET, "/account", Value::Null).await.expect(200);
    assert_eq!((text(&own, "state"), text(&own, "operator")), ("active", "administrator"));
    let body = json!({ "name": "Shops" });
    world.call(&mika.session, Method::POST, "/providers", body).await.expect(201);
    let actor = format!("person {}", mika.id);
    let path = format!("/audit?actor={}", actor.replace(' ', "%20"));
    let acts = world.get(&path).await.expect(200);
    let acts: Vec<_> =
        acts["events"].as_array().unwrap().iter().map(|it| text(it, "act")).collect();
    assert_eq!(acts, ["provider.create", "person.sign-in", "person.accept"]);
    world.call(&mika.session, Method::DELETE, "/sessions/current", Value::Null).await.expect(204);
    let after = world.call(&mika.session, Method::GET, "/account", Value::Null).await;
    after.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn an_invitation_is_accepted_once_and_expires() {
    let world = World::new().await;
    let invite = async |login: &str| {
        let invited = world.post("/people/invitations", json!({ "login": login })).await;
        text(&invited.expect(201), "invitation").to_owned()
    };
    let open = async |invitation: &str| {
        let body = json!({ "invitation": invitation });
        world.by(None, (Method::POST, "/invitations/open"), &body).await
    };
    let invitation = invite("mika").await;
    open(&invitation).await.expect(200);
    world.accept(&invitation, PASSWORD).await;
    open(&invitation).await.expect_problem(404, "not-found");
    open("tgi_unknown").await.expect_problem(404, "not-found");
    let taken = world.post("/people/invitations", json!({ "login": "mika" })).await;
    assert!(taken.expect_problem(409, "conflict").contains("mika"));
    let late = invite("aoi").await;
    world.authority.advance_clock(DAY - 60).await.unwrap();
    open(&late).await.expect(200);
    world.authority.advance_clock(60).await.unwrap();
    open(&late).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_weak_password_or_a_wrong_code_is_not_accepted() {
    let world = World::new().await;
    let body = json!({ "login": "mika-tanaka", "name": "Mika Tanaka" });
    let invited = world.post("/people/invitations", body).await.expect(201);
    let invitation = text(&invited, "invitation");
    let body = json!({ "invitation": invitation });
    let opened = world.by(None, (Method::POST, "/invitations/open"), &body).await.expect(200);
    let secret = text(&opened, "totp_secret");
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let accept = async |password: &str, code: &str| {
        let body = json!({
            "invitation": invitation, "password": password, "totp_secret": secret, "code": code,
        });
        world.by(None, (Method::POST, "/invitations/accept"), &body).await
    };
    let code = world.code(&bytes, 0);
    let long = "long ".repeat(50);
    for weak in ["eleven char", "mika-tanaka12", "aaaaaaaaaaaabb", long.as_str()] {
        accept(weak, &code).await.expect_problem(400, "invalid-member");
    }
    for wrong in ["", "12345", &world.code(&bytes, 9)] {
        accept(PASSWORD, wrong).await.expect_problem(400, "invalid-member");
    }
    accept(PASSWORD, &code).await.expect(201);
}

#[tokio::test]
async fn a_code_signs_in_once_and_a_wrong_part_gets_one_answer() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    let (used, next) = (world.code(&mika.totp, 0), world.code(&mika.totp, 1));
    for (login, password, code) in [
        ("mika", PASSWORD, used.as_str()),
        ("mika", "another password", next.as_str()),
        ("mika", PASSWORD, "000000x"),
        ("nope", PASSWORD, next.as_str()),
    ] {
        let answer = world.sign_in(login, password, code).await;
        let detail = answer.expect_problem(401, "wrong-sign-in");
        assert_eq!(detail, "the sign-in name, the password or the code is wrong");
    }
    world.sign_in("mika", PASSWORD, &next).await.expect(201);
    world.sign_in("mika", PASSWORD, &mika.recovery[0]).await.expect(201);
    let again = world.sign_in("mika", PASSWORD, &mika.recovery[0]).await;
    again.expect_problem(401, "wrong-sign-in");
    assert_eq!(mika.recovery.len(), 10);
}

#[tokio::test]
async fn attempts_to_sign_in_from_one_source_are_throttled_before_the_password_is_hashed() {
    let world = World::new().await;
    let body = json!({ "login": "mika", "password": "x", "code": "000000" });
    for _ in 0..10 {
        world.post("/sessions", &body).await.expect_problem(401, "wrong-sign-in");
    }
    world.post("/sessions", &body).await.expect_problem(429, "limit-exceeded");
    // From another source nothing changed.
    world.sign_in("mika", "x", "000000").await.expect_problem(401, "wrong-sign-in");
}

#[tokio::test]
async fn disabling_a_reset_and_a_new_password_end_sessions() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    let account = async |session: &str| {
        world.call(session, Method::GET, "/account", Value::Null).await.status
    };
    let other = world.sign_in("mika", PASSWORD, &mika.recovery[0]).await.expect(201);
    let other = text(&other, "session_token");
    let change = async |old: &str| {
        let body = json!({ "old_password": old, "new_password": "another good password" });
        world.call(&mika.session, Method::POST, "/account/password", body).await
    };
    change("wrong password").await.expect_problem(401, "wrong-sign-in");
    change(PASSWORD).await.expect(204);
    assert_eq!((account(&mika.session).await, account(other).await), (200, 401));
    let old = world.sign_in("mika", PASSWORD, &mika.recovery[1]).await;
    old.expect_problem(401, "wrong-sign-in");

    let path = format!("/people/{}", mika.id);
    world.patch(&path, json!({ "state": "disabled" })).await.expect(200);
    assert_eq!(account(&mika.session).await, 401);
    let new = "another good password";
    let out = world.sign_in("mika", new, &mika.recovery[1]).await;
    out.expect_problem(401, "wrong-sign-in");
    world.patch(&path, json!({ "state": "active" })).await.expect(200);
    let session = world.sign_in("mika", new, &mika.recovery[1]).await.expect(201);
    let session = text(&session, "session_token");

    let reset = world.post(&format!("{path}/reset"), "").await.expect(201);
    assert_eq!((text(&reset, "state"), account(session).await), ("invited", 401));
    let out = world.sign_in("mika", new, &mika.recovery[2]).await;
    out.expect_problem(401, "wrong-sign-in");
    let (totp, _) = world.accept(text(&reset, "invitation"), PASSWORD).await;
    let again = world.sign_in("mika", PASSWORD, &world.code(&totp, 0)).await.expect(201);
    assert_eq!(account(text(&again, "session_token")).await, 200);
    world.delete(&path).await.expect(204);
    assert_eq!(account(text(&again, "session_token")).await, 401);
}

#[tokio::test]
async fn wrong_codes_after_a_right_password_are_limited_over_all_sources_and_recorded() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    // Each attempt comes from a source of its own.
    for _ in 0..9 {
        let wrong = world.sign_in("mika", PASSWORD, "000000x").await;
        wrong.expect_problem(401, "wrong-sign-in");
    }
    world.sign_in("mika", PASSWORD, "000000x").await.expect_problem(429, "limit-exceeded");
    let right = world.code(&mika.totp, 1);
    world.sign_in("mika", PASSWORD, &right).await.expect_problem(429, "limit-exceeded");
    // Those who do not know the password can keep no person out, and a recovery code remains.
    world.sign_in("mika", "another password", &right).await.expect_problem(401, "wrong-sign-in");
    world.sign_in("mika", PASSWORD, &mika.recovery[0]).await.expect(201);
    let events = world.get("/audit?act=person.throttle").await.expect(200);
    assert_eq!(events["events"][0]["detail"]["person"], mika.id, "{events}");
}

#[tokio::test]
async fn a_personal_token_cannot_reset_its_own_person() {
    let world = World::new().await;
    let mika = world.human("mika", json!({ "operator": "administrator" })).await;
    let body = json!({ "name": "laptop", "rights": "full", "expires_at": after(&world, 60) });
    let made = world.call(&mika.session, Method::POST, "/admin-tokens", body).await.expect(201);
    let path = format!("/people/{}/reset", mika.id);
    let refused = world.call(text(&made, "admin_token"), Method::POST, &path, Value::Null).await;
    assert!(refused.expect_problem(403, "forbidden").contains("`full`"));
    world.call(&mika.session, Method::POST, &path, Value::Null).await.expect(201);
}

#[tokio::test]
async fn whom_the_last_role_is_taken_from_cannot_accept_the_invitation_any_more() {
    let world = World::new().await;
    let body = json!({ "login": "mika", "operator": "auditor" });
    let invited = world.post("/people/invitations", body).await.expect(201);
    let open = json!({ "invitation": text(&invited, "invitation") });
    world.by(None, (Method::POST, "/invitations/open"), &open).await.expect(200);
    let path = format!("/people/{}", text(&invited, "person_id"));
    world.patch(&path, json!({ "operator": null })).await.expect(200);
    let opened = world.by(None, (Method::POST, "/invitations/open"), &open).await;
    opened.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_change_that_is_refused_changes_nothing() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    let path = format!("/people/{}", mika.id);
    // Mika has no role in the whole authority to lose.
    let both = json!({ "name": "Other", "state": "disabled", "operator": null });
    assert_eq!(world.patch(&path, both).await.status, 404);
    let account = world.call(&mika.session, Method::GET, "/account", Value::Null).await;
    assert_eq!(text(&account.expect(200), "name"), "mika");
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    let account =
        async || world.call(&mika.session, Method::GET, "/account", Value::Null).await.status;
    world.authority.advance_clock(12 * 3_600 - 60).await.unwrap();
    assert_eq!(account().await, 200);
    world.authority.advance_clock(60).await.unwrap();
    assert_eq!(account().await, 401);
}

/// A time so many seconds from now.
fn after(world: &World, seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(world.authority.now().0 + seconds).unwrap();
    at.to_string()
}

#[tokio::test]
async fn a_personal_token_has_narrowed_rights_and_an_end_and_creates_no_other() {
    let world = World::new().await;
    let shop = world.channel().await;
    let mika = world.human("mika", json!({ "operator": "administrator" })).await;
    let create = async |by: &str, rights: &str, seconds: i64| {
        let at = after(&world, seconds);
        let body = json!({ "name": "deploy", "rights": rights, "expires_at": at });
        world.call(by, Method::POST, "/admin-tokens", body).await
    };
    create(&mika.session, "full", 0).await.expect_problem(400, "invalid-member");
    create(&mika.session, "full", 367 * DAY).await.expect_problem(400, "invalid-member");
    let root = crate::world::ADMIN_TOKEN;
    create(root, "full", DAY).await.expect_problem(403, "forbidden");
    let mut tokens = Vec::new();
    for rights in ["read", "revoke", "full"] {
        let made = create(&mika.session, rights, DAY).await.expect(201);
        tokens.push((
            text(&made, "admin_token").to_owned(),
            text(&made, "admin_token_id").to_owned(),
        ));
    }
    let suspend = json!({ "state": "suspended", "dry_run": true });
    let rename = json!({ "name": "Other", "dry_run": true });
    let path = shop.at("");
    for ((token, _), expected) in
        tokens.iter().zip([(200, 403, 403), (200, 200, 403), (200, 200, 200)])
    {
        let read = world.call(token, Method::GET, &path, Value::Null).await.status;
        let narrow = world.call(token, Method::PATCH, &path, suspend.clone()).await.status;
        let change = world.call(token, Method::PATCH, &path, rename.clone()).await.status;
        assert_eq!((read, narrow, change), expected);
        create(token, "read", DAY).await.expect_problem(403, "forbidden");
    }
    let listed = world.call(&mika.session, Method::GET, "/admin-tokens", Value::Null).await;
    assert_eq!(listed.expect(200)["admin_tokens"].as_array().unwrap().len(), 3);
    let gone = format!("/admin-tokens/{}", tokens[1].1);
    world.call(&mika.session, Method::DELETE, &gone, Value::Null).await.expect(204);
    let read = async |nth: usize| {
        world.call(&tokens[nth].0, Method::GET, "/account", Value::Null).await.status
    };
    assert_eq!((read(0).await, read(1).await), (200, 401));
    world.authority.advance_clock(DAY).await.unwrap();
    assert_eq!(read(0).await, 401, "it has expired");
}

#[tokio::test]
async fn the_creator_of_a_channel_is_its_admin_and_a_member_can_leave() {
    let world = World::new().await;
    let provider = world.provider("Company").await;
    let role = json!({ "provider_id": provider, "provider_role": "admin" });
    let mika = world.human("mika", role).await;
    let aoi = world.human("aoi", json!({})).await;
    let body = json!({ "name": "shop", "type": "messaging-api" });
    let channels = format!("/providers/{provider}/channels");
    let made = world.call(&mika.session, Method::POST, &channels, body).await.expect(201);
    let channel = format!("/channels/{}", text(&made, "channel_id"));
    world.call(&mika.session, Method::GET, &channel, Value::Null).await.expect(200);
    let hidden = world.call(&aoi.session, Method::GET, &channel, Value::Null).await;
    hidden.expect_problem(404, "not-found");
    let path = format!("{channel}/roles/{}", aoi.id);
    let give = json!({ "role": "member" });
    world.call(&mika.session, Method::PATCH, &path, give).await.expect(200);
    world.call(&aoi.session, Method::GET, &channel, Value::Null).await.expect(200);
    let groups = format!("{channel}/groups");
    world.call(&aoi.session, Method::GET, &groups, Value::Null).await.expect(200);
    let tokens = format!("{channel}/tokens");
    let denied = world.call(&aoi.session, Method::GET, &tokens, Value::Null).await;
    denied.expect_problem(403, "forbidden");
    let leave = json!({ "role": null });
    world.call(&aoi.session, Method::PATCH, &path, leave).await.expect(200);
    let hidden = world.call(&aoi.session, Method::GET, &channel, Value::Null).await;
    hidden.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_role_in_a_deleted_channel_can_be_taken_away() {
    let world = World::new().await;
    let shop = world.channel().await;
    let role = json!({ "channel_id": shop.id, "channel_role": "member" });
    let (mika, aoi) = (world.human("mika", role.clone()).await, world.human("aoi", role).await);
    world.delete(&shop.at("")).await.expect(200);
    let roles = async |human: &Human| {
        let shown = world.get(&format!("/people/{}", human.id)).await.expect(200);
        shown["channels"].as_array().unwrap().len()
    };
    assert_eq!((roles(&mika).await, roles(&aoi).await), (1, 1));
    let take = json!({ "role": null });
    let path = |human: &Human| shop.at(&format!("/roles/{}", human.id));
    world.patch(&path(&mika), take.clone()).await.expect(200);
    // A person gives up their own, and takes none from others.
    let others = world.call(&aoi.session, Method::PATCH, &path(&mika), take.clone()).await;
    others.expect_problem(403, "forbidden");
    world.call(&aoi.session, Method::PATCH, &path(&aoi), take.clone()).await.expect(200);
    assert_eq!((roles(&mika).await, roles(&aoi).await), (0, 0));
    world.patch(&path(&mika), take).await.expect_problem(404, "not-found");
    let give = json!({ "role": "member" });
    world.patch(&path(&mika), give).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_a_person_created_is_revoked_by_the_persons_name() {
    let world = World::new().await;
    let shop = world.channel().await;
    let mika = world.human("mika", json!({ "operator": "administrator" })).await;
    let path = shop.at("/long-lived-token");
    let made = world.call(&mika.session, Method::POST, &path, json!({})).await.expect(201);
    let token = text(&made, "access_token").to_owned();
    let body = json!({
        "created_by": { "actor": format!("person {}", mika.id), "since": "2020-01-01T00:00:00Z" },
    });
    assert_eq!(world.post("/revocations", body).await.expect(201)["revoked"], 1);
    assert_eq!(world.state(&token).await, "revoked");
}

#[tokio::test]
async fn a_new_master_key_keeps_the_second_factors() {
    let world = World::new().await;
    let mika = world.human("mika", json!({})).await;
    world.post("/master-key", "").await.expect(200);
    let code = world.code(&mika.totp, 1);
    world.sign_in("mika", PASSWORD, &code).await.expect(201);
}

#[tokio::test]
async fn the_deletion_of_a_person_and_of_a_token_can_be_dry_runs_with_a_reason() {
    let world = World::new().await;
    let one = world.human("one", json!({ "operator": "administrator" })).await;
    let two = world.human("two", json!({ "operator": "administrator" })).await;
    let at = jiff::Timestamp::from_second(world.authority.now().0 + 3_600).unwrap().to_string();
    let body = json!({ "name": "deploy", "rights": "read", "expires_at": at });
    let made = world.call(&two.session, Method::POST, "/admin-tokens", body).await.expect(201);
    let (person, token) = (format!("/people/{}", two.id), text(&made, "admin_token_id"));
    let would = world.delete(&format!("{person}?dry_run=true")).await.expect(200);
    assert_eq!((&would["dry_run"], &would["sessions"]), (&json!(true), &json!(1)));
    assert_eq!(would["admin_tokens"][0]["admin_token_id"], token);
    assert_eq!(would["person"]["recovery_codes_left"], 10);
    let of_token = format!("/admin-tokens/{token}");
    let would = world.delete(&format!("{of_token}?dry_run=true")).await.expect(200);
    assert_eq!((&would["dry_run"], &would["name"]), (&json!(true), &json!("deploy")));
    world.get(&person).await.expect(200);

    // Each act on people has its reason in the audit.
    let newest = async || world.get("/audit?limit=1").await.expect(200)["events"][0].clone();
    let reason = json!({ "name": "Two", "reason": "a new name" });
    world.patch(&person, reason).await.expect(200);
    assert_eq!(newest().await["reason"], "a new name");
    let reset = json!({ "reason": "lost the phone" });
    world.post(&format!("{person}/reset"), reset).await.expect(201);
    assert_eq!(newest().await["reason"], "lost the phone");
    world.delete(&format!("{of_token}?reason=unused")).await.expect(204);
    assert_eq!(newest().await["reason"], "unused");
    world.delete(&format!("{person}?reason=left")).await.expect(204);
    assert_eq!(newest().await["reason"], "left");

    // The last administrator stays, and a dry run says so.
    let last = format!("/people/{}", one.id);
    for path in [format!("{last}?dry_run=true"), last.clone()] {
        world.delete(&path).await.expect_problem(409, "conflict");
    }
    let disabled = json!({ "state": "disabled" });
    world.patch(&last, disabled).await.expect_problem(409, "conflict");
    let on_call = json!({ "operator": "on-call" });
    world.patch(&last, on_call).await.expect_problem(409, "conflict");
    world.call(&one.session, Method::GET, "/account", Value::Null).await.expect(200);
}

#[tokio::test]
async fn throttled_sign_ins_are_counted_and_unknown_invitations_are_no_guesses() {
    let world = World::new().await;
    let source = Source([192, 0, 2, 250].into());
    let try_once = async |path: &str, body: &Value| {
        let mut request = world.request(Method::POST, path, body.to_string());
        request.extensions_mut().insert(source);
        request.headers_mut().remove("authorization");
        world.send(request).await.status
    };
    let unknown = json!({ "invitation": format!("tgi_{}", "0".repeat(64)) });
    for _ in 0..30 {
        assert_eq!(try_once("/invitations/open", &unknown).await, 404);
    }
    let sign_in = json!({ "login": "none", "password": "x", "code": "000000" });
    let mut refused = 0;
    for _ in 0..30 {
        refused += u64::from(try_once("/sessions", &sign_in).await == 429);
    }
    assert!(refused > 0);
    assert_eq!(world.metrics.throttled.sign_in.get(), refused);
    let events = world.get("/audit?act=admin-token.throttle").await.expect(200);
    assert_eq!(events["events"], json!([]), "an invitation is no administrator's token");
}

#[tokio::test]
async fn an_explanation_names_a_provider_only_to_whom_may_see_it() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let role = |role: &str| json!({ "channel_id": shop.id, "channel_role": role });
    let human = world.human("channel-admin", role("admin")).await;
    let body = json!({ "access_token": token });
    let explain =
        async |by: &str| world.call(by, Method::POST, "/explain", body.clone()).await.expect(200);
    let shown = explain(&human.session).await;
    assert_eq!((&shown["provider_name"], &shown["channel_id"]), (&Value::Null, &json!(shop.id)));
    assert_eq!(shown["code"], "valid");
    assert!(shown["why_facts"]["until"].is_string(), "{shown}");
    let shown = explain(crate::world::ADMIN_TOKEN).await;
    assert_eq!(shown["provider_name"], "Company");
}
