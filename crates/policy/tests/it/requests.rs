//! Requests with an `Idempotency-Key`.

use crate::channel::NOW;
use tegata_policy::acts::{
    Act, ActName, BeginRequest, Effects, FinishRequest, Locked, REQUESTS_KEPT, RememberedRequest,
    RequestBegun, UpkeepRows, WrappedKey, Write,
};

const BEGIN: BeginRequest = BeginRequest { key: [1; 32], parameters: [2; 32] };

fn remembered(response: Option<u8>) -> RememberedRequest {
    RememberedRequest {
        key: [1; 32],
        parameters: [2; 32],
        response: response.map(|it| WrappedKey(vec![it])),
        until: NOW.plus(1),
    }
}

fn with(requests: Vec<RememberedRequest>) -> Locked {
    Locked { upkeep: UpkeepRows { requests, ..UpkeepRows::default() }, ..Locked::default() }
}

pub fn effects_of(name: ActName) -> Effects {
    match name {
        ActName::BeginRequest => BEGIN.decide(&with(vec![]), NOW).unwrap().1,
        _ => {
            let act = FinishRequest { key: [1; 32], response: Some(WrappedKey(vec![3])) };
            act.decide(&with(vec![]), NOW).unwrap().1
        }
    }
}

#[test]
fn a_key_stands_for_one_request_for_a_day() {
    let begun = |requests| BEGIN.decide(&with(requests), NOW).unwrap();
    let (first, effects) = begun(vec![]);
    assert_eq!(first, RequestBegun::New);
    assert!(
        matches!(&effects.writes[..], [Write::Request(it)] if it.until == NOW.plus(REQUESTS_KEPT))
    );
    for (before, expected) in [
        (remembered(None), RequestBegun::Unfinished),
        (remembered(Some(7)), RequestBegun::Before(WrappedKey(vec![7]))),
        (
            RememberedRequest { parameters: [3; 32], ..remembered(Some(7)) },
            RequestBegun::OtherParameters,
        ),
    ] {
        let (again, effects) = begun(vec![before.clone()]);
        assert_eq!(again, expected);
        assert!(effects.is_empty());
        // Over, and so forgotten; it may be read twice.
        let over = RememberedRequest { until: NOW, ..before };
        let (new, effects) = begun(vec![over.clone(), over]);
        assert_eq!(new, RequestBegun::New);
        assert!(matches!(effects.writes.last(), Some(Write::Request(_))));
        assert!(effects.writes[..2].iter().all(|it| matches!(it, Write::RequestForgotten(_))));
    }
    let other = RememberedRequest { key: [9; 32], ..remembered(Some(7)) };
    assert_eq!(begun(vec![other]).0, RequestBegun::New);
}

#[test]
fn a_request_that_changed_nothing_is_forgotten() {
    let act = FinishRequest { key: [1; 32], response: None };
    let effects = act.decide(&with(vec![]), NOW).unwrap().1;
    assert!(matches!(effects.writes[..], [Write::RequestForgotten(_)]));
}
