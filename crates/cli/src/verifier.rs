//! `tegata verifier`: the credentials of programs that verify tokens.

use crate::{
    api::{Api, Page},
    failure::BadUsage,
    namesakes::note_namesakes,
    output::Output,
    taking::{Confirmation, ask},
};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};
use tegata_policy::{duration::read, text::counted};
use tegata_token::{
    feed::InstanceId,
    id::{ProviderId, VerifierId},
};

#[derive(Subcommand)]
pub enum Verb {
    /// Create a verifier; prints its token, once.
    Create(Create),
    /// List verifiers, newest first.
    List(Page),
    /// Show a verifier and its instances: the running programs that use it.
    Show(Named),
    /// Change a verifier's name and limits.
    Set(Set),
    /// Delete a verifier; its token is refused from then on.
    Delete(Delete),
    /// Remove instances that you know to have stopped, so that receipts do not wait for them.
    ///
    /// Delete the files of their `--copy` first: a program that starts with one goes on with what
    /// the last one knew, and no receipt waits for it until it reaches Tegata.
    RemoveInstance(RemoveInstance),
}

#[derive(Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub struct Create {
    /// The verifier's name.
    name: String,
    /// The only provider whose tokens it may verify; without it: all.
    #[arg(long, value_name = "ID")]
    provider: Option<ProviderId>,
    /// Maximum time for which a program may verify tokens without a response from the
    /// authority, such as `500ms`, `30s` or `5m`.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = milliseconds)]
    max_staleness: u32,
    /// Let programs accept tokens after that time, too. The receipt of a revocation then waits
    /// for a program without a connection until an operator removes its instance.
    #[arg(long)]
    allow: bool,
}

const CREATE_EXAMPLES: &str = "\
Replace a verifier's token: create a second verifier, give its token to the programs, wait
until `tegata verifier show` lists no instance of the first one, and delete that:
  tegata verifier create gateway-2
  tegata verifier show ID
  tegata verifier delete ID";

#[derive(Args)]
pub struct Named {
    /// The verifier's id.
    id: VerifierId,
}

#[derive(Args)]
pub struct Delete {
    /// The verifier's id.
    id: VerifierId,
    /// Change nothing; show the verifier and the programs that use it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args)]
pub struct Set {
    /// The verifier's id.
    id: VerifierId,
    /// A new name.
    #[arg(long)]
    name: Option<String>,
    /// Maximum time for which a program may verify tokens without a response from the
    /// authority, such as `500ms`, `30s` or `5m`.
    #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
    max_staleness: Option<u32>,
    /// Whether programs may accept tokens after that time, too.
    #[arg(long, value_name = "true|false")]
    allow: Option<bool>,
}

#[derive(Args)]
#[command(
    group = ArgGroup::new("which").required(true),
    override_usage = "tegata verifier remove-instance [OPTIONS] <ID> <INSTANCE|--all>"
)]
pub struct RemoveInstance {
    /// The verifier's id; it may be deleted.
    id: VerifierId,
    /// The instance.
    #[arg(group = "which", allow_hyphen_values = true)]
    instance: Option<InstanceId>,
    /// All instances of the verifier.
    #[arg(long, group = "which")]
    all: bool,
    /// Change nothing; show the instances that would be removed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
}

/// A staleness in milliseconds.
pub fn milliseconds(text: &str) -> Result<u32, String> {
    let read = read(text).filter(|it| tegata_token::feed::STALENESS.contains(it));
    let ms = read.and_then(|it| u32::try_from(it.as_millis()).ok());
    ms.ok_or_else(|| "give 500ms to 24h, such as `30s`".to_owned())
}

/// A duration with its unit.
fn duration(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// Gives the durations of a verifier, or of an instance, their units.
pub fn with_units(thing: &mut Value) {
    for name in ["max_staleness", "staleness", "age", "lease"] {
        if let Some(ms) = thing[name].as_u64() {
            thing[name] = duration(ms).into();
        }
    }
}

/// A verifier for people, or as it is for programs.
fn shown(out: &Output, mut verifier: Value) -> Value {
    if !out.is_json() {
        with_units(&mut verifier);
        verifier["instances"].as_array_mut().into_iter().flatten().for_each(with_units);
    }
    verifier
}

/// Runs one of the verbs.
pub async fn run(api: &Api, out: &Output, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(args) => create(api, out, args).await,
        Verb::List(page) => list(api, out, page).await,
        Verb::Show(args) => show(api, out, args).await,
        Verb::Set(args) => set(api, out, args).await,
        Verb::Delete(args) => delete(api, out, args).await,
        Verb::RemoveInstance(args) => remove_instance(api, out, args).await,
    }
}

