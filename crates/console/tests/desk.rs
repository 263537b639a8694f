//! Renders the pages of tokens, groups, leaks, receipts and verifiers, and reads what they
//! show.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tegata_console::{
    FormToken, Frame, Language, Template, Theme, User,
    forms::Field,
    pages::{
        Acts, AuditLine, ChannelHead, ChannelTab, Desk, Expiring, Filter, Found, FoundToken,
        GroupsPage, InstanceStanding, KindCount, LeakDeskPage, LeakedToken, OtherSecrets, PageHead,
        ReceiptPage, RunningInstance, ShownExpiries, ShownGroup, ShownInstance, ShownMinute,
        ShownReceipt, ShownToken, ShownVerifier, TokenPage, TokensPage, TokensView, VerifiersPage,
        activity, calendar,
    },
};
use tegata_policy::{
    acts::{RevocationCause, TokenState},
    idle::{Idle, IdleUnknown},
    rules::{ChannelType, WhenFull},
};
use tegata_token::{
    feed::OnStale,
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, TokenId, VerifierId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::ChannelState,
};

/// 14 March 2026, 14:02:31 UTC.
const NOW: UnixTime = UnixTime(1_773_496_951);

const EVIL: &str = "\u{5d0}<script>alert(1)</script>\"'";

fn frame(language: Language) -> Frame {
    Frame {
        language,
        theme: Theme::System,
        now: NOW,
        host: "tokens.example.com".to_owned(),
        here: "/console".to_owned(),
        user: Some(User { name: EVIL.to_owned(), role: None }),
        sections: Vec::new(),
        dev: None,
        form_token: FormToken::new(|| "0f".to_owned()),
        notice: None,
    }
}

fn channel() -> ChannelId {
    ChannelId::from_number(1_650_000_123).unwrap()
}

fn page(language: Language, tab: ChannelTab) -> PageHead {
    let head = ChannelHead {
        id: channel(),
        name: EVIL.to_owned(),
        channel_type: ChannelType::MessagingApi,
        state: ChannelState::Active,
        provider: ProviderId::from_number(1_000_000_000).unwrap(),
        provider_name: Some(EVIL.to_owned()),
        tabs: ChannelTab::ALL.to_vec(),
        acts: Acts::ALL,
    };
    head.page(frame(language), tab)
}

fn group(name: &str) -> Group {
    name.parse().unwrap()
}

/// A v2.1 token of group blue.
fn token(number: u8, issued: i64, expires: i64, used: Option<i64>) -> ShownToken {
    ShownToken {
        channel: channel(),
        id: TokenId([number; 16]),
        kind: Kind::V21,
        group: Some(group("blue")),
        key: None,
        state: TokenState::Active,
        issued: NOW.plus(issued * DAY),
        expires: NOW.plus(expires * DAY),
        used: used.map(|seconds| NOW.plus(-seconds)),
        revocation: None,
        by: None,
        by_name: None,
        reason: None,
        idle: Idle::No,
    }
}

fn tokens(rows: Vec<ShownToken>) -> TokensView {
    TokensView {
        channel: channel(),
        name: EVIL.to_owned(),
        counts: vec![KindCount {
            kinds: vec![Kind::V21],
            active: 27,
            cap: Ok((30, WhenFull::Deny)),
            previous: None,
        }],
        lately: rows.clone(),
        groups: vec![group("blue")],
        keys: vec![AssertionKeyId([9; 16])],
        filter: Filter::default(),
        rows,
        next: None,
        what: "group",
        which: Field::default(),
    }
}

fn rendered(page: &impl Template) -> String {
    let html = page.render().unwrap();
    assert!(!html.contains("<script>alert"), "what people chose stays text: {html}");
    for open in ["section", "article", "table", "form", "div", "svg", "ol", "ul", "dl"] {
        let opened =
            html.matches(&format!("<{open}>")).count() + html.matches(&format!("<{open} ")).count();
        assert_eq!(opened, html.matches(&format!("</{open}>")).count(), "{open} in {html}");
    }
    assert!(!html.contains(" style=") && !html.contains(" onclick="), "no inline style or script");
    html
}

