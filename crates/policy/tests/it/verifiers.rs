//! Verifiers, their instances, and which acts have a receipt.

use crate::acts::{by, effects_of_all, locked, token};
use crate::channel::{NOW, channel};
use tegata_policy::acts::{
    Act, ActError, ActName, Change, ChangeVerifier, CreateVerifier, DeleteVerifier, DropInstances,
    Effects, Instance, JournalEntry, Locked, LostInstances, MOST_INSTANCES, MOST_STOPPED,
    ReceiptFor, ReceiptRow, RegisterInstance, Registration, RemoveInstances, RenewInstances,
    Replay, SettleReceipts, StopInstance, UpkeepRows, VerifierPatch, VerifierRow, Write,
    receipt_of,
};
use tegata_token::feed::OnStale;
use tegata_token::id::{Position, ProviderId, VerifierId};
use tegata_token::kind::Kind;

fn id() -> VerifierId {
    VerifierId::from_number(5_000_000_001).unwrap()
}

fn verifier() -> VerifierRow {
    VerifierRow {
        id: id(),
        name: "gateway".into(),
        provider: None,
        max_staleness: 60_000,
        allow: false,
        token: crate::channel::secret("verifier").hash().into(),
        created_at: NOW,
    }
}

fn instance() -> Instance {
    Instance {
        verifier: id(),
        instance: "i".repeat(22).parse().unwrap(),
        staleness: 2_000,
        on_stale: OnStale::Ask,
        registered_at: NOW,
        renewed_at: NOW,
        stopped: false,
        address: Some([192, 0, 2, 7].into()),
    }
}

fn with(instances: Vec<Instance>) -> Locked {
    let upkeep = UpkeepRows { verifier: Some(verifier()), instances, ..UpkeepRows::default() };
    Locked { upkeep, ..locked(channel(), vec![token(1, Kind::V21, None)]) }
}

fn create(provider: Option<ProviderId>) -> CreateVerifier {
    CreateVerifier {
        id: id(),
        name: "gateway".into(),
        provider,
        max_staleness: 60_000,
        allow: false,
        token: crate::channel::secret("verifier").hash(),
        by: by(),
    }
}

fn register(staleness: u32, on_stale: OnStale) -> RegisterInstance {
    let (verifier, instance) = (id(), instance().instance);
    let address = [192, 0, 2, 9].into();
    RegisterInstance { verifier, instance, staleness, on_stale, address }
}

/// The effects of these acts.
pub fn effects_of(name: ActName) -> Effects {
    let locked = with(vec![instance()]);
    let instances = vec![(id(), instance().instance, NOW)];
    let about = ReceiptFor { provider: None, effective_at: NOW };
    let row = ReceiptRow { position: Position::default(), about, complete: true, list: None };
    match name {
        ActName::CreateVerifier => create(None).decide(&locked, NOW).unwrap().1,
        ActName::ChangeVerifier => {
            let patch = VerifierPatch { allow: Some(true), ..VerifierPatch::default() };
            ChangeVerifier { id: id(), patch, by: by() }.decide(&locked, NOW).unwrap().1
        }
        ActName::DeleteVerifier => {
            DeleteVerifier { id: id(), by: by() }.decide(&locked, NOW).unwrap().1
        }
        ActName::RemoveInstances => {
            let act = RemoveInstances { id: id(), instance: None, by: by() };
            act.decide(&locked, NOW).unwrap().1
        }
        ActName::RegisterInstance => register(500, OnStale::Deny).decide(&locked, NOW).unwrap().1,
        ActName::RenewInstances => {
            let instances = vec![(id(), instance().instance)];
            RenewInstances { instances }.decide(&locked, NOW).unwrap().1
        }
        ActName::StopInstance => {
            let act = StopInstance { verifier: id(), instance: instance().instance };
            act.decide(&locked, NOW).unwrap().1
        }
        ActName::DropInstances => DropInstances { instances }.decide(&locked, NOW).unwrap().1,
        _ => SettleReceipts { receipts: vec![row] }.decide(&locked, NOW).unwrap().1,
    }
}

