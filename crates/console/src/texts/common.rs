//! Words that several pages use.

#[derive(Debug)]
pub struct CommonTexts {
    pub command_line: &'static str,
    pub name: &'static str,
    pub name_hint: &'static str,
    pub created: &'static str,
    pub last_used: &'static str,
    pub never: &'static str,
    pub none: &'static str,
    pub search: &'static str,
    pub older: &'static str,
    pub newest: &'static str,
    pub action: &'static str,
    pub active: &'static str,
    pub suspended: &'static str,
    pub deleted: &'static str,
    pub copy: &'static str,
    pub copied: &'static str,
}