#[track_caller]
fn shows(html: &str, texts: &[&str]) {
    for text in texts {
        assert!(html.contains(text), "no `{text}` in {html}");
    }
}

#[test]
fn the_tokens_of_a_channel_are_counted_drawn_and_listed() {
    let rows = || vec![token(1, -28, 2, Some(240)), token(2, -6, 24, None)];
    let en = rendered(&TokensPage::new(page(Language::En, ChannelTab::Tokens), tokens(rows())));
    shows(
        &en,
        &[
            "aria-label=\"27 of 30 tokens\"",
            "<div class=\"count warn\">",
            "A 31st token is denied.",
            "aria-label=\"blue: 2 active tokens; expires in 2 days, last used 4 minutes ago; \
         expires in 24 days, never used\"",
            "<p>older token in use, expires in 2 days</p>",
            "channel secret",
        ],
    );
    let ja = rendered(&TokensPage::new(page(Language::Ja, ChannelTab::Tokens), tokens(rows())));
    shows(
        &ja,
        &["上限30件のうち27件", "有効期限は2日後、最終使用は4分前", "31件目の発行は拒否されます。"],
    );
}

#[test]
fn a_revoked_token_shows_cause_and_time_and_has_no_button() {
    let revoked = ShownToken {
        state: TokenState::Revoked,
        revocation: Some((RevocationCause::Evicted, NOW.plus(-DAY))),
        ..token(1, -20, 10, None)
    };
    let it = tokens(vec![revoked]);
    let html = rendered(&TokensPage::new(page(Language::En, ChannelTab::Tokens), it));
    shows(&html, &["evicted 13 Mar 14:02", "class=\"cut\"", "<tr role=\"row\" class=\"past\">"]);
    assert!(!html.contains("what=token"), "nothing is left to revoke: {html}");
}

#[test]
fn the_previous_long_lived_token_expires_and_the_current_one_does_not() {
    let life = Kind::LongLived.life().longest();
    let long = |number, seconds| ShownToken {
        kind: Kind::LongLived,
        group: None,
        expires: NOW.plus(seconds),
        ..token(number, -1, 0, None)
    };
    let (previous, current) = (long(1, 70_000), long(2, life - DAY));
    assert!(previous.is_previous() && previous.expiry().is_some());
    assert!(!current.is_previous() && current.expiry().is_none());
    let it = tokens(vec![current, previous]);
    let html = rendered(&TokensPage::new(page(Language::En, ChannelTab::Tokens), it));
    shows(&html, &["previous token", "does not expire, never used", "expires in 19 hours"]);
}

fn leaked(token: ShownToken, others: Vec<ShownToken>) -> LeakedToken {
    LeakedToken {
        token,
        channel: Some(EVIL.to_owned()),
        provider: Some(EVIL.to_owned()),
        contact: Some(EVIL.to_owned()),
        why: "valid",
        uses: Vec::new(),
        others,
        others_more: 0,
        times: 1,
        revokes: true,
    }
}