async fn create(api: &Api, out: &Output, args: Create) -> anyhow::Result<()> {
    let mut body = json!({
        "name": args.name,
        "max_staleness": args.max_staleness,
        "allow": args.allow,
    });
    if let Some(provider) = args.provider {
        body["provider_id"] = provider.to_string().into();
    }
    let made = api.post(&["verifiers"], &body).await?;
    // The token is printed before anything else: it is not shown again.
    out.thing(&shown(out, made.clone()), &["verifier_id", "verifier_token", "name"])?;
    note_namesakes(api, &["verifiers"], ("verifiers", "verifier_id"), &made).await;
    Ok(())
}

async fn list(api: &Api, out: &Output, page: Page) -> anyhow::Result<()> {
    let mut response = api.get(&["verifiers"], &page).await?;
    if !out.is_json() {
        for verifier in response["verifiers"].as_array_mut().into_iter().flatten() {
            let count = verifier["instances"].as_array().map_or(0, Vec::len);
            verifier["instances"] = count.into();
            with_units(verifier);
        }
    }
    let columns = ["verifier_id", "name", "provider_id", "max_staleness", "allow", "instances"];
    out.list(&response, "verifiers", &columns)
}

async fn show(api: &Api, out: &Output, Named { id }: Named) -> anyhow::Result<()> {
    let found = api.get(&["verifiers", &id.to_string()], &()).await?;
    out.thing(&shown(out, found), &["verifier_id", "name"])
}

async fn set(api: &Api, out: &Output, args: Set) -> anyhow::Result<()> {
    let mut changes = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        changes.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("name", args.name.map(Value::from));
    put("max_staleness", args.max_staleness.map(Value::from));
    put("allow", args.allow.map(Value::from));
    if changes.is_empty() {
        let words = "nothing to set; see `tegata verifier set --help`";
        return Err(BadUsage(words.to_owned()).into());
    }
    let changed = api.patch(&["verifiers", &args.id.to_string()], &changes.into()).await?;
    out.thing(&shown(out, changed), &["verifier_id", "name"])
}

async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let id = args.id.to_string();
    let path = ["verifiers", &id];
    if args.dry_run || args.confirm.asks() {
        let found = api.get(&path, &()).await?;
        let instances = found["instances"].as_array().map_or(0, Vec::len);
        if args.dry_run {
            let gone = json!({
                "dry_run": true, "verifier_id": id, "name": found["name"], "instances": instances,
            });
            return out.thing(&gone, &["verifier_id", "name", "instances"]);
        }
        let name = found["name"].as_str().unwrap_or_default();
        let programs = counted(instances, "program", "programs");
        args.confirm.ask(&format!("verifier {id} ({name}), used by {programs}\n"), false)?;
    }
    api.delete(&path).await?;
    out.done(&format!("verifier {id} is deleted"), &json!({ "deleted": id }))
}

async fn remove_instance(api: &Api, out: &Output, args: RemoveInstance) -> anyhow::Result<()> {
    let id = args.id.to_string();
    let instance = args.instance.as_ref().map(InstanceId::as_str);
    let mut path = vec!["verifiers", &id, "instances"];
    path.extend(instance);
    if args.dry_run || args.confirm.asks() {
        let mut found = instances(api, &id, instance).await?;
        if args.dry_run && out.is_json() {
            return out.thing(&json!({ "dry_run": true, "would_remove": found }), &[]);
        }
        for instance in found["instances"].as_array_mut().into_iter().flatten() {
            with_units(instance);
        }
        let shown = Output::members_first(&found, &["verifier_id", "name"]);
        if args.dry_run {
            return out.text(&shown);
        }
        ask(&format!(
            "{shown}no receipt waits for these programs any more; delete the files of their \
             --copy first, or they may come back with what they knew\n"
        ))?;
    }
    out.thing(&api.delete(&path).await?, &["removed"])
}

/// The verifier's id, name and the instances to remove. Of a deleted verifier only the id is
/// known.
async fn instances(api: &Api, id: &str, only: Option<&str>) -> anyhow::Result<Value> {
    let rows = api.rows(&["verifiers"], "verifiers").await?;
    let found = rows.iter().find(|it| it["verifier_id"] == id);
    let Some(found) = found else {
        return Ok(json!({ "verifier_id": id, "name": null, "instance": only }));
    };
    let all = found["instances"].as_array().into_iter().flatten();
    let those: Vec<_> =
        all.filter(|it| only.is_none_or(|only| it["instance"] == only)).cloned().collect();
    Ok(json!({ "verifier_id": id, "name": found["name"], "instances": those }))
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        for (text, ms) in
            [("500ms", 500), ("3s", 3_000), ("5m", 300_000), ("24h", 86_400_000), ("60", 60_000)]
        {
            assert_eq!(milliseconds(text), Ok(ms), "{text}");
        }
        for bad in ["", "499ms", "0", "25h", "1d", "-3s", "3.5s", "s", "999999999h"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
    }
}
