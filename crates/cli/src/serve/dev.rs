//! What `serve --dev` creates and prints: a channel with all its credentials, and
//! command lines. Each line works as it is; in their order they issue, verify and revoke
//! a token.

use super::url_of;
use crate::files::create_private;
use anyhow::Context;
use std::{
    fmt::{Display, Write as _},
    io::Write as _,
    path::{Path, PathBuf},
};
use tegata_client::key::PrivateKey;
use tegata_policy::{
    authorize::{Credential, IssueRequest},
    jwk::AssertionKey,
    rules::ChannelType,
    secret::PlainSecret,
};
use tegata_server::{
    authority::{actor::Actor, admin::Admin, private_file},
    serve::Running,
};
use tegata_store::Page;
use tegata_token::{id::ChannelId, kind::Kind};

/// Creates a provider, channel, assertion key and token in a new store, and returns the
/// text that describes them. Key files are written to `home`.
pub async fn prepare(
    running: &Running,
    admin_token: Option<&PlainSecret>,
    home: &Path,
) -> anyhow::Result<String> {
    let mut words =
        "this is a development server, whose clock can be moved: do not use it in production\n"
            .to_owned();
    let system = running.authority.admin(Actor::System, None);
    let system = system.because(Some("serve --dev".to_owned()));
    let only_one = Page { before: None, most: 1 };
    if !system.providers(None, only_one).await?.is_empty() {
        words.push_str(
            "this store was prepared before, and its secrets were printed then: `tegata channel list` \
             shows its channels, and `tegata channel rotate-secret CHANNEL` makes a new secret\n",
        );
        return Ok(words);
    }
    let admin_token = match (admin_token, &running.admin_token_file) {
        (Some(token), _) => token.reveal().to_owned(),
        (None, Some(file)) => {
            let none = || format!("there is no administrator's token in {}", file.display());
            let token = private_file::read(file)?.with_context(none)?;
            token.as_str().to_owned()
        }
        (None, None) => String::new(),
    };
    let table = Table::lay(&system, home).await?;
    table.write(&mut words, running, &admin_token)?;
    Ok(words)
}

/// The credentials of the development channel.
struct Table {
    channel: ChannelId,
    secret: PlainSecret,
    kid: String,
    key_file: PathBuf,
    token: String,
}

impl Table {
    async fn lay(system: &Admin, home: &Path) -> anyhow::Result<Self> {
        let provider = system.create_provider("Development").await?;
        let made = system
            .create_channel(provider.id, "Development bot", ChannelType::MessagingApi)
            .await?;
        let (channel, secret) = (made.0.id, made.1);
        let (kid, key_file) = {
            let key = PrivateKey::generate()?;
            let public = AssertionKey::from_jwk(key.public().to_string().as_bytes())?;
            let kid = system.register_key(channel, public, None).await?.to_string();
            let file = home.join(format!("{channel}.private.jwk.json"));
            create_private(&file)?.write_all(key.to_json(&kid).as_bytes())?;
            (kid, file)
        };
        let credential = Credential::Secret(secret.clone());
        let kind = Kind::ShortLived;
        let request =
            IssueRequest { kind, credential, group: None, idempotency: None, lifetime: None };
        let token = system.authority().issue(request, channel, None).await?.reveal().to_owned();
        Ok(Self { channel, secret, kid, key_file, token })
    }

    fn write(&self, to: &mut String, at: &Running, admin_token: &str) -> anyhow::Result<()> {
        let (url, admin_url) = (url_of(at, at.address), url_of(at, at.admin_address));
        let Self { channel, kid, token, .. } = self;
        let secret = self.secret.reveal();
        let key_file = self.key_file.display();
        let shown: [(&str, &dyn Display); 5] = [
            ("channel id", channel),
            ("channel secret", &secret),
            ("assertion key id", kid),
            ("private assertion key", &key_file),
            ("administrator's token", &admin_token),
        ];
        to.push('\n');
        for (name, value) in shown {
            writeln!(to, "{name:<22} {value}")?;
        }
        let admin = format!("-H {}", quoted(&format!("Authorization: Bearer {admin_token}")));
        let json = "-H 'Content-Type: application/json'";
        let credentials = format!(
            "-d grant_type=client_credentials -d client_id={channel} -d client_secret={secret}"
        );
        let as_gateway = format!("-i {url}/gateway/verify -H 'Authorization: Bearer {token}'");
        let lines = [
            ("issue a stateless token", format!("{url}/oauth2/v3/token {credentials}")),
            ("issue a short-lived token", format!("{url}/v2/oauth/accessToken {credentials}")),
            (
                "verify the short-lived token that was issued at the start",
                format!("{url}/v2/oauth/verify -d access_token={token}"),
            ),
            ("verify it as a gateway does: 200", as_gateway.clone()),
            (
                "list the channel's tokens",
                format!("{admin_url}/admin/v1/channels/{channel}/tokens {admin}"),
            ),
            ("revoke it", format!("{url}/v2/oauth/revoke -d access_token={token}")),
            ("verify it again: 401", as_gateway),
            (
                "issue a long-lived token",
                format!(
                    "{admin_url}/admin/v1/channels/{channel}/long-lived-token {admin} {json} \
                     -d '{{\"delay_seconds\":0}}'"
                ),
            ),
            (
                "move the clock forward by an hour (what an SDK signs by the machine's clock is then \
                 rejected: Invalid exp; a restart puts the clock back)",
                format!("{url}/dev/clock {json} -d '{{\"advance_seconds\":3600}}'"),
            ),
        ];
        for (what, line) in lines {
            writeln!(to, "\n# {what}\ncurl -sS {line}")?;
        }
        self.write_commands(to, (&url, &admin_url), admin_token)
    }

    /// What curl cannot do: sign an assertion, or print a receipt that is readable.
    fn write_commands(
        &self,
        to: &mut String,
        (url, admin_url): (&str, &str),
        admin_token: &str,
    ) -> anyhow::Result<()> {
        let Self { channel, token, .. } = self;
        // It may not be on the PATH.
        let program = quoted(&std::env::current_exe()?.display().to_string());
        let key = quoted(&self.key_file.display().to_string());
        let lines = [
            (
                "issue a v2.1 token",
                format!(
                    "{program} --url {url} token issue --kind v2.1 --channel {channel} --key {key}"
                ),
            ),
            (
                "let the command line administer this server",
                format!("export TEGATA_URL={admin_url} TEGATA_ADMIN_TOKEN={}", quoted(admin_token)),
            ),
            (
                "look up the token that was revoked: when, by whom, who used it",
                format!("{program} token explain {token}"),
            ),
            (
                "revoke all tokens of the channel: the receipt says that no verifier accepts them",
                format!("{program} token revoke --channel {channel} --all --yes"),
            ),
        ];
        for (what, line) in lines {
            writeln!(to, "\n# {what}\n{line}")?;
        }
        to.push('\n');
        Ok(())
    }
}

/// Quotes a text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
