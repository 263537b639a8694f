//! What every command that takes something away has in common: the reason, the dry run,
//! the confirmation on a terminal and the receipt.

mod subject;
pub mod waiting;

use crate::{api::Api, duration::seconds, output::Output, terminal::printable};
use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, IsTerminal, Read, Write, stderr, stdin},
};
use tegata_client::admin::{Method, TakingCall};
use tegata_policy::text::{REASON_RULE, is_reason};

/// The options of a command that takes something away.
#[derive(Args)]
pub struct TakingOptions {
    /// The reason; it is recorded in the audit and with the tokens.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// Maximum time to wait until no verifier is left that could accept what was taken away, at
    /// most 60 seconds; prints on stderr which instances it waits for.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = wait)]
    wait: u16,
    /// Change nothing; list what would be deleted, and the tokens that would become invalid.
    #[arg(long)]
    dry_run: bool,
}

/// The reason of an act that only the audit records.
#[derive(Args)]
pub struct Why {
    /// The reason, for the audit.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

impl Why {
    /// The members of a request with the reason, if one is given.
    pub fn added_to(&self, mut members: Value) -> Value {
        if let Some(reason) = &self.reason {
            members["reason"] = reason.as_str().into();
        }
        members
    }
}

/// The reason of an act. A dry run does not send it, and must not accept what the act refuses.
pub fn reason(text: &str) -> Result<String, String> {
    match is_reason(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("give {REASON_RULE}")),
    }
}

/// How long to wait, in seconds: at most what the API accepts.
pub fn wait(text: &str) -> Result<u16, String> {
    let seconds = seconds(0..=60)(text)?;
    u16::try_from(seconds.0).map_err(|error| error.to_string())
}

/// Whether a command asks before it takes something away.
#[derive(Args)]
pub struct Confirmation {
    /// Do not ask on a terminal.
    #[arg(long)]
    yes: bool,
}

/// A request that takes something away.
pub struct TakingRequest<'a> {
    /// Its method.
    pub method: Method,
    /// Its path below `/admin/v1`.
    pub path: &'a [&'a str],
    /// Its own members.
    pub members: Map<String, Value>,
    /// The member that a dry run's count is printed under.
    pub counted: &'static str,
    /// Whether what goes is printed first, also where nothing is asked.
    pub lists_first: bool,
}

impl<'a> TakingRequest<'a> {
    /// A `POST` with these members.
    pub fn post(path: &'a [&'a str], members: Value) -> Self {
        Self::new(Method::POST, path, members)
    }

    /// A `DELETE` with these parameters.
    pub fn delete(path: &'a [&'a str], members: Value) -> Self {
        Self::new(Method::DELETE, path, members)
    }

    /// A request of any method.
    pub fn new(method: Method, path: &'a [&'a str], members: Value) -> Self {
        let members = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self { method, path, members, counted: "would_revoke", lists_first: false }
    }

    fn taking<'t>(&self, members: &'t Map<String, Value>, wait: u16) -> TakingCall<'t> {
        TakingCall { method: self.method.clone(), members, wait, idempotency_key: None }
    }

    async fn dry_run(&self, api: &Api) -> anyhow::Result<Value> {
        let mut members = self.members.clone();
        members.insert("dry_run".to_owned(), true.into());
        api.take(self.path, self.taking(&members, 0)).await
    }

    /// The table of a dry run: what the request is about, the groups and keys that go, the
    /// tokens with the contacts of their groups, and how many.
    async fn summary(&self, api: &Api, found: &Value) -> anyhow::Result<String> {
        let mut found = found.clone();
        subject::add(api, (&self.method, self.path, &self.members), &mut found).await?;
        let own = match self.path {
            ["channels", channel, ..] => Some(*channel),
            _ => None,
        };
        let mut contacts = BTreeMap::new();
        for token in found["tokens"].as_array_mut().into_iter().flatten() {
            let channel = token["channel_id"].as_str().or(own).map(str::to_owned);
            let (Some(channel), Some(group)) = (channel, token["group"].as_str()) else { continue };
            if !contacts.contains_key(&channel) {
                contacts.insert(channel.clone(), contacts_of(api, &channel).await?);
            }
            let contact = contacts[&channel].get(group).cloned();
            token["contact"] = contact.into();
        }
        Ok(Output::rehearsal(&found, self.counted))
    }
}

