//! What an audit event concerns, named for people.

use super::{AuditEvent, CooldownBegan, CreatedByRevoked, LeakReported, TokensRevoked};
use crate::permission::RoleChange;
use core::fmt::Display;
use serde_json::json;
use tegata_token::id::{AdminTokenId, ChannelId, PersonId, ProviderId};

/// The parts of a name, from the widest to the narrowest.
type Parts = Vec<String>;

impl AuditEvent {
    /// Names what the act was on, from the widest thing to the narrowest; never empty.
    /// `provider` and `channel` are those of the event.
    #[must_use]
    pub fn object(&self, provider: Option<ProviderId>, channel: Option<ChannelId>) -> String {
        let mut parts = match (channel, provider) {
            (Some(channel), _) => vec![part("channel", channel)],
            (None, Some(provider)) => vec![part("provider", provider)],
            (None, None) => Vec::new(),
        };
        parts.extend(self.narrow());
        if parts.is_empty() {
            // An event that has lost its provider or channel; no act writes one.
            parts.push(self.act().name().split('.').next().unwrap_or_default().to_owned());
        }
        parts.join(", ")
    }

    /// What the event's own detail names.
    fn narrow(&self) -> Parts {
        match self {
            // The provider is the object.
            Self::ProviderCreate(_)
            | Self::ProviderSet(_)
            | Self::ProviderDelete(_)
            | Self::ProviderRevoke(_)
            // The channel is.
            | Self::ChannelCreate(_)
            | Self::ChannelSet(_)
            | Self::ChannelSuspend(_)
            | Self::ChannelResume(_)
            | Self::ChannelDelete(_)
            | Self::ChannelRotateSecret(_)
            | Self::ChannelDeletePreviousSecret(_)
            | Self::SecretThrottle(_) => Parts::new(),
            Self::KeyRegister(it) => some([it.group.as_ref().map(|it| part("group", it)), Some(part("kid", it.kid))]),
            Self::KeyDelete(it) => vec![part("kid", it.kid)],
            Self::GroupSet(it) => vec![part("group", &it.group)],
            Self::GroupDelete(it) => vec![part("group", &it.group)],
            Self::TokenIssue(it) => vec![part("kind", it.kind), part("token id", it.token_id)],
            Self::TokenRevoke(it) => revoked(it),
            Self::TokenRevokeCreatedBy(it) => vec![created_by(it)],
            Self::LeakReport(it) => leaked(it),
            Self::LeakThrottle(_) => vec!["reports of leaked tokens".to_owned()],
            Self::SigningKeyRotate(it) | Self::SigningKeyPromote(it) => vec![part("kid", it.kid)],
            Self::SigningKeyRevoke(it) | Self::SigningKeyRevokeAll(it) => match it.kids.is_empty() {
                true => vec!["no signing key".to_owned()],
                false => it.kids.iter().map(|kid| part("kid", kid)).collect(),
            },
            Self::VerifierCreate(it) => vec![named("verifier", it.verifier, &it.name)],
            Self::VerifierSet(it) => vec![part("verifier", it.verifier)],
            Self::VerifierDelete(it) => vec![named("verifier", it.verifier, &it.name)],
            Self::VerifierRemoveInstances(it) => some([
                Some(part("verifier", it.verifier)),
                it.instance.as_ref().map(|it| part("instance", it)),
            ]),
            Self::MasterKeyRotate(_) => vec!["master key".to_owned()],
            Self::AuditBroken(_) | Self::AuditContinue(_) | Self::AuditAccept(_) => {
                vec!["end of the audit".to_owned()]
            }
            Self::AuditExpire(it) => {
                vec![format!("audit events before checkpoint {}", it.checkpoints_before)]
            }
            Self::AdminReset(_) | Self::AdminTokenThrottle(_) => {
                vec!["root administrator's token".to_owned()]
            }
            Self::PersonInvite(it) => person_and_role(it.person, &it.login, it.role),
            Self::PersonSetRole(it) => person_and_role(it.person, &it.login, Some(it.role)),
            Self::PersonSet(it) => some([
                Some(named("person", it.person, &it.login)),
                it.disabled.map(|it| if it { "disabled" } else { "enabled" }.to_owned()),
            ]),
            Self::PersonAccept(it)
            | Self::PersonReset(it)
            | Self::PersonDelete(it)
            | Self::PersonUseCode(it)
            | Self::PersonSignOut(it)
            | Self::PersonChangePassword(it) => vec![named("person", it.person, &it.login)],
            Self::PersonSignIn(it) => some([
                Some(named("person", it.person, &it.login)),
                it.issuer.as_ref().map(|it| part("by", it)),
            ]),
            Self::PersonLinkIdentity(it) | Self::PersonUnlinkIdentity(it) => vec![
                named("person", it.person, &it.login),
                format!("account {} at {}", it.subject, it.issuer),
            ],
            Self::AdminTokenCreate(it) => personal(it.admin_token, it.person),
            Self::AdminTokenDelete(it) => personal(it.admin_token, it.person),
            Self::PersonThrottle(it) => match it.person {
                Some(person) => vec![part("person", person)],
                None => vec!["attempts to sign in".to_owned()],
            },
            Self::IssuingCooldown(it) => cooldown(it),
            Self::StoreRedo(_) | Self::StoreRecover(_) => vec!["store".to_owned()],
        }
    }
}

