//! Verifiers: the list, a new one with its credential, deletion, and instances that are gone.

use super::{
    Answer, Console,
    confirm::{Wrong, asked},
    failure::Failure,
    ids::Ids,
    make::Made,
    notice::Notice,
    render, render_wrong,
    sent::{Sent, name},
    visit::{SignedIn, may, redirect},
};
use crate::{
    api::form::Form,
    authority::{
        admin::{self, ListedVerifier, VerifierSettings},
        feed::ListedInstance,
    },
};
use axum::extract::State;
use std::{sync::Arc, time::Duration};
use tegata_console::{
    created::Created,
    forms::Field,
    html::{Bdi, Id},
    pages::{
        ActToConfirm, Acts, NewVerifierPage, Note, RunningInstance, ShownVerifier,
        VerifierCreatedPage, VerifierForm, VerifiersPage, below,
    },
};
use tegata_policy::{acts::DEFAULT_MAX_STALENESS, permission::Permission};
use tegata_store::Error;
use tegata_token::{
    feed::InstanceId,
    id::{ProviderId, VerifierId},
};

/// The address of the list.
const LIST: &str = "/console/verifiers";

/// All verifiers with their instances.
pub async fn list(who: SignedIn) -> Answer {
    let all = who.admin.verifiers().await?;
    let acts = Acts {
        change: may(&who, Permission::CreateVerifier, None, None),
        take: may(&who, Permission::DeleteVerifier, None, None),
    };
    render(&VerifiersPage::new(who.frame(), all.iter().map(shown).collect(), acts))
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
        address: it.row.address,
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
    if !may(&who, Permission::CreateVerifier, None, None) {
        return Err(Failure::forbidden());
    }
    let staleness = Field::of((DEFAULT_MAX_STALENESS / 1_000).to_string());
    render(&NewVerifierPage::new(
        who.frame(),
        VerifierForm { staleness, ..VerifierForm::default() },
    ))
}

/// Creates a verifier, and shows its credential this once.
pub async fn create(State(console): State<Arc<Console>>, who: SignedIn, sent: Sent) -> Answer {
    let mut form = entered(&sent.form()?);
    let frame = who.frame();
    let t = &frame.t().verifiers;
    let Some(settings) = settings(&mut form, t) else {
        return render_wrong(&NewVerifierPage::new(frame, form));
    };
    let admin = who.admin.clone();
    let made = async move {
        let (verifier, token) = admin.create_verifier(settings).await?;
        let notice = Notice::Created(Created::Verifier(verifier.id));
        Ok(Made::at(format!("{LIST}/{}/created", verifier.id), notice).secret(token))
    };
    match who.make(&console, &sent, made).await? {
        Ok(response) => Ok(response),
        Err(admin::Error::Store(Error::NotFound(_))) => {
            form.provider = form.provider.wrong(t.provider_wrong);
            render_wrong(&NewVerifierPage::new(frame, form))
        }
        Err(error) => Err(error.into()),
    }
}

/// The credential of a new verifier, this once.
pub async fn created(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<VerifierId>,
) -> Answer {
    let found = who.admin.verifier(id).await?.verifier;
    let page = format!("{LIST}/{id}/created");
    match who.shown_once(&console, &page)? {
        Some(token) => {
            let (verifier, issuer) = ((&*found.name, id), console.authority.issuer());
            render(&VerifierCreatedPage::new(who.frame(), verifier, token.reveal(), issuer))
        }
        None => Ok(redirect(LIST)),
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
    let name = name(Some(&form.name.value));
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
fn asking(
    who: &SignedIn,
    path: String,
    (button, why, keep): (&'static str, &'static str, &'static str),
    wrong: Wrong,
) -> ActToConfirm {
    let heading = who.frame().t().confirm.nothing_yet.into();
    ActToConfirm {
        notes: vec![Note { class: "warn", heading, text: why.into() }],
        waits: false,
        keep: (LIST.to_owned(), keep),
        ..who.act(path, button, wrong)
    }
}

/// Asks before the deletion of a verifier.
pub async fn review_delete(who: SignedIn, Ids(verifier): Ids<VerifierId>) -> Answer {
    ask_delete(&who, verifier, Wrong::default()).await
}

async fn ask_delete(who: &SignedIn, id: VerifierId, wrong: Wrong) -> Answer {
    let found = who.admin.verifier(id).await?.verifier;
    let frame = who.frame();
    let t = &frame.t().review;
    let words = (t.delete_verifier_do, t.delete_verifier_why, t.keep_verifier);
    let act = ActToConfirm {
        commands: vec![format!("tegata verifier delete {id}")],
        ..asking(who, format!("{LIST}/{id}/delete"), words, wrong)
    };
    let question = (t.delete_verifier)(Bdi(&found.name), Id(id));
    asked(below(frame, question, t.delete_verifier_do), act)
}

/// Deletes a verifier.
pub async fn delete(mut who: SignedIn, Ids(id): Ids<VerifierId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return ask_delete(&who, id, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    let act = async move {
        admin.delete_verifier(id).await?;
        Ok(Made::at(LIST.to_owned(), Notice::Saved))
    };
    who.take_away(&sent, act).await
}

/// Asks before the removal of an instance.
pub async fn review_remove(
    who: SignedIn,
    Ids((verifier, instance)): Ids<(VerifierId, InstanceId)>,
) -> Answer {
    ask_remove(&who, verifier, instance, Wrong::default()).await
}

async fn ask_remove(
    who: &SignedIn,
    verifier: VerifierId,
    instance: InstanceId,
    wrong: Wrong,
) -> Answer {
    let found = who.admin.verifier(verifier).await?;
    if !found.instances.iter().any(|it| it.row.instance == instance) {
        return Err(Failure::not_found());
    }
    let frame = who.frame();
    let t = &frame.t().review;
    let path = format!("{LIST}/{verifier}/instances/{instance}/remove");
    let act = asking(who, path, (t.remove_do, t.remove_why, t.keep_instance), wrong);
    let text = instance.to_string();
    let question = (t.remove_instance)(Id(&text), Bdi(&found.verifier.name));
    asked(below(frame, question, t.remove_do), act)
}

/// Removes an instance, for which receipts wait no more.
pub async fn remove(
    mut who: SignedIn,
    Ids((verifier, instance)): Ids<(VerifierId, InstanceId)>,
    sent: Sent,
) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return ask_remove(&who, verifier, instance, wrong).await,
    };
    let admin = who.admin.clone().because(options.reason);
    admin.remove_instances(verifier, Some(instance)).await?;
    Ok(who.done(Notice::Saved, LIST))
}
