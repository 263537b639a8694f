//! What a history must not show. Pure: the times of requests and responses go in, by one
//! clock, and the contradictions come out.

use std::collections::BTreeMap;

/// A channel and a serial.
pub type TokenOf = (u64, u64);

/// What a client requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A short-lived token for a group that holds two and denies a third.
    Issue {
        channel: u64,
        group: u8,
    },
    /// A long-lived token, which revokes the one before.
    Reissue {
        channel: u64,
    },
    Revoke(TokenOf),
    Verify(TokenOf),
    /// One of at most two assertion keys.
    Register {
        channel: u64,
        key: u64,
    },
    Delete {
        channel: u64,
        key: u64,
    },
}

/// What the client learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learnt {
    /// The serial of the new token.
    Issued(u64),
    Done,
    Denied,
    Valid,
    Invalid,
    /// 503, or no response.
    Unknown,
}

/// One request, with the moments before it was sent and after it was answered.
#[derive(Debug, Clone)]
pub struct Event {
    pub replica: usize,
    pub begun: u64,
    pub ended: u64,
    pub op: Op,
    pub learnt: Learnt,
}

/// How many of a group's tokens, and of a channel's keys, can be active.
const MOST: usize = 2;

/// A token that was acknowledged.
struct Issued {
    begun: u64,
    ended: u64,
    group: Option<u8>,
}

/// The contradictions in a history.
pub fn contradictions(events: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    let issued = issued(events, &mut wrong);
    let mut active: BTreeMap<(u64, u8), Vec<(u64, u64)>> = BTreeMap::new();
    for (&token, issue) in &issued {
        let ends = ends(events, token, issue);
        // From the first moment on at which the token may have been revoked.
        let maybe = ends.iter().map(|it| it.begun).min().unwrap_or(u64::MAX);
        let surely = |it: &&Event| matches!(it.learnt, Learnt::Done | Learnt::Issued(_));
        let before = |it: &&Event| it.op == Op::Revoke(token) || it.begun > issue.ended;
        let surely = ends.iter().copied().filter(surely).filter(before).map(|it| it.ended).min();
        for look in events.iter().filter(|it| it.op == Op::Verify(token)) {
            let Event { replica, begun, ended, .. } = look;
            match look.learnt {
                Learnt::Valid if surely.is_some_and(|at| at < *begun) => wrong.push(format!(
                    "{token:?} is valid on replica {replica} from {begun} to {ended}, \
                     but its revocation was acknowledged at {surely:?}"
                )),
                Learnt::Invalid if maybe > *ended => wrong.push(format!(
                    "{token:?} is invalid on replica {replica} at {ended}, but no request revoked it"
                )),
                _ => {}
            }
        }
        if let Some(group) = issue.group {
            active.entry((token.0, group)).or_default().push((issue.ended, maybe));
        }
    }
    for ((channel, group), spans) in active {
        if let Some((many, at)) = too_many(&spans) {
            wrong.push(format!("{channel}: group {group} has {many} active tokens at {at}"));
        }
    }
    for (channel, spans) in keys(events) {
        if let Some((many, at)) = too_many(&spans) {
            wrong.push(format!("{channel} has {many} assertion keys at {at}"));
        }
    }
    wrong
}

fn issued(events: &[Event], wrong: &mut Vec<String>) -> BTreeMap<TokenOf, Issued> {
    let mut all = BTreeMap::new();
    for event in events {
        let Learnt::Issued(serial) = event.learnt else { continue };
        let (channel, group) = match event.op {
            Op::Issue { channel, group } => (channel, Some(group)),
            Op::Reissue { channel } => (channel, None),
            _ => continue,
        };
        let issued = Issued { begun: event.begun, ended: event.ended, group };
        if all.insert((channel, serial), issued).is_some() {
            wrong.push(format!("two tokens of {channel} have the serial {serial}"));
        }
    }
    all
}

/// The requests that may have revoked a token.
fn ends<'a>(events: &'a [Event], token: TokenOf, issue: &Issued) -> Vec<&'a Event> {
    let may = |it: &&Event| match it.op {
        Op::Revoke(revoked) => revoked == token,
        Op::Reissue { channel } => {
            let own = it.learnt == Learnt::Issued(token.1);
            issue.group.is_none() && channel == token.0 && !own && it.ended > issue.begun
        }
        _ => false,
    };
    events.iter().filter(may).filter(|it| it.learnt != Learnt::Denied).collect()
}

/// When each channel's keys were surely registered.
fn keys(events: &[Event]) -> BTreeMap<u64, Vec<(u64, u64)>> {
    let mut all: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for event in events {
        let Op::Register { channel, key } = event.op else { continue };
        if event.learnt != Learnt::Done {
            continue;
        }
        let deleted = events.iter().filter(|it| it.op == Op::Delete { channel, key });
        let until = deleted.map(|it| it.begun).min().unwrap_or(u64::MAX);
        all.entry(channel).or_default().push((event.ended, until));
    }
    all
}