fn part(what: &str, value: impl Display) -> String {
    format!("{what} {value}")
}

/// A thing with an id, and its name.
fn named(what: &str, id: impl Display, name: &str) -> String {
    format!("{what} {id} ({name})")
}

fn some<const N: usize>(parts: [Option<String>; N]) -> Parts {
    parts.into_iter().flatten().collect()
}

/// The scope of a revocation.
fn revoked(it: &TokensRevoked) -> Parts {
    let serial = it.serial.filter(|_| it.token_id.is_none());
    let by_secret = (it.by_secret == Some(true)).then(|| "issued for a secret".to_owned());
    some([
        (it.all == Some(true)).then(|| "all tokens".to_owned()),
        by_secret,
        it.group.as_ref().map(|it| part("group", it)),
        it.assertion_key.map(|it| part("assertion key", it)),
        it.kind.map(|it| part("kind", it)),
        serial.map(|it| part("serial", it.0)),
        it.token_id.map(|it| part("token id", it)),
    ])
}

/// The token that leaked, or how many did.
fn leaked(it: &LeakReported) -> Parts {
    let several = (!it.token_ids.is_empty()).then(|| format!("{} tokens", it.token_ids.len()));
    some([
        it.group.as_ref().map(|it| part("group", it)),
        it.kind.map(|it| part("kind", it)),
        it.token_id.map(|it| part("token id", it)),
        several,
    ])
}

fn created_by(it: &CreatedByRevoked) -> String {
    let from = it.created_from.map_or(String::new(), |it| format!(" from {it}"));
    format!("created by {}{from}", it.created_by)
}

/// A personal token, and the person whose rights it has.
fn personal(token: AdminTokenId, person: PersonId) -> Parts {
    vec![part("person", person), part("administrator's token", token)]
}

/// A person, and the role that the person got or lost.
fn person_and_role(person: PersonId, login: &str, role: Option<RoleChange>) -> Parts {
    some([Some(named("person", person, login)), role.map(role_text)])
}

/// The role that a person has now, and where.
fn role_text(change: RoleChange) -> String {
    let (place, role) = match change {
        RoleChange::Operator { role } => ("the authority", json!(role)),
        RoleChange::Provider { role, .. } => ("the provider", json!(role)),
        RoleChange::Channel { role, .. } => ("the channel", json!(role)),
    };
    match role.as_str() {
        Some(role) => format!("role {role} in {place}"),
        None => format!("no role in {place}"),
    }
}

/// Whose issuing is in a cooldown.
fn cooldown(it: &CooldownBegan) -> Parts {
    let whose = match &it.group {
        Some(group) => part("group", group),
        None => it.whose.replace('-', " "),
    };
    vec![whose, part("kind", it.kind)]
}

#[cfg(test)]
mod tests {
    use super::super::AuditAct;
    use super::*;
    use serde_json::Value;

