//! Reports of leaked tokens: what a report does is the setting of each token's channel.

use super::facade::{Admin, Result};
use crate::authority::{
    actor::{Actor, Reporter},
    warnings::leak::{LeakWarning, RenderLeak},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use tegata_policy::{
    acts::ReportLeaks,
    channel::{Channel, OnLeak},
    denied::Denied,
    permission::Permission,
    secret::PlainSecret,
};
use tegata_store::{Error as StoreError, NewWarning, Taking};
use tegata_token::{
    claims::Claims,
    id::ChannelId,
    verify::{Invalid, verify_claims},
    view::View,
};
use tokio::task::JoinSet;

/// The text of a token that leaked, and where it was found.
#[derive(Debug)]
pub struct LeakedText {
    /// The text.
    pub text: PlainSecret,
    /// The address, from an authenticated reporter; never with a token in it.
    pub found_at: Option<String>,
}

/// What came of a report.
#[derive(Debug)]
pub struct HandledReport {
    /// For each text, whether this authority signed it.
    pub ours: Vec<bool>,
    /// When all signatures were checked, and the acts began.
    pub acts_began: Instant,
}

/// The tokens of one channel that a report names, and that are not invalid already.
#[derive(Default)]
struct Leaks {
    tokens: Vec<Claims>,
    found_at: Vec<String>,
}

/// The reason that the rows of revoked tokens and the audit have.
const REASON: &str = "reported as leaked";

/// Maximum number of addresses that one event of the audit has.
const ADDRESSES: usize = 10;

/// Maximum number of tokens of one channel and report that warnings name.
const WARNINGS: usize = 20;

impl Admin {
    /// Handles a report: revokes or flags each token that this authority signed and that can
    /// still be used, all tokens of a channel in one act, the acts of all channels together.
    /// `render` renders warnings.
    ///
    /// # Errors
    /// [`Unavailable`](StoreError::Unavailable): some may be revoked; repeating the report
    /// revokes the others.
    pub async fn report_leaks(
        &self,
        leaked: Vec<LeakedText>,
        render: RenderLeak,
    ) -> Result<HandledReport> {
        self.may(Permission::ReportLeaks)?;
        let leaked = Arc::new(leaked);
        let mut since = self.authority.mark();
        let mut read = self.read_all(&leaked).await?;
        let is_new = |it: &std::result::Result<Claims, Invalid>| *it == Err(Invalid::UnknownKey);
        // Another server may have added the key.
        if self.authority.decide_again(read.iter().any(is_new)).await? {
            since = self.authority.mark();
            read = self.read_all(&leaked).await?;
        }
        let read = self.authority.current(since, read)?;
        let ours = read.iter().map(std::result::Result::is_ok).collect();
        let found_at = leaked.iter().map(|it| it.found_at.as_ref());
        let acts_began = self.authority.clock().steady();
        let mut acts = JoinSet::new();
        let view = self.authority.view();
        let (usable, some_revoked) = self.usable(&view, read.into_iter().zip(found_at));
        for (channel, leaks) in usable {
            let own = self.clone();
            acts.spawn(async move { own.report_of(channel, leaks, render).await });
        }
        let (mut warnings, mut failed) = (Vec::new(), None);
        while let Some(done) = acts.join_next().await {
            match done {
                Ok(Ok(new)) => warnings.extend(new),
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => {
                    failed = Some(StoreError::Unavailable(panic.to_string().into()).into());
                }
            }
        }
        self.queue(warnings).await;
        if some_revoked {
            // The acts that revoked them may still wait for other servers.
            self.authority.store().in_force(view.position()).await;
        }
        failed.map_or(Ok(HandledReport { ours, acts_began }), Err)
    }

    /// Checks the signatures, apart from the threads that serve connections: there may be a
    /// thousand.
    async fn read_all(
        &self,
        leaked: &Arc<Vec<LeakedText>>,
    ) -> Result<Vec<std::result::Result<Claims, Invalid>>> {
        let (authority, leaked) = (self.authority.clone(), leaked.clone());
        let read = move || {
            let texts = leaked.iter().map(|it| it.text.reveal().as_bytes());
            texts.map(|text| authority.read_now(text)).collect()
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|panic| StoreError::Unavailable(panic.to_string().into()).into())
    }

    /// The tokens that can still be used, by channel, and whether another one is revoked. One that
    /// is, or has expired, needs nothing: the holder of such a token can repeat a report, which
    /// must not cost a commit each time.
    fn usable<'a>(
        &self,
        view: &View,
        read: impl Iterator<Item = (std::result::Result<Claims, Invalid>, Option<&'a String>)>,
    ) -> (BTreeMap<ChannelId, Leaks>, bool) {
        let (now, mut some_revoked) = (self.authority.now(), false);
        let mut by_channel: BTreeMap<ChannelId, Leaks> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (claims, found_at) in read {
            let Ok(claims) = claims else { continue };
            let verdict = verify_claims(&claims, now, view);
            if let Err(Invalid::Expired | Invalid::Revoked(_)) = verdict {
                some_revoked |= verdict != Err(Invalid::Expired);
                continue;
            }
            let leaks = by_channel.entry(claims.channel).or_default();
            if let Some(place) = found_at
                && leaks.found_at.len() < ADDRESSES
                && !leaks.found_at.contains(place)
            {
                leaks.found_at.push(place.clone());
            }
            if seen.insert(claims.id) {
                leaks.tokens.push(claims);
            }
        }
        (by_channel, some_revoked)
    }

    /// Reports the leaked tokens of one channel; returns the warnings about them.
    async fn report_of(
        &self,
        channel: ChannelId,
        mut leaks: Leaks,
        render: RenderLeak,
    ) -> Result<Vec<NewWarning>> {
        let (authority, steady) = (&self.authority, self.authority.clock().steady());
        let Some(of) = authority.channel(channel).await? else { return Ok(Vec::new()) };
        let is_signed = self.actor != Actor::Reporter(Reporter::Unsigned);
        if of.on_leak == OnLeak::Flag {
            leaks.tokens.retain(|it| !authority.limits.is_known_leak(it.id, is_signed, steady));
        }
        if leaks.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let by = self.by_reason(Some(REASON.to_owned()));
        let Leaks { tokens, found_at } = leaks;
        let act = ReportLeaks {
            channel,
            tokens: tokens.clone(),
            found_at: found_at.clone(),
            all_if_full: is_signed,
            by,
        };
        match authority.store().take(Taking::Leaks(act)).await {
            Ok(_) if of.on_leak == OnLeak::Revoke => {
                authority.metrics().revocations.leak.inc();
            }
            Ok(_) => {
                tokens.iter().for_each(|it| authority.limits.note_leak(it.id, is_signed, steady))
            }
            // Until some of the revoked ones have expired.
            Err(StoreError::Denied(denied @ Denied::TooManyStatelessRevocations)) => {
                return Err(StoreError::Unavailable(denied.to_string().into()).into());
            }
            // The channel was deleted meanwhile, which revoked all its tokens.
            Err(
                StoreError::NotFound(_)
                | StoreError::Denied(Denied::NotFound | Denied::UnknownChannel),
            ) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        Ok(self.warnings_about(&of, &tokens, (is_signed, found_at.first()), render))
    }

    /// The warnings about leaked tokens, if there is a webhook to send them to.
    fn warnings_about(
        &self,
        of: &Channel,
        tokens: &[Claims],
        (is_signed, found_at): (bool, Option<&String>),
        render: RenderLeak,
    ) -> Vec<NewWarning> {
        if self.authority.webhook().is_none() {
            return Vec::new();
        }
        let now = self.authority.now();
        let warning = |it| LeakWarning::new(it, of.on_leak, found_at.cloned(), now);
        let tokens = tokens.iter().take(WARNINGS);
        tokens.map(|it| warning(it).to_send(of, is_signed, render)).collect()
    }

    /// Queues warnings. The tokens are handled by then, so a failure fails no report.
    async fn queue(&self, warnings: Vec<NewWarning>) {
        if warnings.is_empty() {
            return;
        }
        let now = self.authority.now();
        if let Err(error) = self.authority.store().queue_warnings(warnings, now).await {
            tracing::error!(%error, "the warnings about leaked tokens were not queued");
        }
    }
}