/// The first moment at which more spans than allowed are open.
fn too_many(spans: &[(u64, u64)]) -> Option<(usize, u64)> {
    let open = |at: u64| spans.iter().filter(|(from, until)| (*from..*until).contains(&at)).count();
    spans.iter().map(|&(at, _)| (open(at), at)).find(|&(many, _)| many > MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(begun: u64, ended: u64, op: Op, learnt: Learnt) -> Event {
        Event { replica: 0, begun, ended, op, learnt }
    }

    fn issue(begun: u64, ended: u64, serial: u64) -> Event {
        event(begun, ended, Op::Issue { channel: 1, group: 1 }, Learnt::Issued(serial))
    }

    fn reissue(begun: u64, ended: u64, serial: u64) -> Event {
        event(begun, ended, Op::Reissue { channel: 1 }, Learnt::Issued(serial))
    }

    fn verify(begun: u64, ended: u64, serial: u64, learnt: Learnt) -> Event {
        event(begun, ended, Op::Verify((1, serial)), learnt)
    }

    fn revoke(begun: u64, ended: u64, serial: u64, learnt: Learnt) -> Event {
        event(begun, ended, Op::Revoke((1, serial)), learnt)
    }

    #[track_caller]
    fn finds(events: &[Event], what: &str) {
        let found = contradictions(events);
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    }

    #[track_caller]
    fn is_fine(events: &[Event]) {
        assert_eq!(contradictions(events), Vec::<String>::new());
    }

    #[test]
    fn a_token_is_valid_until_its_revocation_is_acknowledged() {
        let begin = [issue(0, 1, 1), verify(2, 3, 1, Learnt::Valid)];
        let with = |more: &[Event]| [&begin[..], more].concat();
        is_fine(&with(&[revoke(4, 8, 1, Learnt::Done), verify(5, 6, 1, Learnt::Valid)]));
        is_fine(&with(&[revoke(4, 8, 1, Learnt::Done), verify(5, 6, 1, Learnt::Invalid)]));
        is_fine(&with(&[revoke(4, 8, 1, Learnt::Unknown), verify(9, 10, 1, Learnt::Valid)]));
        is_fine(&with(&[revoke(4, 8, 1, Learnt::Unknown), verify(9, 10, 1, Learnt::Invalid)]));
        is_fine(&with(&[revoke(4, 8, 1, Learnt::Done), verify(9, 10, 1, Learnt::Unknown)]));
        let late = [revoke(4, 8, 1, Learnt::Done), verify(9, 10, 1, Learnt::Valid)];
        finds(&with(&late), "acknowledged at");
        finds(&with(&[verify(9, 10, 1, Learnt::Invalid)]), "no request revoked it");
        let early = [verify(4, 5, 1, Learnt::Invalid), revoke(6, 8, 1, Learnt::Done)];
        finds(&with(&early), "no request revoked it");
    }

    #[test]
    fn a_reissue_revokes_what_was_acknowledged_before_it() {
        let begin = [reissue(0, 1, 1), reissue(2, 5, 2)];
        let with = |more: &[Event]| [&begin[..], more].concat();
        is_fine(&with(&[verify(6, 7, 1, Learnt::Invalid), verify(6, 7, 2, Learnt::Valid)]));
        finds(&with(&[verify(6, 7, 1, Learnt::Valid)]), "acknowledged at");
        finds(&with(&[verify(6, 7, 2, Learnt::Invalid)]), "no request revoked it");
        // Of two at the same time, either may be the last.
        is_fine(&[reissue(0, 4, 1), reissue(2, 5, 2), verify(6, 7, 2, Learnt::Invalid)]);
    }

    #[test]
    fn a_group_never_has_three_tokens_nor_a_channel_three_keys() {
        is_fine(&[issue(0, 1, 1), issue(0, 1, 2), revoke(2, 9, 1, Learnt::Done), issue(2, 3, 3)]);
        finds(&[issue(0, 1, 1), issue(0, 1, 2), issue(2, 3, 3)], "3 active tokens");
        finds(&[issue(0, 1, 1), issue(2, 3, 1)], "the serial 1");
        let key = |key| event(0, 1, Op::Register { channel: 1, key }, Learnt::Done);
        finds(&[key(1), key(2), key(3)], "3 assertion keys");
        let delete = event(0, 1, Op::Delete { channel: 1, key: 1 }, Learnt::Unknown);
        is_fine(&[key(1), key(2), key(3), delete]);
    }
}
