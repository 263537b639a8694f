//! Followers with a fault, which the schedules must find.

use serde_json::Value;
use std::time::Duration;
use tegata_token::feed::{ChangesResponse, InstanceId, Snapshot};
use tegata_verifier::{
    clocks::{Clocks, Steady},
    simulation::{Answer, OwnFollower, SentRequest, SimulatedResponse, TestedFollower},
    standing::Use,
};

/// The fault of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// It never compares the age with its staleness.
    NoAgeCheck,
    /// It acknowledges changes at once and applies them later.
    EarlyAcknowledgement,
    /// It keeps what a snapshot does not list.
    MergedSnapshot,
    /// It counts the age from the arrival of a response, and not from its request.
    AgeFromArrival,
}

/// The follower of the crate with a fault.
pub struct Faulty {
    fault: Fault,
    inner: OwnFollower,
    /// The parameters of the last request for changes.
    last: Vec<(String, String)>,
    early: Vec<SentRequest>,
    /// When the last response with changes was read, as counted from its arrival.
    arrived: Option<Steady>,
    wanted: Option<Use>,
    /// Responses that are applied later.
    late: Vec<(Steady, String, SimulatedResponse)>,
}

impl Faulty {
    pub fn new(fault: Fault, inner: OwnFollower) -> Self {
        Self {
            fault,
            inner,
            last: Vec::new(),
            early: Vec::new(),
            arrived: None,
            wanted: None,
            late: Vec::new(),
        }
    }

    fn acknowledge_early(&mut self, response: &ChangesResponse) {
        let mut query = self.last.clone();
        for (name, value) in &mut query {
            match name.as_str() {
                "after" => *value = response.through.to_string(),
                "hold" => *value = "0".to_owned(),
                _ => {}
            }
        }
        let id = format!("early-{}", self.late.len());
        self.early.push(SentRequest { id, path: "/feed/changes".to_owned(), query });
    }

    fn merged(&mut self, response: &SimulatedResponse) -> Option<SimulatedResponse> {
        let mut body: Value = serde_json::from_str(&response.body).ok()?;
        let standing = self.inner.follower().ok()?.standing();
        let known = Snapshot::write(standing.view()?, None, "");
        let known: Value = serde_json::from_str(&known).ok()?;
        let new = body["snapshot"]["channels"].as_array_mut()?;
        for channel in known["channels"].as_array()? {
            if !new.iter().any(|it| it["channel"] == channel["channel"]) {
                new.push(channel.clone());
            }
        }
        Some(SimulatedResponse { body: body.to_string(), ..response.clone() })
    }
}

impl TestedFollower for Faulty {
    fn start(&mut self, instance: InstanceId, wanted: Use, clocks: Clocks) -> Result<(), String> {
        (self.early, self.late) = (Vec::new(), Vec::new());
        (self.arrived, self.wanted) = (None, Some(wanted));
        self.inner.start(instance, wanted, clocks)
    }

    fn next(
        &mut self,
        clocks: Clocks,
        random: f64,
    ) -> Result<(Vec<SentRequest>, Duration), String> {
        let (due, late) = self.late.drain(..).partition(|it| it.0 <= clocks.steady);
        self.late = late;
        let due: Vec<_> = due;
        for (_, id, response) in due {
            self.inner.receive(&id, Some(&response), clocks, random)?;
        }
        let (mut requests, wait) = self.inner.next(clocks, random)?;
        if let Some(changes) = requests.iter().find(|it| it.path == "/feed/changes") {
            self.last = changes.query.clone();
        }
        requests.append(&mut self.early);
        let next = self.late.iter().map(|it| it.0.since(clocks.steady)).min();
        Ok((requests, next.map_or(wait, |it| it.min(wait))))
    }

    fn receive(
        &mut self,
        id: &str,
        response: Option<&SimulatedResponse>,
        clocks: Clocks,
        random: f64,
    ) -> Result<(), String> {
        if id.starts_with("early-") {
            return Ok(());
        }
        if let Some(response) = response.filter(|it| it.status == 200) {
            let changes = ChangesResponse::parse(response.body.as_bytes());
            match self.fault {
                Fault::EarlyAcknowledgement => {
                    if let Ok(changes) = changes
                        && !changes.changes.is_empty()
                    {
                        self.acknowledge_early(&changes);
                        let later = clocks.steady.plus(Duration::from_secs_f64(0.1 + random));
                        self.late.push((later, id.to_owned(), response.clone()));
                        return Ok(());
                    }
                }
                Fault::MergedSnapshot => {
                    if let Some(merged) = self.merged(response) {
                        return self.inner.receive(id, Some(&merged), clocks, random);
                    }
                }
                Fault::AgeFromArrival => {
                    let age = changes.ok().map(|it| it.head.age);
                    self.arrived = age.map(|it| clocks.steady.minus(it)).or(self.arrived);
                }
                Fault::Nothing | Fault::NoAgeCheck => {}
            }
        }
        self.inner.receive(id, response, clocks, random)
    }

    fn verify(
        &mut self,
        token: &str,
        began: Steady,
        moments: [Clocks; 2],
    ) -> Result<Answer, String> {
        let staleness = self.wanted.map_or(Duration::ZERO, |it| it.staleness);
        let is_young = self.arrived.is_some_and(|it| moments[1].steady.since(it) <= staleness);
        if self.fault == Fault::NoAgeCheck || is_young {
            let standing = self.inner.follower()?.standing();
            let signatures = self.inner.signatures();
            if let Some(Ok(_)) = standing.consult(token.as_bytes(), moments[0].steady, signatures) {
                return Ok(Answer::Active);
            }
        }
        self.inner.verify(token, began, moments)
    }

    fn stop(&mut self, clocks: Clocks) -> Result<(), String> {
        self.inner.stop(clocks)
    }
}
