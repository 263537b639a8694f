//! A channel whose tokens the pages show, and a verifier that follows.

use crate::browser::{Browser, Human, Page, World};
use reqwest::Method;
use tegata_policy::{permission::OperatorRole, rules::ChannelType};
use tegata_server::authority::admin::VerifierSettings;
use tegata_token::id::{ChannelId, ProviderId};

/// A channel with markup in its name, a browser of an administrator, and one without a
/// session.
pub struct Shop {
    pub world: World,
    pub id: ChannelId,
    pub provider: ProviderId,
    pub secret: String,
    pub browser: Browser,
    pub outside: Browser,
}

/// Another channel than that of the pages.
pub struct OtherChannel {
    pub id: ChannelId,
    secret: String,
}

/// The name of the channel, and as a page shows it.
pub const NAME: &str = "Order <b>bot</b>";
pub const SHOWN: &str = "Order &lt;b&gt;bot&lt;/b&gt;";

impl Shop {
    pub async fn new() -> Self {
        let world = World::new().await;
        let human = world.operator("mika", OperatorRole::Administrator).await;
        let browser = world.browser_of(&human).await;
        let root = world.root();
        let provider = root.create_provider("Harbour Foods").await.unwrap();
        let made = root.create_channel(provider.id, NAME, ChannelType::MessagingApi).await;
        let (channel, secret) = made.unwrap();
        let outside = world.browser();
        let secret = secret.reveal().to_owned();
        Self { id: channel.id, provider: provider.id, world, secret, browser, outside }
    }

    /// The address of a page of the channel.
    pub fn at(&self, path: &str) -> String {
        format!("/console/channels/{}{path}", self.id)
    }

    pub async fn get(&self, path: &str) -> Page {
        self.browser.get(&self.at(path)).await
    }

    /// A browser of another person, with this role in the whole authority.
    pub async fn browser_of(&self, login: &str, role: OperatorRole) -> Browser {
        let human: Human = self.world.operator(login, role).await;
        self.world.browser_of(&human).await
    }

    /// Another channel of the same provider.
    pub async fn channel(&self, name: &str) -> OtherChannel {
        let root = self.world.root();
        let made = root.create_channel(self.provider, name, ChannelType::MessagingApi).await;
        let (channel, secret) = made.unwrap();
        OtherChannel { id: channel.id, secret: secret.reveal().to_owned() }
    }

    /// A short-lived token of a group of it.
    pub async fn token_of(&self, other: &OtherChannel, group: &str) -> String {
        let by = (other.id, &*other.secret);
        self.issued_by(by, "/v2/oauth/accessToken", &[("group", group)]).await
    }

    async fn issued(&self, path: &str, more: &[(&str, &str)]) -> String {
        self.issued_by((self.id, &self.secret), path, more).await
    }

    async fn issued_by(
        &self,
        (id, secret): (ChannelId, &str),
        path: &str,
        more: &[(&str, &str)],
    ) -> String {
        let id = id.to_string();
        let fields =
            [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", secret)];
        let fields = [&fields[..], more].concat();
        let page = self.outside.request(Method::POST, path, &[], Some(&fields)).await;
        let body = page.shows(200, "access_token").text;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// A short-lived token of a group.
    pub async fn token(&self, group: &str) -> String {
        self.issued("/v2/oauth/accessToken", &[("group", group)]).await
    }

    /// A stateless token of a group.
    pub async fn stateless(&self, group: &str) -> String {
        self.issued("/oauth2/v3/token", &[("group", group)]).await
    }

    /// The id of a token.
    pub async fn id_of(&self, token: &str) -> String {
        self.world.root().explain(token).await.unwrap().token.id.to_string()
    }

    /// Whether the server accepts a token.
    pub async fn accepts(&self, token: &str) -> bool {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let page = self.outside.request(Method::GET, "/gateway/verify", &headers, None).await;
        page.status == 200
    }

    /// A verifier's token.
    pub async fn verifier(&self, name: &str) -> String {
        let settings = VerifierSettings {
            name: name.to_owned(),
            provider: None,
            max_staleness: 60_000,
            allow: false,
        };
        let (_, token) = self.world.root().create_verifier(settings).await.unwrap();
        token.reveal().to_owned()
    }

    /// A request of an instance that follows; its answer.
    pub async fn feed(&self, token: &str, path: &str) -> serde_json::Value {
        let bearer = format!("Bearer {token}");
        let path = format!(
            "/feed/{path}instance=one___________________&staleness=30000&on_stale=deny&speaks=1"
        );
        let headers = [("authorization", &*bearer)];
        let page = self.outside.request(Method::GET, &path, &headers, None).await;
        serde_json::from_str(&page.shows(200, "").text).unwrap()
    }

    /// Follows to the last change.
    pub async fn catch_up(&self, token: &str, after: &str) {
        let mut after = after.to_owned();
        loop {
            let answer = self.feed(token, &format!("changes?after={after}&hold=0&")).await;
            let through = answer["through"].as_str().unwrap().to_owned();
            if through == after {
                return;
            }
            after = through;
        }
    }
}

/// The first link of a page that begins so.
#[track_caller]
pub fn link(page: &Page, begins: &str) -> String {
    let at = page.text.find(&format!("href=\"{begins}"));
    let rest = &page.text[at.unwrap_or_else(|| panic!("no {begins} in {}", page.text)) + 6..];
    rest[..rest.find('"').unwrap()].replace("&#38;", "&").replace("&amp;", "&")
}
