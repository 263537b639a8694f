//! The leak desk: finds the tokens in a text, and shows whose they are. Their texts are
//! neither shown nor logged; what follows names them by their ids.

use super::{
    Answer,
    audit::actor_name,
    failure::Failure,
    render, render_wrong,
    sent::Sent,
    shown,
    visit::{SignedIn, may},
};
use crate::authority::admin::{self, Explanation};
use std::collections::HashMap;
use tegata_console::pages::{Desk, Found, FoundToken, LeakDeskPage, LeakedToken, OtherSecrets};
use tegata_policy::{
    permission::Permission,
    secret::{PlainSecret, sha256},
};
use tegata_scan::{Finder, FoundSecret, search};
use tegata_token::feed::LONGEST_USAGE;

/// The longest text that is searched: 1 MiB, as in reports of leaked tokens.
const LONGEST: usize = 1 << 20;

/// The longest body of a form with such a text, in which a byte can take three.
pub const LONGEST_FORM: usize = 3 * LONGEST + 1024;

/// Tokens that are looked up for one page.
const LOOKED_UP: usize = 1_000;

const _: () = assert!(LONGEST_USAGE < LONGEST_FORM, "this is the longest body");

/// The form.
pub async fn start(who: SignedIn) -> Answer {
    render(&LeakDeskPage::new(who.frame(), Desk::Start))
}

/// Finds the tokens in a text.
pub async fn look_up(who: SignedIn, sent: Sent) -> Answer {
    let form = sent.form()?;
    let text = form.get("text").unwrap_or_default();
    if text.len() > LONGEST {
        return render_wrong(&LeakDeskPage::new(who.frame(), Desk::TooLong));
    }
    let (length, text) = (text.chars().count(), PlainSecret::from_caller(text.to_owned()));
    let (tokens, others) = who.admin.search(move || secrets(text.reveal())).await??;
    let mut found = Found { others, length, ..Found::default() };
    let mut left = tokens.into_iter();
    for (token, times) in left.by_ref().take(LOOKED_UP) {
        match who.admin.explain(token.reveal()).await {
            Ok(known) => found.tokens.push(leaked(&who, &known, times)),
            Err(admin::Error::NotOurToken) => found.foreign += 1,
            // Of a channel that the person sees; the other tokens may be the person's to revoke.
            Err(admin::Error::Forbidden { .. }) => found.forbidden += 1,
            Err(error) => return Err(error.into()),
        }
        if found.tokens.len() == FoundToken::MOST {
            break;
        }
    }
    found.more = left.len();
    render(&LeakDeskPage::new(who.frame(), Desk::Found(found)))
}

/// The different tokens in a text, with how often each is in it, and the other secrets.
fn secrets(text: &str) -> Result<(Vec<(PlainSecret, usize)>, OtherSecrets), Failure> {
    let finder = Finder::new().map_err(|error| Failure::internal(&error))?;
    let (mut tokens, mut others) = (Vec::new(), OtherSecrets::default());
    let mut by_hash: HashMap<[u8; 32], usize> = HashMap::new();
    search(&finder, text.as_bytes(), &mut |secret| match secret {
        FoundSecret::Token(_, text) => {
            let at = *by_hash.entry(sha256(&[text])).or_insert(tokens.len());
            if at == tokens.len() {
                // Its form was checked, so it is ASCII.
                let text = String::from_utf8_lossy(text).into_owned();
                tokens.push((PlainSecret::from_caller(text), 0));
            }
            tokens[at].1 += 1;
        }
        FoundSecret::AdminToken => others.admin = true,
        FoundSecret::VerifierToken => others.verifier = true,
        FoundSecret::PersonToken => others.person = true,
        FoundSecret::PrivateJwk(_) | FoundSecret::PrivatePem(_) => others.key = true,
        FoundSecret::Packed(_) => others.packed = true,
    });
    Ok((tokens, others))
}

fn leaked(who: &SignedIn, it: &Explanation, times: usize) -> LeakedToken {
    let around = &it.around;
    let provider = around.channel.as_ref().map(|it| it.provider);
    let mut token = shown::token(it.channel, &it.token);
    // A token without a row has them in the event alone.
    if let Some(event) = &it.event {
        let reason = || event.detail["reason"].as_str().map(str::to_owned);
        token.reason = token.reason.take().or_else(reason);
        token.by.get_or_insert_with(|| event.actor.clone());
    }
    token.by_name = token.by.as_deref().and_then(|it| actor_name(who, it));
    LeakedToken {
        channel: around.channel.as_ref().map(|it| it.name.clone()),
        provider: around.provider.as_ref().map(|it| it.name.clone()),
        contact: around.contact(it.token.group.as_ref()).map(str::to_owned),
        why: it.why.code(),
        uses: shown::uses(&it.recent_uses),
        others: around.group_tokens.iter().map(|row| shown::token(it.channel, row)).collect(),
        others_more: around.group_tokens_more,
        revokes: may(who, Permission::RevokeTokens, provider, Some(it.channel)),
        token,
        times,
    }
}
