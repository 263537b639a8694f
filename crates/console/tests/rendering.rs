//! Each page, rendered in both languages with names that try to be more than names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use tegata_console::{
    Dev, FormToken, Frame, Language, Section, Template, Theme, User,
    forms::{Field, Once},
    html::{Bdi, Html},
    pages::*,
};
use tegata_policy::{
    acts::TokenState,
    permission::{OperatorRole, Rights},
    rules::{ChannelType, WhenFull},
};
use tegata_token::{
    id::TokenId,
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

const NOW: UnixTime = UnixTime(1_773_496_951);
const EVIL: &str = "</bdi></title><script>alert(1)</script>\"'&\u{202e}";

fn frame(language: Language) -> Frame {
    Frame {
        language,
        theme: Theme::Dark,
        now: NOW,
        host: EVIL.to_owned(),
        here: format!("/console?q={EVIL}"),
        user: Some(User { name: EVIL.to_owned(), role: Some(OperatorRole::OnCall) }),
        sections: Section::BAR.to_vec(),
        dev: Some(Dev { ahead: 3 * DAY }),
        form_token: FormToken::new(|| "0f".to_owned()),
        notice: Some(Html::text(EVIL)),
    }
}

fn wrong() -> Field {
    Field::of(EVIL).wrong(EVIL)
}

fn once() -> Option<Once> {
    let (lead, secret, hide) = (Html::text(EVIL), EVIL.to_owned(), "/console".to_owned());
    Some(Once { heading: "New", lead, secret, hide })
}

fn channel() -> ChannelHead {
    ChannelHead {
        id: "1650000123".parse().unwrap(),
        name: EVIL.to_owned(),
        channel_type: ChannelType::MessagingApi,
        state: ChannelState::Suspended,
        provider: "2000000017".parse().unwrap(),
        provider_name: Some(EVIL.to_owned()),
        tabs: ChannelTab::ALL.to_vec(),
        acts: Acts::ALL,
    }
}

fn provider() -> ProviderHead {
    let id = "2000000017".parse().unwrap();
    ProviderHead { id, name: EVIL.to_owned(), created_at: NOW, sees_roles: true }
}

fn token(expires_at: UnixTime) -> TokenLine {
    TokenLine {
        id: TokenId([7; 16]),
        channel: Some(channel().id),
        kind: Kind::LongLived,
        group: Some("kitchen".parse().unwrap()),
        issued_at: UnixTime(NOW.0 - DAY),
        expires_at,
        last_used_at: Some(UnixTime(NOW.0 - 60)),
    }
}

fn channels() -> Vec<ChannelLine> {
    let ChannelHead { id, name, channel_type, state, .. } = channel();
    vec![ChannelLine { id, name, channel_type, state, created_at: NOW }]
}

fn alerts() -> Vec<Alert> {
    let kinds = [
        AlertKind::TokenExpires(Kind::V21),
        AlertKind::TokenUnused(Kind::ShortLived),
        AlertKind::TokenReplaced(Kind::LongLived),
        AlertKind::SecretExpires,
        AlertKind::KeyUnused,
    ];
    let alert = |what| Alert {
        channel: channel().id,
        name: EVIL.to_owned(),
        group: Some(EVIL.to_owned()),
        contact: Some(EVIL.to_owned()),
        made_at: Some(NOW),
        expires_at: Some(NOW.plus(DAY)),
        last_used_at: None,
        what,
    };
    kinds.map(alert).to_vec()
}

fn to_accept() -> ToAccept {
    ToAccept {
        login: EVIL.to_owned(),
        name: EVIL.to_owned(),
        expires_at: NOW.plus(DAY),
        invitation: EVIL.to_owned(),
        totp_secret: "ABC".to_owned(),
        codes: EVIL.to_owned(),
        password: wrong(),
        code: wrong(),
        strength: Some(1),
    }
}

fn account() -> Account {
    let person = "1000000001";
    Account {
        id: person.parse().unwrap(),
        login: EVIL.to_owned(),
        sessions: vec![(NOW, NOW.plus(DAY), true), (NOW, NOW.plus(DAY), false)],
        providers: vec![(provider().id, "Admin")],
        channels: vec![(channel().id, "Tester")],
        tokens: vec![PersonalToken {
            id: person.parse().unwrap(),
            name: EVIL.to_owned(),
            rights: Rights::Full,
            expires_at: NOW.plus(DAY),
        }],
        identity: IdentityView {
            linked: Some(LinkedAccount {
                issuer: EVIL.to_owned(),
                subject: EVIL.to_owned(),
                linked_at: NOW,
            }),
            links: true,
            wrong: Some(EVIL.to_owned()),
        },
        once: once(),
        old: wrong(),
        new: wrong(),
        token_name: wrong(),
    }
}

fn unlinked() -> Account {
    let identity = IdentityView { linked: None, links: true, wrong: None };
    Account { identity, ..account() }
}

fn people() -> Vec<PersonLine> {
    vec![PersonLine {
        seen: String::new(),
        id: "1000000001".parse().unwrap(),
        name: EVIL.to_owned(),
        login: EVIL.to_owned(),
        role: "admin",
        state: ("ok", "active"),
        invited_until: Some(NOW.plus(DAY)),
        own: true,
    }]
}

fn roles() -> Roles {
    Roles {
        change: "",
        here: "/console/people".to_owned(),
        people: people(),
        roles: vec![("admin", "Admin", "Everything."), ("member", "Member", "Sees.")],
        changes: true,
        takes: true,
        adds: true,
        links: true,
        once: once(),
        person: wrong(),
        login: wrong(),
        name: wrong(),
        commands: vec![EVIL.to_owned()],
    }
}

fn basic() -> Basic {
    let kid = "536e453c-aa93-4449-8e90-add2608783c6".parse().unwrap();
    Basic {
        seen: EVIL.to_owned(),
        head: channel(),
        created_at: NOW,
        suspended: false,
        secrets: vec![
            SecretLine { until: None, last_used_at: None },
            SecretLine { until: Some(NOW.plus(DAY)), last_used_at: Some(NOW) },
        ],
        keys: vec![KeyLine {
            id: kid,
            group: Some("kitchen".parse().unwrap()),
            created_at: NOW,
            last_used_at: None,
        }],
        acts: BasicActs {
            changes: true,
            replaces_secret: true,
            deletes_previous: true,
            sees_keys: true,
            registers_keys: true,
            deletes_keys: true,
            suspends: true,
            deletes: true,
            leaves: true,
        },
        once: once(),
        name: wrong(),
        key: wrong(),
        group: wrong(),
    }
}

fn confirm(frame: Frame) -> ConfirmPage {
    let note = Note { class: "bad", heading: Html::text(EVIL), text: Html::text(EVIL) };
    let act = ActToConfirm {
        action: "/console".to_owned(),
        hidden: vec![("keep", EVIL.to_owned())],
        drawn: Some(EVIL.to_owned()),
        notes: vec![note],
        tokens: Some(TokenTable {
            total: 3,
            rows: vec![token(NOW)],
            stateless_too: true,
            suspends: false,
        }),
        reasons: true,
        waits: true,
        takes: true,
        reason: wrong(),
        again: Some(wrong()),
        button: Html::text(EVIL),
        keep: ("/console".to_owned(), "Keep"),
        commands: vec![EVIL.to_owned()],
        alternatives: vec![("/console".to_owned(), Html::text(EVIL))],
        found: Vec::new(),
    };
    ConfirmPage::new(channel().below(frame, tegata_console::html!("{}", Bdi(EVIL)), EVIL), act)
}

fn audit() -> AuditView {
    AuditView {
        here: "/console/audit".to_owned(),
        events: vec![AuditLine {
            id: 7,
            at: NOW,
            actor: EVIL.to_owned(),
            name: Some(EVIL.to_owned()),
            source: Some(EVIL.to_owned()),
            act: "channel.suspend".to_owned(),
            channel: Some(channel().id),
            provider: None,
            reason: Some(EVIL.to_owned()),
            detail: vec![(EVIL.to_owned(), EVIL.to_owned())],
        }],
        next: Some("/console/audit?before=7".to_owned()),
        filters_channel: true,
        channel: EVIL.to_owned(),
        act: "channel.suspend".to_owned(),
        actor: EVIL.to_owned(),
        acts: vec!["channel.suspend"],
        verifies: true,
        verification: Some(Verification {
            ok: true,
            events: 1,
            checkpoints: 1,
            pending: 0,
            problems: vec![EVIL.to_owned()],
            notices: vec![EVIL.to_owned()],
            key: "00".to_owned(),
        }),
        commands: vec![EVIL.to_owned()],
    }
}

fn security() -> Security {
    Security {
        seen: EVIL.to_owned(),
        head: channel(),
        rules: "current",
        denies: false,
        group_cap: wrong(),
        own_audience_only: true,
        single_use_assertions: false,
        flags_leaks: true,
        limits: std::array::from_fn(|_| wrong()),
        changes: true,
    }
}

/// Every page, by its name.
fn pages(language: Language) -> Vec<(&'static str, String)> {
    let frame = || frame(language);
    let html = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    let messaging = MessagingApi {
        head: channel(),
        tokens: vec![token(NOW.plus(40_000 * DAY)), token(NOW.plus(DAY))],
        issues: true,
        revokes: true,
        once: once(),
        hours: wrong(),
        request: EVIL.to_owned(),
    };
    let person = PersonView {
        person: people().remove(0),
        disabled: false,
        operator: Some(OperatorRole::Auditor),
        providers: vec![(provider().id, "Admin")],
        channels: vec![(channel().id, "Tester")],
        changes: true,
        disables: true,
        tokens: account().tokens,
        deletes_tokens: true,
        identity: Some(EVIL.to_owned()),
        once: once(),
    };
    let again =
        FormAgain { action: EVIL.to_owned(), fields: vec![(EVIL.to_owned(), EVIL.to_owned())] };
    let view = ProviderView {
        seen: EVIL.to_owned(),
        head: provider(),
        channels: channels(),
        next: Some("/console".to_owned()),
        creates: true,
        renames: true,
        deletes: true,
        name: wrong(),
    };
    let overview = Overview {
        own: vec![
            OwnAlert::SigningKeyOverdue(NOW),
            OwnAlert::CertificateExpires(NOW),
            OwnAlert::BackupOld(NOW),
            OwnAlert::StoreWentBackwards(NOW),
        ],
        alerts: alerts(),
        more_alerts: true,
        searched: Some(NOW.plus(-90)),
        search: EVIL.to_owned(),
        providers: vec![ProviderLine {
            id: provider().id,
            name: EVIL.to_owned(),
            created_at: NOW,
            channels_left: Some(3),
        }],
        providers_next: Some("/console".to_owned()),
        channels: channels(),
        channels_next: None,
        creates: true,
        live: Vec::new(),
    };
    let group = ShownGroup {
        channel: channel().id,
        group: "kitchen".parse().unwrap(),
        contact: Some(EVIL.to_owned()),
        cap: 2,
        when_full: WhenFull::Deny,
        own: true,
        keys: 1,
        tokens: Vec::new(),
    };
    let settings = GroupForm { contact: wrong(), cap: wrong(), ..GroupForm::default() };
    let verifier = VerifierForm {
        name: wrong(),
        provider: wrong(),
        staleness: wrong(),
        ..VerifierForm::default()
    };
    let list = TokensView {
        channel: channel().id,
        name: EVIL.to_owned(),
        counts: Vec::new(),
        lately: Vec::new(),
        groups: Vec::new(),
        keys: Vec::new(),
        filter: Filter { state: Some(TokenState::Active), ..Filter::default() },
        rows: Vec::new(),
        next: None,
        what: "kind",
        which: wrong(),
    };
    let request = Some(EVIL.to_owned());
    let conflict = Trouble::Conflict(EVIL.to_owned());
    vec![
        ("sign-in", html(&SignInPage::new(frame(), wrong(), EVIL.to_owned()))),
        (
            "sign-in by an identity provider",
            html(
                &SignInPage::new(frame(), wrong(), EVIL.to_owned())
                    .by_identity(true)
                    .wrong_identity(EVIL.to_owned()),
            ),
        ),
        ("going on", html(&ContinuePage::new(frame(), EVIL.to_owned()))),
        ("code", html(&IdentityCodePage::new(frame(), EVIL.to_owned(), wrong()))),
        ("account to link", html(&AccountPage::new(frame(), unlinked()))),
        ("invitation", html(&InvitationPage::new(frame(), wrong()))),
        ("accept", html(&AcceptPage::new(frame(), to_accept()))),
        ("own invitation", html(&OwnInvitationPage::new(frame(), EVIL.to_owned()))),
        ("recovery codes", html(&RecoveryCodesPage::new(frame(), vec![EVIL.to_owned()], 4))),
        ("account", html(&AccountPage::new(frame(), account()))),
        ("overview", html(&OverviewPage::new(frame(), overview))),
        (
            "no provider",
            html(&OverviewPage::new(frame(), Overview { creates: true, ..Overview::default() })),
        ),
        ("provider", html(&ProviderPage::new(frame(), view))),
        ("new provider", html(&NewProviderPage::new(frame(), wrong()))),
        (
            "new channel",
            html(&NewChannelPage::new(frame(), &provider(), wrong(), ChannelType::MiniApp)),
        ),
        ("basic", html(&BasicPage::new(frame(), basic()))),
        ("messaging api", html(&MessagingApiPage::new(frame(), messaging))),
        ("security", html(&SecurityPage::new(frame(), security()))),
        (
            "security, read",
            html(&SecurityPage::new(frame(), Security { changes: false, ..security() })),
        ),
        ("roles", html(&RolesPage::new(channel().page(frame(), ChannelTab::Roles), roles()))),
        ("person", html(&PersonPage::new(frame(), person))),
        ("confirm", html(&confirm(frame()))),
        (
            "group",
            html(&GroupPage::new(channel().page(frame(), ChannelTab::Groups), group, settings)),
        ),
        ("new verifier", html(&NewVerifierPage::new(frame(), verifier))),
        ("tokens", html(&TokensPage::new(channel().page(frame(), ChannelTab::Tokens), list))),
        ("leak desk", html(&LeakDeskPage::new(frame(), Desk::TooLong))),
        ("audit", html(&AuditPage::new(channel().page(frame(), ChannelTab::Audit), audit()))),
        (
            "conflict",
            html(&ErrorPage::new(frame(), conflict, request.clone()).back(Some(EVIL.to_owned()))),
        ),
        (
            "forbidden",
            html(&ErrorPage::new(frame(), Trouble::Forbidden(vec![EVIL.to_owned()]), None)),
        ),
        (
            "not now",
            html(
                &ErrorPage::new(frame(), Trouble::NotNow(EVIL.to_owned()), request.clone())
                    .again(Some(again.clone())),
            ),
        ),
        (
            "unknown",
            html(&ErrorPage::new(frame(), Trouble::Unavailable, request).again(Some(again))),
        ),
    ]
}

/// The values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start[..]).skip(1).map(|it| it.split('"').next().unwrap()).collect()
}

