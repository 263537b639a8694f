//! Maximum lengths of files and functions.

use super::{crate_folders, place, rust_files};
use std::{fs, path::Path};

/// Maximum lines of a file under `src`.
const FILE: usize = 450;
/// Maximum lines of a function, from its signature to its last brace.
const FUNCTION: usize = 60;
/// Number of functions in a thousand that may be longer.
const LONGER: usize = 5;

/// Reports files that are too long, and all long functions if there are too many.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    let mut count = 0;
    for folder in crate_folders(root)? {
        for file in rust_files(&folder.join("src"))? {
            let text = fs::read_to_string(&file)?;
            let (place, lines) = (place(root, &file), text.lines().count());
            if lines > FILE {
                wrong.push(format!("{place}: {lines} lines, where {FILE} are allowed: split it"));
            }
            for function in functions(&text) {
                count += 1;
                if function.lines > FUNCTION {
                    let Function { name, at, lines } = function;
                    long.push(format!("{place}:{at}: `{name}` has {lines} lines"));
                }
            }
        }
    }
    let allowed = count * LONGER / 1000;
    if long.len() > allowed {
        let found = long.len();
        wrong.push(format!("{found} of {count} functions are longer than {FUNCTION} lines, where {allowed} are allowed:"));
        wrong.extend(long);
    }
    wrong.sort();
    Ok(wrong)
}

struct Function<'a> {
    name: &'a str,
    at: usize,
    lines: usize,
}

/// The functions of a formatted source: the formatter aligns the last brace with the
/// signature.
fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let Some(name) = name_of(code) else { continue };
        let ends = |it: &&str| {
            let rest = it.trim_start();
            it.len() - rest.len() == indent && (rest == "}" || rest.ends_with(';'))
                || rest.ends_with('}') && it == line
        };
        if let Some(length) = lines[at..].iter().position(ends) {
            found.push(Function { name, at: at + 1, lines: length + 1 });
        }
    }
    found
}

/// The name of the function whose signature begins with this line.
fn name_of(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace();
    let qualifiers = ["const", "async", "unsafe", "extern"];
    let word = words.find(|it| !it.starts_with("pub") && !qualifiers.contains(it))?;
    let name = (word == "fn").then(|| words.next())??;
    Some(name.split(['(', '<']).next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let text = "fn a() {}\n\nimpl B {\n    pub(super) async fn c<T>(\n        x: T,\n    ) {\n        d(|| {\n        });\n    }\n\n    fn declared(&self);\n}\n";
        let found: Vec<_> = functions(text).iter().map(|it| (it.name, it.at, it.lines)).collect();
        assert_eq!(found, [("a", 1, 1), ("c", 4, 6), ("declared", 11, 1)]);
    }

    #[test]
    fn a_mention_of_a_function_is_not_counted() {
        assert_eq!(name_of("let act: fn(u8) = f;"), None);
        assert_eq!(name_of("// fn a() {"), None);
        assert_eq!(name_of("pub const fn a() {"), Some("a"));
    }
}
