//! The API's description against the API. That real answers are as described is
//! seen by every other test, too: see `World::send`.

use crate::{
    schema::{Call, calls, document, resolved},
    world::World,
};
use http::{Method, Request};
use serde_json::Value;
use std::collections::BTreeSet;

/// Renewed by `TEGATA_RENEW=1 cargo test -p tegata-server --test admin golden`.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_golden_file_is_what_the_server_says() {
    let document = tegata_server::api::admin::document();
    if std::env::var_os("TEGATA_RENEW").is_some() {
        std::fs::write(GOLDEN, document).unwrap();
    }
    assert!(
        std::fs::read_to_string(GOLDEN).is_ok_and(|golden| golden == document),
        "docs/openapi.json is not what the server says. If the change is meant, renew it with\n\
         TEGATA_RENEW=1 cargo test -p tegata-server --test admin golden"
    );
}

#[tokio::test]
async fn strangers_may_read_it_and_nothing_else() {
    let world = World::new().await;
    let anonymous = |call: &Call| {
        let path = sample(call.path);
        Request::builder().method(call.method.clone()).uri(path).body("".into()).unwrap()
    };
    for call in calls() {
        let answer = world.send(anonymous(&call)).await;
        if call.path == "/openapi.json" {
            assert_eq!(answer.expect(200), *document());
        } else {
            answer.expect_problem(401, "unauthorized");
        }
        let open = call.described["security"] == serde_json::json!([{}]);
        assert_eq!(open, call.path == "/openapi.json", "{} {}", call.method, call.path);
    }
}

/// Every method that a path could take.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[tokio::test]
async fn a_path_takes_the_methods_that_are_described_and_no_others() {
    let world = World::new().await;
    let paths: BTreeSet<_> = calls().map(|call| call.path).collect();
    for path in paths {
        let described: Vec<_> = calls().filter(|it| it.path == path).map(|it| it.method).collect();
        for method in METHODS {
            let answer = world.send(world.request(method.clone(), &sample(path), "")).await;
            let taken = answer.status != 405;
            assert_eq!(taken, described.contains(&method), "{method} {path}: {}", answer.body);
            let lost = answer.body["detail"] == "there is no such path";
            assert!(!lost, "{method} {path} is described and not there");
        }
    }
}

#[test]
fn nothing_is_routed_past_the_description() {
    let source = include_str!("../../src/api/admin/mod.rs");
    for past in [".route(", ".route_service(", ".nest(", ".nest_service("] {
        assert!(!source.contains(past), "register calls with `routes!`, not with `{past}…)`");
    }
}

#[tokio::test]
async fn what_is_described_of_a_request_is_what_its_reader_knows() {
    let world = World::new().await;
    let shop = world.channel().await;
    for call in calls().filter(|call| call.path != "/openapi.json") {
        let path = call.path.replace("{channel}", &shop.id).replace("{provider}", &shop.provider);
        let path = sample(&path);
        let of_body = members_of_body(&call);
        let answer = match call.method == Method::GET || call.method == Method::DELETE {
            true => {
                let path = format!("{path}?strange=1");
                world.send(world.request(call.method.clone(), &path, "")).await
            }
            false => {
                world.send(world.request(call.method.clone(), &path, r#"{"strange":1}"#)).await
            }
        };
        let detail = answer.expect_problem(400, "unknown-member");
        let known = detail.split_once("known here: ").map_or("", |(_, known)| known);
        let known: BTreeSet<&str> = known.split(", ").filter(|it| !it.is_empty()).collect();
        let fields: BTreeSet<&str> = parameters(&call, "query").collect();
        let described = if fields.is_empty() { of_body } else { fields };
        assert_eq!(known, described, "{} {}", call.method, call.path);
    }
}

#[test]
fn every_call_says_what_it_does_and_names_each_id_of_its_path() {
    let mut names = BTreeSet::new();
    for call in calls() {
        let told = call.described;
        assert!(told["summary"].is_string(), "{} {}", call.method, call.path);
        assert!(names.insert(told["operationId"].as_str()), "{} stands twice", told["operationId"]);
        let ids: BTreeSet<&str> =
            call.path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(parameters(&call, "path").collect::<BTreeSet<_>>(), ids, "{}", call.path);
    }
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} is not explained");
    }
}

/// A path with something of the right form for each id.
fn sample(path: &str) -> String {
    let ids = [
        ("{provider}", "1234567890"),
        ("{channel}", "1234567890"),
        ("{kid}", "536e453c-aa93-4449-8e90-add2608783c6"),
        ("{group}", "kitchen"),
        ("{token}", "AAECAwQFBgcICQoLDA0ODw"),
    ];
    let path = ids.iter().fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
    assert!(!path.contains('{'), "give {path} a sample of its id here");
    path
}

fn parameters(call: &Call, place: &'static str) -> impl Iterator<Item = &'static str> {
    let parameters = call.described["parameters"].as_array();
    let parameters = parameters.into_iter().flatten().filter(move |it| it["in"] == place);
    parameters.map(|it| it["name"].as_str().unwrap())
}

fn members_of_body(call: &Call) -> BTreeSet<&'static str> {
    let schema = &call.described["requestBody"]["content"]["application/json"]["schema"];
    // A body that may be left out is a choice of null and it.
    let choices = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    let schema = choices.iter().find(|it| it["type"] != "null").unwrap_or(schema);
    let schema = if schema.is_null() { schema } else { resolved(schema) };
    if let Value::Object(_) = schema {
        assert_eq!(schema["additionalProperties"], false, "{} {}", call.method, call.path);
    }
    let members = schema["properties"].as_object();
    members.into_iter().flat_map(|it| it.keys()).map(String::as_str).collect()
}