fn each(check: impl Fn(&str, &str)) {
    for language in Language::ALL {
        for (name, html) in pages(language) {
            check(&format!("{name}, {}", language.code()), &html);
        }
    }
}

#[test]
fn a_name_is_never_markup() {
    each(|page, html| {
        assert!(!html.contains("<script>") && !html.contains("alert(1)</"), "{page}");
        // The one script is ours.
        assert_eq!(html.matches("<script").count(), 1, "{page}");
        assert!(!html.contains(" style=") && !html.contains("<style"), "{page}");
        assert!(!html.contains("javascript:") && !html.contains(" onclick"), "{page}");
    });
}

#[test]
fn every_element_ends_where_it_should() {
    const EMPTY: [&str; 8] = ["meta", "link", "input", "path", "circle", "rect", "line", "br"];
    each(|page, html| {
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1).map(|it| it.split('>').next().unwrap()) {
            let name = tag.split([' ', '\n']).next().unwrap();
            if let Some(ended) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(ended), "{page}");
            } else if !name.starts_with('!') && !EMPTY.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{page}: {open:?}");
    });
}

#[test]
fn every_id_is_there_once_and_every_reference_leads_somewhere() {
    each(|page, html| {
        let ids = values(html, "id");
        let unique: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{page}: {ids:?}");
        for attribute in ["for", "aria-labelledby", "aria-describedby", "data-copy"] {
            for value in values(html, attribute).iter().flat_map(|it| it.split(' ')) {
                assert!(unique.contains(value), "{page}: {attribute} {value}");
            }
        }
    });
}

