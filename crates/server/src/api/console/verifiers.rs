//! Verifiers: the list, a new one with its credential, deletion, and instances that are gone.

use super::{
    Answer,
    failure::Failure,
    notice::Notice,
    render,
    sent::Sent,
    shown::{id, line},
    visit::SignedIn,
};
use crate::{
    api::form::Form,
    authority::{
        admin::{self, ListedVerifier, VerifierSettings},
        feed::ListedInstance,
    },
};
use axum::extract::Path;
use std::time::Duration;
use tegata_console::{
    forms::Field,
    html::{Bdi, Html, Id},
    pages::{
        Act, ConfirmPage, NewVerifierPage, Note, RunningInstance, ShownVerifier,
        VerifierCreatedPage, VerifierForm, VerifiersPage, below,
    },
};
use tegata_policy::acts::DEFAULT_MAX_STALENESS;
use tegata_store::Error;
use tegata_token::{
    feed::InstanceId,
    id::{ProviderId, VerifierId},
};

/// All verifiers with their instances.
pub async fn list(who: SignedIn) -> Answer {
    let all = who.admin.verifiers().await?;
    render(&VerifiersPage::new(who.frame(), all.iter().map(shown).collect()))
}

fn shown(it: &ListedVerifier) -> ShownVerifier {
    let verifier = &it.verifier;
    ShownVerifier {
        id: verifier.id,
        name: verifier.name.clone(),
        provider: verifier.provider,
        max_staleness: verifier.max_staleness,
        allow: verifier.allow,
        created: verifier.created_at,
        instances: it.instances.iter().map(instance).collect(),
    }
}

fn instance(it: &ListedInstance) -> RunningInstance {
    let seconds = |it: Duration| i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
    // A lease that is not over yet is not shown as 0.
    let lease = seconds(it.lease).max(i64::from(!it.lease.is_zero()));
    RunningInstance {
        id: it.row.instance.to_string(),
        on_stale: it.row.on_stale,
        position: it.position,
        age: seconds(it.silent),
        lease,
        cannot: it.cannot.clone(),
        faulty: it.accepted.is_some(),
    }
}

/// The form of a new verifier.
pub async fn form(who: SignedIn) -> Answer {
    let staleness = Field::of((DEFAULT_MAX_STALENESS / 1_000).to_string());
    render(&NewVerifierPage::new(who.frame(), VerifierForm { staleness, ..VerifierForm::default() }))
}

/// Creates a verifier, and shows its credential this once.
pub async fn create(who: SignedIn, sent: Sent) -> Answer {
    let mut form = entered(&sent.form()?);
    let frame = who.frame();
    let t = &frame.t().verifiers;
    let Some(settings) = settings(&mut form, t) else {
        return render(&NewVerifierPage::new(frame, form));
    };
    let name = settings.name.clone();
    match who.admin.create_verifier(settings).await {
        Ok((verifier, token)) => {
            render(&VerifierCreatedPage::new(frame, &name, verifier.id, token.reveal()))
        }
        Err(admin::Error::Store(Error::NotFound(_))) => {
            form.provider = form.provider.wrong(t.provider_wrong);
            render(&NewVerifierPage::new(frame, form))
        }
        Err(error) => Err(error.into()),
    }
}

fn entered(form: &Form<'_>) -> VerifierForm {
    let field = |name| Field::of(form.get(name).unwrap_or_default().trim());
    VerifierForm {
        name: field("name"),
        provider: field("provider"),
        staleness: field("staleness"),
        allow: form.get("allow").is_some(),
    }
}

