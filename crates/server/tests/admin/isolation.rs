//! What the people of one provider can see and do of another provider: nothing. And what
//! each role can do: what the permission table says. Both are generated from the routes, so
//! that a new route is covered by itself.

use crate::{
    people::{Human, text},
    schema::{Call, calls, resolved},
    world::{Shop, World, public_jwk},
};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use http::Method;
use serde_json::{Value, json};
use tegata_policy::permission::{
    Access, ChannelRole, OperatorRole, Permission as P, ProviderRole, Role,
};

/// A provider with an object of every sort.
pub struct Company {
    pub shop: Shop,
    pub admin: Human,
    token: String,
    /// The name of each id in a path, and the object's own.
    ids: Vec<(&'static str, String)>,
}

impl Company {
    pub async fn new(world: &World, name: &str) -> Self {
        let provider = world.provider(name).await;
        let role = json!({ "provider_id": provider, "provider_role": "admin" });
        let admin = world.human(&format!("{name}-admin"), role).await;
        let path = format!("/providers/{provider}/channels");
        let body = json!({ "name": name, "type": "messaging-api" });
        let made = world.call(&admin.session, Method::POST, &path, body).await.expect(201);
        let shop = Shop {
            id: text(&made, "channel_id").to_owned(),
            provider: provider.clone(),
            secret: text(&made, "channel_secret").to_owned(),
        };
        let (_, kid) = world.key(&shop, Some("kitchen")).await;
        let (token, token_id) = world.long_lived(&shop, 0).await;
        let body = json!({ "name": name, "provider_id": provider });
        let verifier = world.post("/verifiers", body).await.expect(201);
        let at = jiff::Timestamp::from_second(world.authority.now().0 + 3_600).unwrap();
        let body = json!({ "name": name, "rights": "full", "expires_at": at.to_string() });
        let admin_token =
            world.call(&admin.session, Method::POST, "/admin-tokens", body).await.expect(201);
        let revoked = world.post(&shop.at("/revocations"), json!({ "kind": "v2.1" })).await;
        let ids = vec![
            ("{provider}", provider),
            ("{channel}", shop.id.clone()),
            ("{kid}", kid),
            ("{group}", "kitchen".to_owned()),
            ("{token}", token_id),
            ("{position}", text(&revoked.expect(201), "position").to_owned()),
            ("{verifier}", text(&verifier, "verifier_id").to_owned()),
            ("{instance}", "AAECAwQFBgcICQoLDA0ODw".to_owned()),
            ("{person}", admin.id.clone()),
            ("{admin_token}", text(&admin_token, "admin_token_id").to_owned()),
        ];
        Self { shop, admin, token, ids }
    }

    pub fn path(&self, path: &str) -> String {
        let path = self.ids.iter().fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "give {path} an object of its sort here");
        path
    }

    /// A valid body for a call: its required members, and what it must have in addition.
    pub fn body(&self, call: &Call) -> Value {
        if call.method == Method::GET || call.method == Method::DELETE {
            return Value::Null;
        }
        let mut body = json!({});
        let schema = schema_of(call);
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            body[name] = self.member(name);
        }
        match call.described["operationId"].as_str().unwrap() {
            "revokeInChannel" => body["all"] = true.into(),
            "revoke" => body["provider_id"] = self.shop.provider.clone().into(),
            "setProviderRole" | "setChannelRole" => body["role"] = "admin".into(),
            "changePerson" => body["name"] = "Other".into(),
            _ => {}
        }
        body
    }

    fn member(&self, name: &str) -> Value {
        match name {
            "name" => "Other".into(),
            "type" => "messaging-api".into(),
            "role" => "admin".into(),
            "login" => "somewhere".into(),
            "rights" => "read".into(),
            "expires_at" => "2099-01-01T00:00:00Z".into(),
            "access_token" => self.token.clone().into(),
            "jwk" => public_jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap()),
            "old_password" | "new_password" | "password" => "a wrong password".into(),
            "invitation" | "totp_secret" | "code" => "none".into(),
            other => panic!("give the member `{other}` a sample here"),
        }
    }
}

fn schema_of(call: &Call) -> &'static Value {
    let schema = &call.described["requestBody"]["content"]["application/json"]["schema"];
    let choices = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    let schema = choices.iter().find(|it| it["type"] != "null").unwrap_or(schema);
    if schema.is_null() { schema } else { resolved(schema) }
}

pub fn operation(call: &Call) -> &'static str {
    call.described["operationId"].as_str().unwrap()
}

/// All that root sees, and the newest audit event: what an act would change.
pub async fn everything(world: &World, company: &Company) -> String {
    let mut found = String::new();
    for call in calls().filter(|it| it.method == Method::GET) {
        if ["showAccount", "verifyAudit", "exportAudit", "describe"].contains(&operation(&call)) {
            continue;
        }
        let path = company.path(call.path);
        let answer = world.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        found.push_str(&format!("{path} {}\n", answer.body));
    }
    found
}