#[test]
fn a_verifier_of_a_provider_that_does_not_exist_is_not_created() {
    let (made, effects) = create(Some(channel().provider)).decide(&with(vec![]), NOW).unwrap();
    assert_eq!(made.provider, Some(channel().provider));
    assert!(matches!(&effects.changes[..], [Change::Verifier { verifier }] if *verifier == made));
    let unknown = Locked { provider: None, ..with(vec![]) };
    let refused = create(Some(channel().provider)).decide(&unknown, NOW);
    assert!(matches!(refused, Err(ActError::NotFound("provider"))));
}

#[test]
fn a_deleted_verifier_is_neither_changed_nor_registered_with() {
    let mut gone = with(vec![]);
    gone.upkeep.verifier_deleted = true;
    let change = ChangeVerifier { id: id(), patch: VerifierPatch::default(), by: by() };
    assert!(matches!(change.decide(&gone, NOW), Err(ActError::NotFound("verifier"))));
    let registered = register(500, OnStale::Deny).decide(&gone, NOW);
    assert!(matches!(registered, Err(ActError::NotFound("verifier"))));
    let again = DeleteVerifier { id: id(), by: by() }.decide(&gone, NOW);
    assert!(matches!(again, Err(ActError::NotFound("verifier"))));
}

#[test]
fn a_row_keeps_the_longest_staleness_and_the_most_lenient_setting() {
    let of = |act: RegisterInstance, locked: &Locked| act.decide(locked, NOW.plus(9)).unwrap().0;
    let Registration::Registered(row) = of(register(500, OnStale::Deny), &with(vec![instance()]))
    else {
        panic!("not registered")
    };
    assert_eq!((row.staleness, row.on_stale), (2_000, OnStale::Ask));
    assert_eq!((row.registered_at, row.renewed_at), (NOW, NOW.plus(9)));
    let newest = [192, 0, 2, 9].into();
    assert_eq!(row.address, Some(newest), "where it was registered last");
    let Registration::Registered(row) = of(register(9_000, OnStale::Deny), &with(vec![instance()]))
    else {
        panic!("not registered")
    };
    assert_eq!((row.staleness, row.on_stale), (9_000, OnStale::Ask));
    let long = of(register(60_001, OnStale::Deny), &with(vec![]));
    assert_eq!(long, Registration::StalenessTooLong);
    let lenient = of(register(500, OnStale::Allow), &with(vec![]));
    assert_eq!(lenient, Registration::AllowNotPermitted);
}

#[test]
fn a_stopped_instance_is_not_registered_again_and_the_number_of_instances_is_limited() {
    let stopped = with(vec![Instance { stopped: true, ..instance() }]);
    let (answer, effects) = register(500, OnStale::Deny).decide(&stopped, NOW).unwrap();
    assert!(answer == Registration::Stopped && effects.is_empty());
    let mut full = with(vec![]);
    full.upkeep.instance_count = MOST_INSTANCES - 1;
    let act = register(500, OnStale::Deny);
    assert!(matches!(act.decide(&full, NOW).unwrap().0, Registration::Registered(_)));
    full.upkeep.instance_count = MOST_INSTANCES;
    assert_eq!(act.decide(&full, NOW).unwrap().0, Registration::TooMany);
    full.upkeep.instances = vec![instance()];
    assert!(matches!(act.decide(&full, NOW).unwrap().0, Registration::Registered(_)), "known");
}

#[test]
fn the_number_of_rows_that_are_kept_of_stopped_instances_is_limited() {
    let mut full = with(vec![]);
    let (register, instance) = (register(500, OnStale::Deny), instance());
    let stop = StopInstance { verifier: id(), instance: instance.instance.clone() };
    full.upkeep.stopped_count = MOST_STOPPED - 1;
    assert!(register.decide(&full, NOW).is_ok() && stop.decide(&full, NOW).is_ok());
    full.upkeep.stopped_count = MOST_STOPPED;
    assert!(matches!(register.decide(&full, NOW), Err(ActError::Conflict(_))));
    assert!(matches!(stop.decide(&full, NOW), Err(ActError::Conflict(_))));
    // Whatever the number, an instance that is known goes on, and can stop.
    full.upkeep.instances = vec![instance];
    assert!(register.decide(&full, NOW).is_ok());
    assert!(stop.decide(&full, NOW).unwrap().0.stopped);
}

