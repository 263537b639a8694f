//! Pieces that several pages share: tables, lists of facts, commands.

use crate::html::Html;
use std::fmt::Write;

/// A table that becomes a list of cards on narrow screens; roles in the markup keep it a
/// table for screen readers.
#[derive(Debug)]
pub struct HtmlTable<'a> {
    /// What it lists, for those who do not see it.
    pub caption: Html,
    /// Its columns. The first one names the row.
    pub columns: Vec<Column<'a>>,
    /// Its rows, with a cell for each column.
    pub rows: Vec<Row>,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its heading.
    pub name: &'a str,
    /// Classes of its cells: `nw`, `num`, `full`, or `act` for buttons, whose heading is
    /// hidden.
    pub class: &'static str,
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Whether it is about something that is over.
    pub past: bool,
    /// Its cells; an empty one is left out on narrow screens.
    pub cells: Vec<Html>,
}

/// A column without a class.
#[must_use]
pub fn column(name: &str) -> Column<'_> {
    Column { name, class: "" }
}

/// A column whose cells are on one line.
#[must_use]
pub fn narrow(name: &str) -> Column<'_> {
    Column { name, class: "nw" }
}

/// The column of the buttons.
#[must_use]
pub fn buttons(name: &str) -> Column<'_> {
    Column { name, class: "act" }
}

impl HtmlTable<'_> {
    /// The table.
    #[must_use]
    pub fn html(&self) -> Html {
        let text = |row: &Row| row.cells.iter().map(|it| it.as_str().len() + CELL).sum::<usize>();
        let mut it =
            String::with_capacity(self.rows.iter().map(text).sum::<usize>() + CELL * MARGIN);
        let _ = write!(
            it,
            "<table role=\"table\" class=\"cards\"><caption class=\"hide\">{}</caption>\
             <thead role=\"rowgroup\"><tr role=\"row\">",
            self.caption
        );
        for column in &self.columns {
            let name = Html::text(column.name);
            let name = match column.class {
                "act" => format!("<span class=\"hide\">{name}</span>"),
                _ => name.to_string(),
            };
            let class = class(column.class);
            // Writing to a string cannot fail.
            let _ = write!(it, "<th role=\"columnheader\" scope=\"col\"{class}>{name}</th>");
        }
        it.push_str("</tr></thead><tbody role=\"rowgroup\">\n");
        let starts: Vec<_> = self.columns.iter().enumerate().map(CellStart::of).collect();
        for row in &self.rows {
            draw_row(&mut it, &starts, row);
        }
        it.push_str("</tbody></table>");
        Html::trusted(it)
    }
}

/// About as many bytes as the tags of a cell take, and the head of a table in cells.
const CELL: usize = 90;
const MARGIN: usize = 20;

/// How the cells of a column begin, the same in each row: one with a content, and an empty one.
struct CellStart {
    full: String,
    empty: String,
    end: &'static str,
}

impl CellStart {
    fn of((number, column): (usize, &Column<'_>)) -> Self {
        let label = match column.class {
            "act" => String::new(),
            _ => format!(" data-label=\"{}\"", Html::text(column.name)),
        };
        let of = class(column.class);
        if number == 0 {
            let full = format!("<th role=\"rowheader\" scope=\"row\"{of}{label}><div>");
            return Self { full, empty: String::new(), end: "</div></th>" };
        }
        let none = class(format!("{} none", column.class).trim());
        Self {
            full: format!("<td role=\"cell\"{of}{label}><div>"),
            empty: format!("<td role=\"cell\"{none}{label}>"),
            end: "</div></td>",
        }
    }
}

fn draw_row(it: &mut String, starts: &[CellStart], row: &Row) {
    it.push_str(if row.past { "<tr role=\"row\" class=\"past\">" } else { "<tr role=\"row\">" });
    for (number, (cell, start)) in row.cells.iter().zip(starts).enumerate() {
        // The first one names the row, and is drawn in any case.
        let (start, end) = match cell.as_str() {
            "" if number > 0 => (&start.empty, "</td>"),
            _ => (&start.full, start.end),
        };
        it.push_str(start);
        it.push_str(cell.as_str());
        it.push_str(end);
    }
    it.push_str("</tr>\n");
}

fn class(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" class=\"{name}\"") }
}

/// Facts, each with its name.
#[must_use]
pub fn pairs(facts: &[(&str, Html)]) -> Html {
    let facts = facts.iter().fold(String::new(), |mut all, (name, fact)| {
        let _ = writeln!(all, "<dt>{}</dt><dd>{fact}</dd>", Html::text(name));
        all
    });
    Html::trusted(format!("<dl class=\"pairs\">{facts}</dl>"))
}