/// The contacts of a channel's groups.
async fn contacts_of(api: &Api, channel: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let groups = api.rows(&["channels", channel, "groups"], "groups").await?;
    let contact = |row: &Value| {
        Some((row["group"].as_str()?.to_owned(), row["contact"].as_str()?.to_owned()))
    };
    Ok(groups.iter().filter_map(contact).collect())
}

impl TakingOptions {
    /// Does what is requested and returns the response; `None` after a dry run, which is
    /// printed. On a terminal, shows what goes and asks first, if `confirm` is given.
    pub async fn run(
        self,
        api: &Api,
        out: &Output,
        confirm: Option<Confirmation>,
        request: TakingRequest<'_>,
    ) -> anyhow::Result<Option<Value>> {
        self.run_once(api, out, confirm, request, None).await
    }

    /// The same with an `Idempotency-Key`.
    pub async fn run_once(
        self,
        api: &Api,
        out: &Output,
        confirm: Option<Confirmation>,
        mut request: TakingRequest<'_>,
        idempotency_key: Option<&str>,
    ) -> anyhow::Result<Option<Value>> {
        if self.dry_run {
            let found = request.dry_run(api).await?;
            if out.is_json() {
                out.thing(&found, &[])?;
            } else {
                out.text(&request.summary(api, &found).await?)?;
            }
            return Ok(None);
        }
        let mut listed = Ok(());
        if let Some(confirm) = confirm
            && confirm.asks()
        {
            let found = request.dry_run(api).await?;
            ask(&request.summary(api, &found).await?)?;
        } else if request.lists_first && !out.is_json() {
            let found = request.dry_run(api).await?;
            // A reader that stops early, as `head` does, must not stop the act.
            listed = out.text(&(request.summary(api, &found).await? + "\n"));
        }
        if let Some(reason) = self.reason {
            request.members.insert("reason".to_owned(), reason.into());
        }
        let taking = TakingCall { idempotency_key, ..request.taking(&request.members, self.wait) };
        let done = waiting::take(api, request.path, taking).await?;
        listed.map(|()| Some(done))
    }

    /// Deletes what `request` names, which `what` says, and prints the result.
    pub async fn delete(
        self,
        api: &Api,
        out: &Output,
        confirm: Confirmation,
        (request, what): (TakingRequest<'_>, &str),
    ) -> anyhow::Result<()> {
        let Some(response) = self.run(api, out, Some(confirm), request).await? else {
            return Ok(());
        };
        if !out.is_json() {
            out.text(&format!("{what} is deleted\n"))?;
        }
        out.taken(&response, &["revoked"])
    }
}

impl Confirmation {
    /// Whether to ask: only on a terminal, so that scripts go on working.
    pub fn asks(&self) -> bool {
        !self.yes && stdin().is_terminal() && stderr().is_terminal()
    }

    /// Asks, as [`ask`] does; at the terminal itself if stdin is the text that the command
    /// reads.
    pub fn ask(&self, what_goes: &str, text_on_stdin: bool) -> anyhow::Result<()> {
        if !text_on_stdin {
            return if self.asks() { ask(what_goes) } else { Ok(()) };
        }
        let terminal = File::open("/dev/tty").ok().filter(|_| stderr().is_terminal());
        match terminal.filter(|_| !self.yes) {
            Some(terminal) => ask_on(BufReader::new(terminal.take(LONGEST)), what_goes),
            None => Ok(()),
        }
    }
}

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 256;

/// Shows what goes, and asks.
///
/// # Errors
/// The answer is not yes.
pub fn ask(what_goes: &str) -> anyhow::Result<()> {
    ask_on(stdin().lock().take(LONGEST), what_goes)
}

fn ask_on(mut terminal: impl BufRead, what_goes: &str) -> anyhow::Result<()> {
    let mut shown = stderr().lock();
    write!(shown, "{}Type yes to go on: ", printable(what_goes))?;
    shown.flush()?;
    drop(shown);
    let mut answer = String::new();
    terminal.read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was changed: the answer was not yes");
    }
    Ok(())
}