/// The settings that were entered; none if a field cannot be accepted, which is marked.
fn settings(
    form: &mut VerifierForm,
    t: &tegata_console::texts::VerifiersTexts,
) -> Option<VerifierSettings> {
    let name = line(&form.name.value, 100);
    let provider: Result<Option<ProviderId>, _> = match &*form.provider.value {
        "" => Ok(None),
        text => text.parse().map(Some),
    };
    let seconds = form.staleness.value.parse().ok().filter(|it: &u32| (1..=86_400).contains(it));
    let mark = |field: &mut Field, why: &str| *field = std::mem::take(field).wrong(why);
    if name.is_none() {
        mark(&mut form.name, t.name_wrong);
    }
    if provider.is_err() {
        mark(&mut form.provider, t.provider_wrong);
    }
    if seconds.is_none() {
        mark(&mut form.staleness, t.staleness_wrong);
    }
    let (max_staleness, allow) = (seconds? * 1_000, form.allow);
    Some(VerifierSettings { name: name?, provider: provider.ok()?, max_staleness, allow })
}

/// What is asked before an act on a verifier, which revokes no tokens.
fn asking(who: &SignedIn, question: Html, why: &'static str, path: &str) -> (Act, Html) {
    let frame = who.frame();
    let act = Act {
        action: path.to_owned(),
        hidden: Vec::new(),
        notes: vec![Note { class: "warn", heading: frame.t().confirm.nothing_yet.into(), text: why.into() }],
        tokens: None,
        options: false,
        reason: Field::default(),
        again: None,
        button: Html::default(),
        keep: ("/console/verifiers".to_owned(), ""),
        commands: Vec::new(),
        alternatives: Vec::new(),
    };
    (act, question)
}

/// Asks before the deletion of a verifier.
pub async fn review_delete(who: SignedIn, Path(verifier): Path<String>) -> Answer {
    let verifier: VerifierId = id(&verifier)?;
    let found = who.admin.verifier(verifier).await?.verifier;
    let frame = who.frame();
    let t = &frame.t().review;
    let question = (t.delete_verifier)(Bdi(&found.name), Id(verifier));
    let path = format!("/console/verifiers/{verifier}/delete");
    let (act, question) = asking(&who, question, t.delete_verifier_why, &path);
    let act = Act {
        button: t.delete_verifier_do.into(),
        keep: (act.keep.0, t.keep_verifier),
        commands: vec![format!("tegata verifier delete {verifier}")],
        ..act
    };
    let name = t.delete_verifier_do;
    render(&ConfirmPage::new(below(frame, question, name), act))
}

/// Deletes a verifier.
pub async fn delete(who: SignedIn, Path(verifier): Path<String>, _: Sent) -> Answer {
    who.admin.delete_verifier(id(&verifier)?).await?;
    Ok(who.done(Notice::Deleted(0), "/console/verifiers"))
}

/// Asks before the removal of an instance.
pub async fn review_remove(
    who: SignedIn,
    Path((verifier, instance)): Path<(String, String)>,
) -> Answer {
    let (verifier, instance): (VerifierId, InstanceId) = (id(&verifier)?, id(&instance)?);
    let found = who.admin.verifier(verifier).await?;
    let text = instance.to_string();
    if !found.instances.iter().any(|it| it.row.instance == instance) {
        return Err(Failure::not_found());
    }
    let frame = who.frame();
    let t = &frame.t().review;
    let question = (t.remove_instance)(Id(&text), Bdi(&found.verifier.name));
    let path = format!("/console/verifiers/{verifier}/instances/{instance}/remove");
    let (act, question) = asking(&who, question, t.remove_why, &path);
    let act = Act {
        button: t.remove_do.into(),
        keep: (act.keep.0, t.keep_instance),
        ..act
    };
    render(&ConfirmPage::new(below(frame, question, t.remove_do), act))
}

/// Removes an instance, for which receipts wait no more.
pub async fn remove(
    who: SignedIn,
    Path((verifier, instance)): Path<(String, String)>,
    _: Sent,
) -> Answer {
    let (verifier, instance): (VerifierId, InstanceId) = (id(&verifier)?, id(&instance)?);
    who.admin.remove_instances(verifier, Some(instance)).await?;
    Ok(who.done(Notice::Deleted(0), "/console/verifiers"))
}
