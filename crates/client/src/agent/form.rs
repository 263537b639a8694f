//! Writes the text of a sink's file. If one of several tokens is missing, the file keeps
//! its entry for that one, which may still be active.

use super::{
    config::{Format, SinkConfig},
    state::HeldToken,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use tegata_policy::secret::PlainSecret;

/// Returns the file's content with these tokens, each under its name in the file; `before`
/// is the present content. `None` without any token.
#[must_use]
pub fn render(
    sink: &SinkConfig,
    tokens: &[(String, Option<&HeldToken>)],
    before: Option<&str>,
) -> Option<PlainSecret> {
    if tokens.iter().all(|(_, held)| held.is_none()) {
        return None;
    }
    let text = match sink.format {
        Format::Token => tokens.first()?.1?.token.reveal().to_owned(),
        Format::Env => env(tokens, before),
        Format::Json => json_text(&Value::Object(members(tokens, before, entry))),
        Format::KubernetesSecret => {
            let data = members(tokens, before, |held| STANDARD.encode(held.token.reveal()).into());
            json_text(&manifest(sink, data))
        }
    };
    Some(PlainSecret::from_caller(text))
}

fn env(tokens: &[(String, Option<&HeldToken>)], before: Option<&str>) -> String {
    let line = |(name, held): &(String, Option<&HeldToken>)| match held {
        Some(held) => Some(format!("{name}={}\n", held.token.reveal())),
        None => {
            let mut lines = before?.lines();
            let kept = lines.find(|line| line.split('=').next() == Some(name))?;
            Some(format!("{kept}\n"))
        }
    };
    tokens.iter().filter_map(line).collect()
}

fn entry(held: &HeldToken) -> Value {
    let until = jiff::Timestamp::from_second(held.life.until.0).unwrap_or(jiff::Timestamp::MAX);
    json!({
        "access_token": held.token.reveal(),
        "token_type": "Bearer",
        "expires_at": until.to_string(),
    })
}

/// A member for each token, from the agent or from the present file.
fn members(
    tokens: &[(String, Option<&HeldToken>)],
    before: Option<&str>,
    of: impl Fn(&HeldToken) -> Value,
) -> Map<String, Value> {
    let before: Value = before.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    // In a manifest, the names are below `data`.
    let before = before.get("data").unwrap_or(&before);
    let member = |(name, held): &(String, Option<&HeldToken>)| {
        let value = held.map(&of).or_else(|| before.get(name).cloned())?;
        Some((name.clone(), value))
    };
    tokens.iter().filter_map(member).collect()
}

/// JSON is YAML, so `kubectl apply -f` reads it under either name.
fn manifest(sink: &SinkConfig, data: Map<String, Value>) -> Value {
    let mut metadata = json!({ "name": sink.secret_name });
    if let Some(namespace) = &sink.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": data,
    })
}

fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::Validity;
    use tegata_token::time::UnixTime;

    fn sink(more: &str) -> SinkConfig {
        toml::from_str(&format!("tokens = ['a']\npath = 'p'\n{more}")).unwrap()
    }

    fn held(text: &str) -> HeldToken {
        let life = Validity { from: UnixTime(0), until: UnixTime(60) };
        HeldToken { token: PlainSecret::from_caller(text.to_owned()), life }
    }

    fn text(
        sink: &SinkConfig,
        a: Option<&HeldToken>,
        b: Option<&HeldToken>,
        before: Option<&str>,
    ) -> String {
        let tokens = [("A".to_owned(), a), ("B".to_owned(), b)];
        render(sink, &tokens, before).unwrap().reveal().to_owned()
    }

    #[test]
    fn a_token_alone_is_the_token_and_nothing_else() {
        let tokens = [("a".to_owned(), Some(&held("tok")))];
        assert_eq!(render(&sink(""), &tokens, None).unwrap().reveal(), "tok");
        assert!(render(&sink(""), &[("a".to_owned(), None)], None).is_none());
    }

    #[test]
    fn each_format_for_several_tokens_keeps_the_entry_of_a_missing_one() {
        let (a, b, new) = (held("ta"), held("tb"), held("new"));
        for form in ["env", "json", "kubernetes-secret"] {
            let name = if form == "kubernetes-secret" { "secret_name = 's'" } else { "" };
            let sink = sink(&format!("format = '{form}'\n{name}"));
            let both = text(&sink, Some(&a), Some(&b), None);
            let one_missing = text(&sink, Some(&new), None, Some(&both));
            assert_eq!(one_missing, text(&sink, Some(&new), Some(&b), None), "{form}");
            let damaged = text(&sink, Some(&new), None, Some("{ no such thing"));
            assert!(!damaged.contains("tb") && !damaged.is_empty());
        }
    }

    #[test]
    fn the_formats_are_what_their_readers_expect() {
        let (a, b) = (held("ta"), held("tb"));
        let env = text(&sink("format = 'env'"), Some(&a), Some(&b), None);
        assert_eq!(env, "A=ta\nB=tb\n");
        let json: Value =
            serde_json::from_str(&text(&sink("format = 'json'"), Some(&a), None, None)).unwrap();
        let expected = json!({ "A": {
            "access_token": "ta", "token_type": "Bearer", "expires_at": "1970-01-01T00:01:00Z",
        } });
        assert_eq!(json, expected);
        let sink = sink("format = 'kubernetes-secret'\nsecret_name = 's'\nnamespace = 'n'");
        let manifest: Value = serde_json::from_str(&text(&sink, Some(&a), None, None)).unwrap();
        assert_eq!(manifest["kind"], "Secret");
        assert_eq!(manifest["metadata"], json!({ "name": "s", "namespace": "n" }));
        assert_eq!(manifest["data"], json!({ "A": "dGE=" }));
    }
}
