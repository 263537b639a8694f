//! The commands that find an id, for a user who gave a name or a wrong id.

/// The command that finds what an error is about: `about` is the beginning of a text such as
/// "a channel id is …" or "there is no such channel", `given` what the user wrote.
pub fn finder(about: &str, given: &str) -> Option<String> {
    let found = match about {
        _ if about.contains("signing key") => "`tegata signing-key list` shows the ids".to_owned(),
        _ if about.contains("assertion key") => search("key", given),
        _ if about.contains("verifier") => {
            "`tegata verifier list` shows the ids and names".to_owned()
        }
        _ if about.contains("receipt") || about.contains("position") => {
            "the position is in the output of the act, or in `tegata audit list`, and only acts that \
             take something away have a receipt"
                .to_owned()
        }
        _ if about.contains("administrator's token") => {
            "`tegata admin-token list` shows the ids".to_owned()
        }
        _ if about.contains("person") => search("person", given),
        _ if about.contains("token") => {
            "`tegata token list --channel CHANNEL` shows the ids, and `tegata token explain -` \
             finds that of a token"
                .to_owned()
        }
        _ if about.contains("channel") => search("channel", given),
        _ if about.contains("provider") => search("provider", given),
        _ => return None,
    };
    Some(found)
}

fn search(list: &str, given: &str) -> String {
    match given.is_empty() {
        true => format!("`tegata {list} list` shows the ids"),
        false => {
            // Otherwise the word would be read as an option.
            let joint = if given.starts_with('-') { '=' } else { ' ' };
            format!("`tegata {list} list --search{joint}{}` finds the id", quoted(given))
        }
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-@".contains(it);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_for_a_shell() {
        for (given, word) in [("shop", "shop"), ("my shop", "'my shop'"), ("a'b", r"'a'\''b'")] {
            assert_eq!(quoted(given), word);
        }
    }

    #[test]
    fn a_word_that_begins_with_a_hyphen_is_not_read_as_an_option() {
        let finder = |given| finder("an assertion key's id is …", given).unwrap();
        assert_eq!(finder("-qzcDE"), "`tegata key list --search=-qzcDE` finds the id");
        assert_eq!(finder("- x"), "`tegata key list --search='- x'` finds the id");
        assert_eq!(finder("qzcDE"), "`tegata key list --search qzcDE` finds the id");
    }
}
