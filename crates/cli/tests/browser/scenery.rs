//! What a console shows in use: a provider with a channel, keys, groups and tokens, and
//! names that are hard to show.

use crate::{console::Console, program::finish};
use serde_json::Value;

/// A name with markup, writing from right to left, and no space to break at.
pub const HARD_NAME: &str = "<b onclick=x>\"شركة\" & '価格表とても長い名前'</b><script>0</script>";
pub const LONG_NAME: &str = "a-name-of-100-characters-without-a-space-that-no-page-may-become-wider-for\
    -0123456789012345678901234";

/// A channel and what it has.
pub struct Scenery {
    pub provider: String,
    pub channel: String,
    /// The text of a short-lived token.
    pub token: String,
    pub receipt: String,
}

impl Scenery {
    pub fn of(console: &Console) -> Self {
        let desk = &console.desk;
        let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        let provider = text(&desk.json(&["provider", "create", HARD_NAME]), "provider_id");
        // Only one without channels can be deleted.
        desk.json(&["provider", "create", "Harbour Archive"]);
        let create = ["channel", "create", "--provider", &provider];
        let made = desk.json(&[&create[..], &[LONG_NAME]].concat());
        let (channel, secret) = (text(&made, "channel_id"), text(&made, "channel_secret"));
        desk.json(&[&create[..], &["Log in", "--type", "line-login"]].concat());
        let at = ["--channel", &channel];
        desk.json(&[&["key", "generate", "--file", "large.jwk"], &at[..]].concat());
        for group in ["blue-1", "0123456789-a-group-of-64-characters-without-a-place-to-break-it-"]
        {
            let file = format!("{group}.jwk");
            desk.json(&[&["key", "generate", "--group", group, "--file", &file], &at[..]].concat());
            for lifetime in ["3600", "864000"] {
                let how =
                    ["--kind", "v2.1", "--group", group, "--key", &file, "--lifetime", lifetime];
                desk.json(&[&["token", "issue"], &at[..], &how].concat());
            }
        }
        let mut issue = desk.command(
            &[&["token", "issue", "--kind", "short-lived", "-o", "json"], &at[..]].concat(),
        );
        let issued = finish(issue.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let token = text(&serde_json::from_str(&issued).unwrap(), "access_token");
        desk.json(&[&["token", "reissue", "--yes"], &at[..]].concat());
        desk.json(&[&["token", "reissue", "--yes", "--delay", "3600"], &at[..]].concat());
        let rotate = ["channel", "rotate-secret", "--yes", "--keep-previous", "86400", &channel];
        desk.json(&rotate);
        desk.json(&["verifier", "create", LONG_NAME]);
        desk.json(&[
            "person",
            "invite",
            "aoi",
            "--name",
            HARD_NAME,
            "--channel",
            &channel,
            "--role",
            "tester",
        ]);
        desk.json(&["person", "invite", "ren", "--provider", &provider, "--role", "member"]);
        let revoke = ["token", "revoke", "--yes", "--group", "blue-1", "--reason", HARD_NAME];
        let receipt = text(&desk.json(&[&revoke[..], &at].concat()), "position");
        Self { provider, channel, token, receipt }
    }
}