#[test]
fn every_input_has_a_name_for_those_who_do_not_see_it() {
    each(|page, html| {
        let labelled: BTreeSet<_> = values(html, "for").into_iter().collect();
        for kind in ["<input ", "<select ", "<textarea "] {
            for tag in html.split(kind).skip(1).map(|it| it.split('>').next().unwrap()) {
                let tag = format!(" {tag}");
                let hidden = tag.contains(" type=\"hidden\"");
                let named = values(&tag, "id").first().is_some_and(|it| labelled.contains(it));
                assert!(hidden || named, "{page}: {tag}");
            }
        }
    });
}

#[test]
fn a_page_whose_form_was_not_accepted_begins_with_a_summary_that_leads_to_each_field() {
    let (mut forms, mut fields) = (0, 0);
    for language in Language::ALL {
        let title = format!("<title>{}", language.texts().error.in_title);
        for (page, html) in pages(language) {
            let has_wrong = html.contains(" aria-invalid=\"true\"") || html.contains("wrong-text");
            let summary = html.split("tabindex=\"-1\" autofocus>").nth(1);
            assert_eq!(summary.is_some(), has_wrong, "{page}");
            assert_eq!(html.contains(&title), has_wrong, "{page}");
            let Some(summary) = summary else { continue };
            forms += 1;
            assert_eq!(html.matches("autofocus").count(), 1, "{page}");
            let links = values(summary.split("</section>").next().unwrap(), "href");
            let ids = values(&html, "id");
            for link in &links {
                assert!(ids.contains(&&link[1..]), "{page}: {link}");
            }
            // Each field that is marked is in it, and says what is wrong with it.
            for tag in html.split('<').filter(|it| it.contains(" aria-invalid=\"true\"")) {
                let id = values(tag, "id")[0];
                assert!(links.contains(&&*format!("#{id}")), "{page}: {id} in {links:?}");
                let described = values(tag, "aria-describedby");
                assert!(
                    described.iter().any(|it| it.contains("-e") || *it == "wrong"),
                    "{page}: {id}"
                );
                fields += 1;
            }
        }
    }
    assert!(forms >= 26 && fields >= 40, "{forms} forms with {fields} fields");
}

#[test]
fn a_person_who_is_named_as_the_role_is_shown_once() {
    for language in Language::ALL {
        let role = (language.texts().frame.role)(OperatorRole::Administrator);
        for (name, count) in [(role, 1), ("Mika", 2)] {
            let user = User { name: name.to_owned(), role: Some(OperatorRole::Administrator) };
            let frame = Frame { user: Some(user), ..frame(language) };
            let html = NewProviderPage::new(frame, Field::default()).render().unwrap();
            let me = html.split("<div class=\"me\">").nth(1).unwrap().split("</span>").next();
            let shown = me.unwrap();
            assert_eq!(shown.contains(role) as usize + shown.contains("Mika") as usize, count);
            assert_eq!(shown.matches(role).count(), 1, "{shown}");
        }
    }
}

#[test]
fn the_pages_before_the_sign_in_do_not_show_the_version() {
    for language in Language::ALL {
        let frame = Frame { user: None, ..frame(language) };
        let html = SignInPage::new(frame, Field::default(), String::new()).render().unwrap();
        assert!(!html.contains(env!("CARGO_PKG_VERSION")));
    }
}