#[tokio::test]
async fn a_person_of_one_provider_neither_sees_nor_changes_anything_of_another() {
    let world = World::new().await;
    let ours = Company::new(&world, "ours").await;
    let theirs = Company::new(&world, "theirs").await;
    let at = jiff::Timestamp::from_second(world.authority.now().0 + 3_600).unwrap();
    let body = json!({ "name": "full", "rights": "full", "expires_at": at.to_string() });
    let token = world.call(&ours.admin.session, Method::POST, "/admin-tokens", body).await;
    let token = token.expect(201);
    let credentials = [ours.admin.session.as_str(), text(&token, "admin_token")];
    let before = everything(&world, &theirs).await;
    let mut tried = 0;
    // Signing out would end the session that the requests are made with.
    for call in calls().filter(|it| operation(it) != "signOut") {
        let path = theirs.path(call.path);
        for credential in credentials {
            let answer =
                world.call(credential, call.method.clone(), &path, theirs.body(&call)).await;
            let what = format!("{} {path} {}: {}", call.method, answer.status, answer.body);
            if call.path.contains('{') {
                assert_eq!(answer.status, 404, "{what}");
                tried += 1;
            } else if call.method == Method::GET && operation(&call) != "describe" {
                // A list holds nothing of theirs; what it is of may be forbidden.
                assert!([200, 403].contains(&answer.status), "{what}");
                let mut shown = answer.body.clone();
                // It is random, and may contain a short position.
                shown.as_object_mut().map(|it| it.remove("request_id"));
                let shown = shown.to_string();
                for (name, id) in theirs.ids.iter().filter(|it| it.0 != "{group}") {
                    assert!(*name == "{instance}" || !shown.contains(id), "{name} in {what}");
                }
            }
        }
    }
    assert!(tried > 50, "only {tried} requests were tried");
    for (path, body, status) in [
        ("/explain", json!({ "access_token": theirs.token }), 404),
        ("/revocations", json!({ "access_token": theirs.token }), 404),
        ("/revocations", json!({ "provider_id": theirs.shop.provider }), 404),
        ("/revocations", json!({ "all": true }), 403),
    ] {
        let answer = world.call(credentials[0], Method::POST, path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let invite = json!({
        "login": "new", "provider_id": theirs.shop.provider, "provider_role": "admin",
    });
    let answer = world.call(credentials[0], Method::POST, "/people/invitations", invite).await;
    answer.expect_problem(404, "not-found");
    let audit = format!("/audit?channel={}", theirs.shop.id);
    let events = world.call(credentials[0], Method::GET, &audit, Value::Null).await.expect(200);
    assert_eq!(events["events"], json!([]));
    let (before, after) = (before, everything(&world, &theirs).await);
    // The one act that was allowed is not about them: a provider of the caller's is none.
    let lines = |it: &str| it.lines().map(str::to_owned).collect::<Vec<_>>();
    for (before, after) in lines(&before).iter().zip(lines(&after)) {
        let own = ["/audit ", "/admin-tokens "].iter().any(|it| before.starts_with(it));
        assert!(own || *before == after, "{before}\nis now\n{after}");
    }
}

/// The permission of each call; of a call that depends on its body, that of [`Company::body`].
/// `None`: it needs none.
fn permission(operation: &str) -> Option<P> {
    Some(match operation {
        "describe" | "openInvitation" | "acceptInvitation" | "signIn" => return None,
        // Filtered, so that everyone may ask.
        "listAllAssertionKeys"
        | "listAuditEvents"
        | "listAllChannels"
        | "listProviders"
        | "listWarnings"
        | "listExpiringTokens"
        | "showTokenRules"
        | "showSettings"
        | "listAdminTokens" => return None,
        "showActivity" => P::ReadVerifierWarnings,
        "exportAudit" | "verifyAudit" | "lastAuditVerification" => P::ReadAudit,
        "showChannel" => P::ReadChannel,
        "deleteChannel" => P::DeleteChannel,
        "changeChannel" => P::ChangeChannel,
        "listAssertionKeys" => P::ReadAssertionKeys,
        "registerAssertionKey" => P::RegisterAssertionKey,
        "deleteAssertionKey" => P::DeleteAssertionKey,
        "listGroups" | "showGroup" => P::ReadGroups,
        "deleteGroup" => P::DeleteGroup,
        "changeGroup" => P::ChangeGroup,
        "reissueLongLivedToken" => P::ReissueToken,
        "revokeInChannel" => P::RevokeTokens,
        "replaceSecret" => P::ReplaceSecret,
        "deletePreviousSecret" => P::DeletePreviousSecret,
        "listTokens" | "showToken" | "explainToken" => P::ReadTokens,
        "rotateMasterKey" => P::RotateMasterKey,
        "createProvider" => P::CreateProvider,
        "showProvider" | "listChannels" => P::ReadProvider,
        "deleteProvider" => P::DeleteProvider,
        "changeProvider" => P::ChangeProvider,
        "createChannel" => P::CreateChannel,
        "showReceipt" => P::ReadReceipts,
        "revoke" => P::RevokeProvider,
        "listSigningKeys" => P::ReadSigningKeys,
        "rotateSigningKeys" => P::RotateSigningKeys,
        "listVerifiers" | "showVerifier" => P::ReadVerifiers,
        "createVerifier" => P::CreateVerifier,
        "deleteVerifier" => P::DeleteVerifier,
        "changeVerifier" => P::ChangeVerifier,
        "removeInstances" | "removeInstance" => P::RemoveInstances,
        "testWebhook" => P::TestWarnings,
        "listPeople" | "showPerson" => P::ReadPeople,
        "invitePerson" => P::InvitePerson,
        "changePerson" => P::ChangePerson,
        "deletePerson" => P::DeletePerson,
        "resetPerson" => P::ResetPerson,
        "unlinkPerson" => P::DisablePerson,
        "listProviderRoles" | "showProviderRole" => P::ReadProviderRoles,
        "setProviderRole" => P::GiveProviderRole,
        "listChannelRoles" | "showChannelRole" => P::ReadChannelRoles,
        "setChannelRole" => P::GiveChannelRole,
        "signOut" => P::NarrowAccount,
        "showAccount" => P::ReadAccount,
        "changePassword" | "createAdminToken" => P::ChangeAccount,
        "deleteAdminToken" => P::DeleteOthersToken,
        other => panic!("give the call `{other}` its permission here"),
    })
}

/// Whether a call can be a dry run, and its path and body as one.
fn rehearsal(call: &Call, path: String, mut body: Value) -> Option<(String, Value)> {
    let in_query = |it: &Value| it["in"] == "query" && it["name"] == "dry_run";
    let parameters = call.described["parameters"].as_array();
    if parameters.is_some_and(|it| it.iter().any(in_query)) {
        return Some((format!("{path}?dry_run=true"), body));
    }
    if schema_of(call)["properties"]["dry_run"].is_null() {
        return None;
    }
    body["dry_run"] = true.into();
    Some((path, body))
}

#[tokio::test]
async fn each_role_can_do_what_the_permission_table_says() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let (provider, channel) = (&company.shop.provider, &company.shop.id);
    let in_provider = |role: &str| json!({ "provider_id": provider, "provider_role": role });
    let in_channel = |role: &str| json!({ "channel_id": channel, "channel_role": role });
    let operator = |role: &str| json!({ "operator": role });
    let roles = [
        ("nothing", json!({}), None),
        ("p-admin", in_provider("admin"), Some(Role::Provider(ProviderRole::Admin))),
        ("p-member", in_provider("member"), Some(Role::Provider(ProviderRole::Member))),
        ("c-admin", in_channel("admin"), Some(Role::Channel(ChannelRole::Admin))),
        ("c-member", in_channel("member"), Some(Role::Channel(ChannelRole::Member))),
        ("c-tester", in_channel("tester"), Some(Role::Channel(ChannelRole::Tester))),
        ("adm", operator("administrator"), Some(Role::Operator(OperatorRole::Administrator))),
        ("oncall", operator("on-call"), Some(Role::Operator(OperatorRole::OnCall))),
        ("auditor", operator("auditor"), Some(Role::Operator(OperatorRole::Auditor))),
    ];
    let (mut allowed, mut denied) = (0, 0);
    for (login, invitation, role) in roles {
        let human = world.human(login, invitation).await;
        let held: Vec<Role> = [Role::Person].into_iter().chain(role).collect();
        for call in calls() {
            let Some(permission) = permission(operation(&call)) else { continue };
            let (path, body) = (company.path(call.path), company.body(&call));
            let what = format!("{login}: {} {path}", call.method);
            let verdict = permission.verdict(&held);
            let (path, body) = match verdict {
                Access::Allowed if call.method != Method::GET => {
                    // Otherwise it would be done.
                    let Some(as_dry_run) = rehearsal(&call, path, body) else { continue };
                    as_dry_run
                }
                _ => (path, body),
            };
            let answer = world.call(&human.session, call.method.clone(), &path, body).await;
            let status = answer.status;
            let collection = !call.path.contains('{');
            match verdict {
                Access::Allowed => {
                    let is_done = (200..300).contains(&status)
                        // There is no previous secret, and the provider has a channel.
                        || operation(&call) == "deletePreviousSecret" && status == 404
                        || operation(&call) == "deleteProvider" && status == 409;
                    assert!(is_done, "{what}: {status} {}", answer.body);
                    allowed += 1;
                }
                Access::Forbidden => {
                    // A receipt is one of the objects that are there or not.
                    let expected = if operation(&call) == "showReceipt" { 404 } else { 403 };
                    assert_eq!(status, expected, "{what}: {}", answer.body);
                    denied += 1;
                }
                Access::NotFound => {
                    let by_body = ["revoke", "explainToken"].contains(&operation(&call));
                    let expected = if collection && !by_body { 403 } else { 404 };
                    assert_eq!(status, expected, "{what}: {}", answer.body);
                    denied += 1;
                }
            }
        }
    }
    assert!(allowed > 90 && denied > 250, "{allowed} allowed, {denied} denied");
}
