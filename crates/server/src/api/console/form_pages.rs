//! Which page a form is on, for an address that has none itself: what `GET` of it leads to, and
//! where the page of an error leads back to.

use super::{CONSOLE, all};
use http::Method;

/// The ends of addresses whose page asks before an act: the object's own page is before them.
const ASKS: [&str; 11] = [
    "delete", "rotate", "reissue", "revoke", "remove", "suspend", "disable", "reset", "unlink",
    "role", "leave",
];

/// The addresses that have a page, below `/console`, with a name for each id.
pub struct FormPages(Vec<&'static str>);

impl FormPages {
    /// Those of all routes.
    pub fn of_routes() -> Self {
        let all = all().paths.into_iter().filter(|(_, methods)| methods.contains(&Method::GET));
        // What only a browser loads is no page.
        let all = all.map(|(path, _)| path).filter(|it| !it.starts_with("/assets"));
        Self(all.collect())
    }

    fn has(&self, path: &str) -> bool {
        self.0.iter().any(|page| is_at(page, path))
    }

    /// The page with the form that is sent to this address, which takes forms only.
    pub fn of_form(&self, here: &str) -> String {
        let path = below(here);
        let new = format!("{path}/new");
        // The page of an object has such an address as well, with `new` for its id.
        match self.0.iter().any(|page| page.ends_with("/new") && is_at(page, &new)) {
            true => format!("{CONSOLE}{new}"),
            false => self.before(path),
        }
    }

    /// Where to go on after a request for this address was not accepted: the page with its form,
    /// or that of the object.
    pub fn back(&self, here: &str, method: &Method) -> String {
        let path = below(here);
        let end = path.rsplit('/').next().unwrap_or_default();
        let asks = ASKS.contains(&end) || self.changes_role(path);
        match self.has(path) {
            true if *method == Method::POST && !asks => format!("{CONSOLE}{path}"),
            true => self.before(path),
            false => self.of_form(here),
        }
    }

    /// Whether the page of this path asks before the role of a person is changed.
    fn changes_role(&self, path: &str) -> bool {
        path.rsplit('/').nth(1) == Some("roles")
    }

    /// The nearest page above.
    fn before(&self, path: &str) -> String {
        let mut path = path;
        while let Some((above, _)) = path.rsplit_once('/') {
            if self.has(above) {
                return format!("{CONSOLE}{above}");
            }
            path = above;
        }
        CONSOLE.to_owned()
    }
}

/// Whether an address of all routes is that of a path.
fn is_at(page: &str, path: &str) -> bool {
    let (mut parts, mut own) = (page.split('/'), path.split('/'));
    let same = |(part, own): (&str, &str)| part.starts_with('{') || part == own;
    parts.by_ref().zip(own.by_ref()).all(same) && page.split('/').count() == path.split('/').count()
}

/// The path below the console, without a query.
fn below(here: &str) -> &str {
    let path = here.split(['?', '#']).next().unwrap_or_default();
    path.strip_prefix(CONSOLE).unwrap_or(path).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_page_leads_to_the_one_with_its_form() {
        let pages = FormPages::of_routes();
        for (address, page) in [
            ("/console/channels/1650000123/keys", "/console/channels/1650000123"),
            ("/console/channels/1650000123/keys?x=1", "/console/channels/1650000123"),
            ("/console/channels/1650000123/resume", "/console/channels/1650000123"),
            ("/console/channels/1/roles/invitations", "/console/channels/1/roles"),
            ("/console/providers", "/console/providers/new"),
            ("/console/providers/2/channels", "/console/providers/2/channels/new"),
            ("/console/providers/2/name", "/console/providers/2"),
            ("/console/people/invitations", "/console/people"),
            ("/console/people/1000000001/enable", "/console/people/1000000001"),
            ("/console/account/tokens", "/console/account"),
            ("/console/invitation/accept", "/console/invitation"),
            ("/console/sign-out", "/console"),
            ("/console/settings", "/console"),
        ] {
            assert_eq!(pages.of_form(address), page);
        }
        // Each address that takes forms has such a page.
        for (path, methods) in all().paths {
            if !methods.contains(&Method::GET) {
                let page = pages.of_form(&format!("{CONSOLE}{path}"));
                assert!(pages.has(below(&page)) || page == CONSOLE, "{path}: {page}");
            }
        }
    }

    #[test]
    fn an_id_is_not_taken_for_a_page_of_a_new_object() {
        let pages = FormPages(vec!["/verifiers/new", "/keys/{key}", "/keys"]);
        assert_eq!(pages.of_form("/console/verifiers"), "/console/verifiers/new");
        assert_eq!(pages.of_form("/console/keys/"), "/console");
    }

    #[test]
    fn an_error_leads_back_to_the_form_or_to_the_object() {
        let pages = FormPages::of_routes();
        for (method, address, page) in [
            (Method::POST, "/console/channels/1/keys", "/console/channels/1"),
            (Method::POST, "/console/channels/1/security", "/console/channels/1/security"),
            (Method::POST, "/console/channels/1/groups/a", "/console/channels/1/groups/a"),
            (Method::POST, "/console/verifiers/new", "/console/verifiers/new"),
            (Method::POST, "/console/signing-keys/rotate", "/console/signing-keys"),
            (Method::POST, "/console/channels/1/roles/2", "/console/channels/1/roles"),
            (
                Method::POST,
                "/console/channels/1/messaging-api/reissue",
                "/console/channels/1/messaging-api",
            ),
            (Method::POST, "/console/channels/1/keys/k/delete", "/console/channels/1"),
            (Method::GET, "/console/providers/2/delete", "/console/providers/2"),
            (Method::GET, "/console/channels/1/revoke?what=x", "/console/channels/1"),
            (Method::GET, "/console/audit?before=x", "/console"),
        ] {
            assert_eq!(pages.back(address, &method), page, "{method} {address}");
        }
    }
}