    /// Members that name an object, each in a form that its type accepts.
    const NAMES: [(&str, &str); 9] = [
        ("person", "1000000001"),
        ("admin_token", "1000000002"),
        ("verifier", "1000000003"),
        ("instance", "3q2-7wd5Tk6sVx0aRm9QpA"),
        ("group", "blue"),
        ("token_id", "hR3bEx0vJ6dYpVwqkm1yTw"),
        ("assertion_key", "536e453c-aa93-4449-8e90-add2608783c6"),
        ("created_by", "person 1000000004"),
        ("login", "mika"),
    ];

    /// An event of `act` with every member that any act has.
    fn sample(act: AuditAct) -> AuditEvent {
        let mut detail = json!({
            "name": "n", "job": 1, "type": "messaging-api", "keys": 1, "revoked": 1,
            "revoke_tokens": "all", "keep_previous_seconds": 0, "kind": "v2.1", "serial": 7,
            "since": 0, "max_staleness": 1, "allow": false, "removed": 1, "signing_keys": 1,
            "expected": 1, "found": 1, "checkpoints_before": 1, "rights": "full",
            "expires_at": 1, "seconds": 1, "whose": "group", "replayed": 1, "epoch": 1,
            "revoked_everything": false, "issued_before": 1, "audit_begins_anew": false,
            "settings": { "cap": null, "when_full": null, "contact": null },
            "role": { "in": "operator", "role": "on-call" }, "disabled": true,
            "kids": ["T1vmQdH_YGc"], "on_leak": "revoke", "issuer": "https://id.example.com", "subject": "s",
        });
        for (name, value) in NAMES {
            detail[name] = value.into();
        }
        // Two kinds of key have an id of this name; `revoke_tokens` has two forms as well.
        let kids = ["T1vmQdH_YGc", "536e453c-aa93-4449-8e90-add2608783c6"];
        let forms = kids.iter().flat_map(|kid| [(kid, json!("all")), (kid, json!(true))]);
        let read = |(kid, tokens): (&&str, Value)| {
            let mut detail = detail.clone();
            detail["kid"] = (*kid).into();
            detail["revoke_tokens"] = tokens;
            AuditEvent::read(act.name(), &detail)
        };
        let found = forms.into_iter().find_map(read);
        found.unwrap_or_else(|| panic!("{}: give the sample its members", act.name()))
    }

    #[test]
    fn every_act_names_its_object_by_each_id_that_its_detail_holds() {
        let (provider, channel) = ("1000000005".parse().ok(), "1000000006".parse().ok());
        for act in AuditAct::ALL {
            let event = sample(*act);
            let detail = event.detail();
            let object = event.object(provider, channel);
            assert!(object.starts_with("channel 1000000006"), "{}: {object}", act.name());
            let of_provider = event.object(provider, None);
            assert!(of_provider.starts_with("provider 1000000005"), "{}", act.name());
            assert!(!event.object(None, None).is_empty(), "{}", act.name());
            let kid = detail.get("kid").or_else(|| detail["kids"].get(0));
            let names = NAMES.iter().filter_map(|(name, _)| detail.get(name)).chain(kid);
            for name in names.filter_map(Value::as_str) {
                assert!(object.contains(name), "{}: no {name} in {object}", act.name());
            }
        }
    }

    #[test]
    fn an_act_of_the_authority_itself_names_what_it_was_on() {
        let object = |act: AuditAct| sample(act).object(None, None);
        assert_eq!(object(AuditAct::MasterKeyRotate), "master key");
        assert_eq!(object(AuditAct::AdminReset), "root administrator's token");
        assert_eq!(
            object(AuditAct::PersonInvite),
            "person 1000000001 (mika), role on-call in the authority"
        );
        assert_eq!(object(AuditAct::PersonSet), "person 1000000001 (mika), disabled");
        let gone = json!({ "person": "1000000001", "login": "mika",
            "role": { "in": "channel", "channel": "1000000006", "role": null } });
        let gone = AuditEvent::read("person.set-role", &gone).unwrap();
        assert_eq!(
            gone.object(None, "1000000006".parse().ok()),
            "channel 1000000006, person 1000000001 (mika), no role in the channel"
        );
    }
}