#[test]
fn the_end_of_an_instance_that_is_not_known_is_noted_too() {
    let act = StopInstance { verifier: id(), instance: instance().instance };
    let (_, effects) = act.decide(&with(vec![]), NOW).unwrap();
    assert!(matches!(&effects.writes[..], [Write::Instance(row)] if row.stopped));
}

#[test]
fn a_deletion_and_tighter_settings_are_replayed_and_unknown_verifiers_ignored() {
    let replay = |line: JournalEntry, locked: &Locked| {
        Replay { line, author: None, at: NOW }.decide(locked, NOW).unwrap().1
    };
    let line = JournalEntry::VerifierDeleted { verifier: id() };
    let effects = replay(line.clone(), &with(vec![]));
    assert!(matches!(effects.writes[..], [Write::VerifierDeleted(..)]) && effects.audit.is_none());
    assert!(replay(line, &locked(channel(), vec![])).is_empty());
    let line = JournalEntry::Verifier { verifier: id(), max_staleness: 500, allow: false };
    let effects = replay(line, &with(vec![]));
    assert!(
        matches!(&effects.writes[..], [Write::VerifierSettings(it)] if it.max_staleness == 500)
    );
}

#[test]
fn instances_that_are_lost_may_be_as_lenient_as_any_line_of_their_verifier() {
    let created = create(Some(channel().provider)).decide(&with(vec![]), NOW).unwrap().1.journal;
    let [line @ JournalEntry::VerifierCreated { .. }] = &created[..] else { panic!("{created:?}") };
    let change = |max_staleness, allow| {
        let patch = VerifierPatch { max_staleness, allow, ..VerifierPatch::default() };
        let act = ChangeVerifier { id: id(), patch, by: by() };
        act.decide(&with(vec![]), NOW).unwrap().1.journal
    };
    let changes = [change(Some(3_600_000), None), change(Some(500), Some(true))].concat();
    let lost = LostInstances {
        verifier: id(),
        name: "gateway".into(),
        provider: Some(channel().provider),
        max_staleness: 3_600_000,
        allow: true,
    };
    assert_eq!(LostInstances::of(created.iter().chain(&changes)), std::slice::from_ref(&lost));
    let unnamed = LostInstances { name: id().to_string(), provider: None, ..lost };
    assert_eq!(LostInstances::of(changes.iter().chain(&[])), [unnamed]);
    // The verifier itself is not created again.
    let replay = Replay { line: line.clone(), author: None, at: NOW };
    assert!(replay.decide(&locked(channel(), vec![]), NOW).unwrap().1.is_empty());
}

#[test]
fn every_act_that_revokes_for_an_operator_has_a_receipt_and_an_eviction_has_none() {
    let provider = Some(channel().provider);
    for name in ActName::ALL {
        let all = effects_of_all(name);
        let of = |(what, it): &(&'static str, Effects)| Some((*what, receipt_of(name, it, NOW)?));
        let found: Vec<_> = all.iter().filter_map(of).collect();
        let names: Vec<_> = found.iter().map(|(what, _)| *what).collect();
        let every = all.iter().map(|(what, _)| *what).collect::<Vec<_>>();
        let (expected, about) = match name {
            ActName::Revoke
            | ActName::ReplaceSecret
            | ActName::DeletePreviousSecret
            | ActName::DeleteKey
            | ActName::DeleteGroup
            | ActName::DeleteProvider => (every, provider),
            ActName::ReportLeaks => (vec!["revoked"], provider),
            ActName::ChangeChannel => (vec!["suspended", "deleted", "suspended again"], provider),
            ActName::ChangeSigningKeys => (vec!["revoked", "all removed"], None),
            ActName::Issue => (vec!["a reissue"], provider),
            ActName::RecordForAll => (every, None),
            _ => (vec![], None),
        };
        assert_eq!(names, expected, "{name:?}");
        assert!(found.iter().all(|(_, it)| it.provider == about), "{name:?}");
    }
}