/// Commands that do the same as a page.
#[must_use]
pub fn commands(caption: &str, lines: impl AsRef<[String]>) -> Html {
    let lines: String =
        lines.as_ref().iter().map(|line| format!("<code>{}</code>", words(line))).collect();
    let caption = Html::text(caption);
    Html::trusted(format!(
        "<figure class=\"cli\"><figcaption>{caption}</figcaption><pre tabindex=\"0\">{lines}</pre></figure>"
    ))
}

/// One command.
#[must_use]
pub fn command(caption: &str, line: &str) -> Html {
    commands(caption, [line.to_owned()])
}

/// The words of a command, of which those with a hyphen stay on one line: a browser would break
/// an option behind it. One that is longer than a line is broken behind its `=`.
fn words(line: &str) -> Html {
    let word = |it: &str| {
        let parts = Html::trusted(Html::text(it).as_str().replace('=', "=<wbr>"));
        match it.contains('-') {
            true => crate::html!("<span>{}</span>", parts).to_string(),
            false => parts.to_string(),
        }
    };
    Html::trusted(line.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

/// The server's own words as a sentence: with a capital letter and a full stop.
#[must_use]
pub fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    let first = rest.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '!', '?']) || words.is_empty() { "" } else { "." };
    format!("{first}{}{end}", rest.as_str())
}

/// A link.
#[must_use]
pub fn link(href: &str, text: &Html) -> Html {
    Html::trusted(format!("<a href=\"{}\">{text}</a>", Html::text(href)))
}

/// A link that looks like a button; `object` follows its text for those who do not see the
/// row that it is in.
#[must_use]
pub fn button(class: &'static str, href: &str, text: &str, object: &str) -> Html {
    let (href, text, object) = (Html::text(href), Html::text(text), Html::text(object));
    Html::trusted(format!(
        "<a class=\"btn {class}\" href=\"{href}\">{text}<span class=\"hide\"> {object}</span></a>"
    ))
}

/// A state: shape, word and colour. The class is `ok`, `warn`, `bad`, `inactive` or `plain`.
#[must_use]
pub fn tag(class: &'static str, text: &str) -> Html {
    Html::trusted(format!("<span class=\"tag {class}\">{}</span>", Html::text(text)))
}

/// A line below the first one of a cell.
#[must_use]
pub fn sub(text: &Html) -> Html {
    Html::trusted(format!("<span class=\"sub\">{text}</span>"))
}

/// A word for what is not there.
#[must_use]
pub fn quiet(text: &str) -> Html {
    Html::trusted(format!("<span class=\"quiet\">{}</span>", Html::text(text)))
}

/// Several pieces, one after the other.
#[must_use]
pub fn joined(all: &[Html]) -> Html {
    Html::trusted(all.iter().map(Html::as_str).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_its_rows_and_labels_its_cells() {
        let table = HtmlTable {
            caption: Html::text("All <b>"),
            columns: vec![column("Name"), narrow("State"), column("Note"), buttons("Action")],
            rows: vec![Row {
                past: true,
                cells: vec![
                    Html::text("a<i>"),
                    tag("ok", "active"),
                    Html::default(),
                    Html::text("x"),
                ],
            }],
        };
        let html = table.html().to_string();
        for part in [
            "<caption class=\"hide\">All &lt;b&gt;</caption>",
            "<tr role=\"row\" class=\"past\">",
            "<th role=\"rowheader\" scope=\"row\" data-label=\"Name\"><div>a&lt;i&gt;</div></th>",
            "<td role=\"cell\" class=\"nw\" data-label=\"State\"><div><span class=\"tag ok\">active</span></div></td>",
            "<td role=\"cell\" class=\"none\" data-label=\"Note\"></td>",
            "<td role=\"cell\" class=\"act\"><div>x</div></td>",
            "<th role=\"columnheader\" scope=\"col\" class=\"act\"><span class=\"hide\">Action</span></th>",
        ] {
            assert!(html.contains(part), "{part}\nin {html}");
        }
    }

    #[test]
    fn the_words_of_the_server_are_a_sentence() {
        for (words, shown) in [
            ("there are two; delete one", "There are two; delete one."),
            ("It is over.", "It is over."),
            ("`keep` is unknown", "`keep` is unknown."),
            ("", ""),
        ] {
            assert_eq!(sentence(words), shown);
        }
    }

    #[test]
    fn an_option_of_a_command_is_one_word() {
        let html = command("Command line", "tegata x --dry-run <b>").to_string();
        assert!(html.contains("<code>tegata x <span>--dry-run</span> &lt;b&gt;</code>"), "{html}");
    }

    #[test]
    fn what_people_chose_stays_text() {
        let evil = "\"><script>";
        let all = [
            pairs(&[(evil, Html::text(evil))]),
            commands(evil, [evil.to_owned()]),
            link(evil, &Html::text(evil)),
            button("", evil, evil, evil),
            tag("ok", evil),
            quiet(evil),
        ];
        assert!(
            all.iter()
                .all(|it| !it.as_str().contains("<script>") && !it.as_str().contains("\">\">"))
        );
    }
}
