//! The vectors of the feed, as they are in the project's `testdata/feed`.

use super::program::Program;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use tegata_verifier::simulation::Answer;

const VERIFY: &str = include_str!("../../../../testdata/feed/verify.json");
const CHANGES: &str = include_str!("../../../../testdata/feed/changes.json");

/// Runs all vectors; returns their number.
pub fn run(program: &mut Program) -> anyhow::Result<usize> {
    let mut count = 0;
    for it in cases(VERIFY)? {
        let name = it["name"].as_str().unwrap_or_default();
        set(program, name, &it["snapshot"], &json!([]))?;
        check(program, name, &it)?;
        count += 1;
    }
    for it in cases(CHANGES)? {
        let name = it["name"].as_str().unwrap_or_default();
        set(program, name, &it["snapshot"], &it["responses"])?;
        for probe in it["probes"].as_array().context("no probes")? {
            check(program, name, probe)?;
            count += 1;
        }
    }
    cannot(program)?;
    Ok(count + 1)
}

fn cases(file: &str) -> anyhow::Result<Vec<Value>> {
    let mut file: Value = serde_json::from_str(file)?;
    let Value::Array(cases) = file["cases"].take() else { bail!("the vectors have no cases") };
    Ok(cases)
}

fn set(
    program: &mut Program,
    name: &str,
    snapshot: &Value,
    responses: &Value,
) -> anyhow::Result<()> {
    let taken = program.view(snapshot, responses);
    taken.map_err(|problem| anyhow::anyhow!("vector \"{name}\": {problem}"))
}

fn check(program: &mut Program, name: &str, probe: &Value) -> anyhow::Result<()> {
    let request = json!({ "type": "check", "token": probe["token"], "time": probe["time"] });
    let answer = program.answer(&request).map_err(anyhow::Error::msg)?;
    let found = Answer::ALL.into_iter().find(|it| it.0 == answer).map_or("", |it| it.1);
    if probe["answer"] != found {
        bail!("vector \"{name}\": the answer is {}, not {found}", probe["answer"]);
    }
    Ok(())
}

/// A change of an unknown type must not be skipped.
fn cannot(program: &mut Program) -> anyhow::Result<()> {
    let case = cases(CHANGES)?.into_iter().next().context("no vector")?;
    let mut responses = case["responses"].clone();
    responses[0]["changes"][0]["change"] = json!({ "type": "of-a-later-version" });
    match program.view(&case["snapshot"], &responses) {
        Err(_) => Ok(()),
        Ok(()) => bail!("a change of an unknown type is skipped; the response is `cannot`"),
    }
}
