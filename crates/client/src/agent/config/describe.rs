//! Describes errors in a settings file.

/// The keys whose value is often written in another form, each with a right one.
const FORMS: [(&str, &str); 12] = [
    (
        "channel",
        "[[channel]] with id = \"1234567890\", and in a [[token]] channel = \"1234567890\"",
    ),
    ("token", "[[token]]"),
    ("sink", "[[sink]]"),
    ("caller", "[[caller]]"),
    ("watch", "[[watch]]"),
    ("id", "id = \"1234567890\""),
    ("tokens", "tokens = [\"bot\"]"),
    ("names", "names = { bot = \"BOT_TOKEN\" }"),
    (
        "command",
        "command = [\"systemctl\", \"reload\", \"bot\"], or [\"sh\", \"-c\", \"…\"] for a line of a shell",
    ),
    ("mode", "mode = \"0640\""),
    ("verify_interval_seconds", "verify_interval_seconds = 60"),
    ("warn_days", "warn_days = 7"),
];

/// Describes an error in a settings file by its line number and key, without the line's
/// text: an operator may have written a secret in place of the name of its file. An error
/// about a value's type shows the right form.
#[must_use]
pub fn describe(error: &toml::de::Error, text: &str) -> String {
    let begin = error.span().map_or(0, |span| span.start);
    let before = text.get(..begin).unwrap_or_default();
    let number = 1 + before.matches('\n').count();
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let key = line.split_once('=').map(|(key, _)| key.trim());
    let said = error.message();
    let said = match (said.split_once("string \""), said.rsplit_once("\", expected ")) {
        (Some((what, _)), Some((_, wanted))) => format!("{what}string, expected {wanted}"),
        _ => said.to_owned(),
    };
    let named = key.unwrap_or_else(|| line.trim().trim_matches(['[', ']']));
    let form = FORMS.iter().find(|(key, _)| *key == named && said.starts_with("invalid type"));
    let form = form.map(|(_, form)| format!("; write {form}")).unwrap_or_default();
    let key = key.map(|key| format!(" ({key})")).unwrap_or_default();
    format!("line {number}{key}: {said}{form}")
}

#[cfg(test)]
mod tests {
    use crate::agent::config::Config;
    use std::path::Path;

    #[test]
    fn an_error_about_a_type_shows_the_right_form() {
        let sink = |line: &str| format!("[[sink]]\ntokens = ['a']\npath = 'p'\n{line}\n");
        for (text, form) in [
            (sink("command = 'systemctl reload bot'"), r#"["systemctl", "reload", "bot"]"#),
            (sink("names = 'A'"), r#"names = { bot = "BOT_TOKEN" }"#),
            (sink("mode = 640"), r#"mode = "0640""#),
            ("[[sink]]\ntokens = 'a'\n".to_owned(), r#"tokens = ["bot"]"#),
            ("[sink]\ntokens = ['a']\n".to_owned(), "write [[sink]]"),
            ("verify_interval_seconds = '60'".to_owned(), "verify_interval_seconds = 60"),
            (
                "[[token]]\nname = 'a'\nchannel = '1234567890'\nlifetime = 'soon'".to_owned(),
                r#"a duration such as "24h""#,
            ),
            ("[[token]]\nname = 'a'\nchannel = 1234567890".to_owned(), r#"channel = "1234567890""#),
        ] {
            let error = Config::parse(&text, Path::new("/")).unwrap_err();
            assert!(error.contains(form), "{text}\nsaid: {error}\nexpected: {form}");
            assert!(!error.contains("reload bot'"), "{error}");
        }
    }
}