#[test]
fn the_leak_desk_offers_the_smallest_scope_first_and_names_who_is_affected() {
    let one = leaked(token(1, -28, 2, Some(240)), vec![token(2, -6, 24, None)]);
    let found = Found { tokens: vec![one], length: 300, ..Found::default() };
    let html = rendered(&LeakDeskPage::new(frame(Language::En), Desk::Found(found)));
    shows(&html, &["still accepted", "Clients of group <bdi>blue</bdi>"]);
    shows(&html, &["is newer and has never been used: deploy it"]);
    let scopes = ["what=token", "what=group", "what=kind", "what=all"];
    let places = scopes.map(|it| html.find(it).unwrap_or_else(|| panic!("no {it} in {html}")));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn the_pages_after_the_leak_desk_keep_the_other_tokens_that_were_found() {
    let all = [token(1, -28, 2, None), token(2, -6, 24, None)];
    let stateless = ShownToken { kind: Kind::Stateless, ..token(3, 0, 1, None) };
    let over = ShownToken { state: TokenState::Expired, ..token(4, -40, -10, None) };
    let tokens: Vec<_> = all.into_iter().chain([stateless.clone(), over]).collect();
    let tokens = tokens.into_iter().map(|it| leaked(it, Vec::new())).collect();
    let found = Found { tokens, ..Found::default() };
    let html = rendered(&LeakDeskPage::new(frame(Language::En), Desk::Found(found)));
    let [one, two] =
        [1, 2].map(|it| FoundToken { channel: channel(), id: TokenId([it; 16]), expires: None });
    let three = FoundToken { id: stateless.id, expires: Some(stateless.expires), ..one };
    let text = |href: &str| href.replace('&', "&amp;");
    let first = format!("revoke?what=token&which={}&found={two},{three}\"", one.id);
    let last = format!("&found={one},{two}\"");
    shows(&html, &[&text(&first), &text(&last), &format!("/suspend?found={two},{three}\"")]);
    for language in Language::ALL {
        let page = PageHead::new(frame(language), None, "Receipt");
        let page = ReceiptPage::new(page, receipt(&[], true)).found(vec![two, three]);
        let html = rendered(&page);
        let page = format!("href=\"/console/channels/{}/tokens/{}\"", channel(), two.id);
        let revoke = format!("revoke?what=token&which={}&found={three}\"", two.id);
        shows(&html, &[language.texts().leak_desk.others_found, &page, &text(&revoke)]);
        shows(&html, &[&format!("href=\"/console/receipts/1-4208?found={two},{three}\"")]);
    }
}

#[test]
fn the_other_tokens_of_one_without_a_group_are_those_without_a_group() {
    for language in Language::ALL {
        let t = &language.texts().token;
        for (group, heading, none) in [
            (Some(group("blue")), t.others, t.no_others),
            (None, t.others_without, t.no_others_without),
        ] {
            let one = |it: u8| ShownToken { group: group.clone(), ..token(it, -6, 24, None) };
            let desk = leaked(one(1), vec![one(2)]);
            let found = Found { tokens: vec![desk], ..Found::default() };
            let html = rendered(&LeakDeskPage::new(frame(language), Desk::Found(found)));
            shows(&html, &[&format!(">{heading}</h2>")]);
            let page = page(language, ChannelTab::Tokens);
            let page = TokenPage::new(page, one(1), None, Vec::new(), Vec::new());
            shows(&rendered(&page), &[&format!(">{heading}</h2>"), none]);
        }
    }
}

#[test]
fn a_receipt_says_what_was_revoked_of_which_channel_by_whom_and_why() {
    let about = AuditLine {
        id: 7,
        at: NOW,
        actor: "person 1000000001".to_owned(),
        name: Some(EVIL.to_owned()),
        source: None,
        act: "token.revoke".to_owned(),
        channel: Some(channel()),
        provider: None,
        reason: Some("found in a log".to_owned()),
        detail: vec![("token".to_owned(), "AAAA".to_owned())],
    };
    let page = PageHead::new(frame(Language::En), None, "Receipt");
    let html = rendered(&ReceiptPage::new(page, receipt(&[], true)).about(Some(about)));
    let audit = format!("/console/audit?act=token.revoke&#38;channel={}", channel());
    let channel = format!("/console/channels/{}", channel());
    shows(&html, &["What was changed", "<code>token.revoke</code>", "<code>token</code>"]);
    shows(&html, &["found in a log", "person 1000000001", "AAAA", &audit, &channel]);
}

#[test]
fn the_person_who_revoked_a_token_is_named() {
    let one = ShownToken {
        state: TokenState::Revoked,
        revocation: Some((RevocationCause::Requested, NOW)),
        by: Some("person 1000000001".to_owned()),
        by_name: Some("Mika".to_owned()),
        ..token(1, -40, 10, None)
    };
    let named = "<bdi>Mika</bdi><span class=\"sub\"><bdi>person 1000000001</bdi></span>";
    let desk = leaked(one.clone(), Vec::new());
    let found = Found { tokens: vec![desk], ..Found::default() };
    shows(&rendered(&LeakDeskPage::new(frame(Language::En), Desk::Found(found))), &[named]);
    let page = page(Language::En, ChannelTab::Tokens);
    shows(&rendered(&TokenPage::new(page, one, None, Vec::new(), Vec::new())), &[named]);
}

#[test]
fn a_token_that_is_not_accepted_any_more_needs_no_revocation() {
    let one = ShownToken { state: TokenState::Expired, ..token(1, -40, -10, None) };
    let one = LeakedToken { why: "expired", ..leaked(one, Vec::new()) };
    let found = Found { tokens: vec![one], ..Found::default() };
    let html = rendered(&LeakDeskPage::new(frame(Language::En), Desk::Found(found)));
    shows(&html, &["Expired token", "not accepted", "No action is needed."]);
    assert!(!html.contains("what=token"), "{html}");
}

#[test]
fn the_leak_desk_says_what_else_was_in_the_text() {
    let others = OtherSecrets { key: true, ..OtherSecrets::default() };
    let found = Found { foreign: 2, forbidden: 2, more: 3, others, ..Found::default() };
    let html = rendered(&LeakDeskPage::new(frame(Language::En), Desk::Found(found)));
    shows(&html, &["2 tokens are not of this server", "3 more tokens", "A private key:"]);
    shows(&html, &["2 tokens are of channels whose tokens you may not read"]);
    for language in Language::ALL {
        rendered(&LeakDeskPage::new(frame(language), Desk::Start));
        rendered(&LeakDeskPage::new(frame(language), Desk::TooLong));
    }
}

fn receipt(states: &[InstanceStanding], complete: bool) -> ShownReceipt {
    let instance = |state: &InstanceStanding| ShownInstance {
        verifier: EVIL.to_owned(),
        instance: "7f3a91c2".to_owned(),
        state: *state,
        acknowledged: (*state == InstanceStanding::Acknowledged).then_some(NOW),
        detail: None,
    };
    ShownReceipt {
        position: Position { epoch: 1, number: 4_208 },
        effective: NOW,
        complete,
        instances: states.iter().map(instance).collect(),
    }
}

#[test]
fn a_receipt_shows_each_instance_and_follows_until_it_is_complete() {
    use InstanceStanding::{Acknowledged, LeaseExpired, MayStillAccept, Waiting};
    let page = || PageHead::new(frame(Language::En), None, "Receipt");
    let pending = receipt(&[Acknowledged, LeaseExpired, Waiting, MayStillAccept], false);
    let html = rendered(&ReceiptPage::new(page(), pending));
    shows(
        &html,
        &[
            "<span class=\"stamp warn\">Pending</span>",
            "2 of 4 instances can no longer accept it.",
            "data-follow=\"/console/receipts/1-4208/events\"",
            "<span class=\"tag bad\">may still accept</span>",
            "Stop this instance or block its traffic.",
            "Show again",
            "/console/receipts/1-4208/signed",
            "tegata receipt show <span>1-4208</span>",
        ],
    );
    let html = rendered(&ReceiptPage::new(page(), receipt(&[Acknowledged], true)));
    shows(&html, &["<span class=\"stamp\">Complete</span>", "14:02:31"]);
    assert!(!html.contains("data-follow"), "{html}");
    let html = rendered(&ReceiptPage::new(page(), receipt(&[], true)));
    shows(&html, &["No verifier had to apply it"]);
}

fn shown_group(tokens: Vec<ShownToken>) -> ShownGroup {
    ShownGroup {
        channel: channel(),
        group: group("blue"),
        contact: Some(EVIL.to_owned()),
        cap: 2,
        when_full: WhenFull::EvictOldest,
        own: false,
        keys: 1,
        tokens,
    }
}

#[test]
fn a_rotation_is_at_its_second_step_until_the_older_token_is_idle() {
    let groups = |idle| {
        let older = ShownToken { idle, ..token(1, -28, 2, Some(7_200)) };
        let group = shown_group(vec![token(2, -6, 24, Some(60)), older]);
        let page = page(Language::En, ChannelTab::Groups);
        rendered(&GroupsPage::new(page, channel(), vec![group]))
    };
    let waiting = groups(Idle::No);
    shows(&waiting, &["<li class=\"now\"><h3>Wait until the older token is idle</h3>"]);
    shows(&waiting, &["Revoking it now can interrupt <bdi>blue</bdi>."]);
    let idle = groups(Idle::Since(NOW.plus(-7_200)));
    shows(&idle, &["<li class=\"now\"><h3>Revoke the older token</h3>", "It is no longer used."]);
    shows(&idle, &["The older token is idle since"]);
    let unknown = groups(Idle::Unknown(IdleUnknown::ReportsMissing));
    shows(&unknown, &["Whether it is idle is not known", "can interrupt <bdi>blue</bdi>"]);
}

#[test]
fn a_single_token_near_its_expiry_has_no_replacement_and_a_free_slot() {
    let group = shown_group(vec![token(1, -28, 2, None)]);
    let page = page(Language::En, ChannelTab::Groups);
    let html = rendered(&GroupsPage::new(page, channel(), vec![group]));
    shows(&html, &["no replacement", "<div class=\"slot free\">free</div>"]);
    shows(&html, &["tegata token issue", "tegata token list", "tegata token revoke"]);
}

#[test]
fn a_verifier_shows_which_instances_follow() {
    let instance = |lease, on_stale| RunningInstance {
        id: "7f3a91c2".to_owned(),
        address: Some([192, 0, 2, 7].into()),
        on_stale,
        position: None,
        age: 3,
        lease,
        cannot: None,
        faulty: false,
    };
    let verifier = ShownVerifier {
        id: VerifierId::from_number(1_234_567_890).unwrap(),
        name: EVIL.to_owned(),
        provider: None,
        max_staleness: 60_000,
        allow: true,
        created: NOW,
        instances: vec![
            instance(57, OnStale::Deny),
            instance(0, OnStale::Deny),
            instance(0, OnStale::Allow),
        ],
    };
    for language in Language::ALL {
        rendered(&VerifiersPage::new(frame(language), Vec::new(), Acts::ALL));
    }
    let html = rendered(&VerifiersPage::new(frame(Language::En), vec![verifier], Acts::ALL));
    shows(
        &html,
        &[
            "follows",
            "57 seconds left",
            "lease expired",
            "may still accept",
            "1 minute",
            "192.0.2.7",
        ],
    );
}

#[test]
fn the_calendar_counts_the_expiries_of_each_day_and_lists_the_next() {
    let channel = || EVIL.to_owned();
    let expiring =
        |number: u8, days| Expiring { token: token(number, -5, days, None), channel: channel() };
    let mut days = [0; 30];
    (days[1], days[9]) = (1, 2);
    let next = vec![expiring(1, 1), expiring(2, 9), expiring(3, 9)];
    let mut all = ShownExpiries { days, next, at_least: false };
    let html = calendar(&frame(Language::En), &all).to_string();
    shows(&html, &["3 tokens expire in the next 30 days, the first in 1 day."]);
    assert_eq!(html.matches("<rect").count(), 2, "two days have expiries: {html}");
    assert_eq!(html.matches("class=\"elapsed warn\"").count(), 1, "one within 3 days: {html}");
    assert_eq!(html.matches("<th role=\"rowheader\"").count(), 3);
    assert!(!html.contains("<script>"), "{html}");
    all.at_least = true;
    let cut = calendar(&frame(Language::Ja), &all).to_string();
    let none = ShownExpiries { days: [0; 30], next: vec![expiring(4, 31)], at_least: false };
    let none = calendar(&frame(Language::En), &none).to_string();
    shows(&none, &["No token expires in the next 30 days."]);
    shows(&cut, &["今後30日間に3件", "最初の3件のみ"]);
}

#[test]
fn activity_sums_the_last_hour_and_draws_its_minutes() {
    let minute = |ago: i64, verified| ShownMinute {
        minute: NOW.plus(-ago * 60),
        verified,
        rejected: 1,
        issued: 0,
    };
    let all = [minute(90, 1_000), minute(59, 3), minute(1, 4)];
    let html = activity(&frame(Language::En), &all).to_string();
    shows(&html, &["9 verifications: 7 of active tokens, 2 rejected. 0 tokens issued."]);
    assert_eq!(html.matches("<rect").count(), 2, "the older minute is left out: {html}");
}
