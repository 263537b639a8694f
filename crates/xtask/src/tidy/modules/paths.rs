//! Reads from the text of a source file which paths of its own crate it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

/// Names from the crate's root: those of modules, then an item's.
pub type Path = Vec<String>;

/// Uses and definitions of one module.
#[derive(Default)]
pub struct Source {
    /// Paths that begin with `crate`, `super` or `self`, or import a child.
    pub uses: BTreeSet<Path>,
    /// Targets of imported and re-exported names.
    pub names: BTreeMap<String, Path>,
    /// Names of the items that it defines.
    pub items: BTreeSet<String>,
    /// The modules that it imports with `*`.
    pub globs: Vec<Path>,
}

/// Keywords that begin a definition.
const ITEMS: [&str; 7] = ["struct", "enum", "fn", "trait", "type", "const", "static"];

impl Source {
    /// Adds what the `text` of the module at `path` uses.
    pub fn read(&mut self, path: &Path, text: &str) {
        let words = words(text);
        let mut at = 0;
        while at < words.len() {
            if ITEMS.contains(&words[at]) {
                self.items.extend(words.get(at + 1).map(|it| (*it).to_owned()));
            } else if words[at] == "use" {
                let end =
                    words[at..].iter().position(|it| *it == ";").map_or(words.len(), |n| at + n);
                self.import(path, &[], &mut words[at + 1..end].iter().copied().peekable());
                at = end;
            } else if matches!(words[at], "crate" | "super" | "self")
                && words.get(at + 1) == Some(&"::")
            {
                let mut names = vec![words[at]];
                while words.get(at + 1) == Some(&"::")
                    && words.get(at + 2).is_some_and(|it| is_name(it))
                {
                    names.push(words[at + 2]);
                    at += 2;
                }
                self.uses.extend(absolute(path, &names));
            }
            at += 1;
        }
    }

    /// Reads one tree of a `use`, below the path `before`.
    fn import<'a>(
        &mut self,
        path: &Path,
        before: &[&'a str],
        words: &mut Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let mut names = before.to_vec();
        let mut alias = None;
        while let Some(word) = words.next() {
            match word {
                "::" => {}
                "{" => {
                    while words.peek().is_some_and(|it| *it != "}") {
                        self.import(path, &names, words);
                        words.next_if_eq(&",");
                    }
                    words.next();
                    return;
                }
                "as" => alias = words.next(),
                _ => names.push(word),
            }
            if words.peek().is_none_or(|it| matches!(*it, "," | "}")) {
                break;
            }
        }
        self.imported(path, names, alias);
    }

    fn imported(&mut self, path: &Path, mut names: Vec<&str>, alias: Option<&str>) {
        if names.last() == Some(&"self") && names.len() > 1 {
            names.pop();
        }
        let Some(last) = names.last().copied() else { return };
        // Without a keyword, the first name is a child's or another crate's; `resolve` finds out.
        let target =
            absolute(path, &names).unwrap_or_else(|| [path.as_slice(), &owned(&names)].concat());
        self.uses.insert(target.clone());
        if last == "*" {
            self.globs.push(target[..target.len() - 1].to_vec());
            return;
        }
        self.names.insert(alias.unwrap_or(last).to_owned(), target);
    }
}

/// The path of `names` from the crate's root, if they begin with a path keyword.
fn absolute(path: &Path, names: &[&str]) -> Option<Path> {
    let (mut base, mut rest) = match *names.first()? {
        "crate" => (Path::new(), &names[1..]),
        "self" => (path.clone(), &names[1..]),
        "super" => (path.clone(), names),
        _ => return None,
    };
    while let [first, others @ ..] = rest
        && *first == "super"
    {
        base.pop();
        rest = others;
    }
    base.extend(owned(rest));
    Some(base)
}

fn owned(names: &[&str]) -> Path {
    names.iter().map(|it| (*it).to_owned()).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|it: char| it.is_alphabetic() || it == '_')
}

/// The words and symbols of a source, without comments, literals and its test module.
fn words(text: &str) -> Vec<&str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = first.is_alphanumeric() || first == '_';
        let length = if let Some(length) = raw(rest) {
            length
        } else if rest.starts_with("'\"'") {
            3
        } else if word {
            rest.find(|it: char| !(it.is_alphanumeric() || it == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            quoted(rest)
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if word || matches!(token, "::" | "{" | "}" | "," | ";" | "*") {
            words.push(token);
        }
        rest = after;
    }
    words
}

/// Length of the raw string literal that `rest` begins with, if any.
fn raw(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let signs = inside.bytes().take_while(|it| *it == b'#').count();
    let text = inside[signs..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(signs));
    let end = text.find(&close).map_or(text.len(), |at| at + close.len());
    Some(rest.len() - text.len() + end)
}

/// Length of the string literal that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, it) in rest.char_indices().skip(1) {
        match it {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
