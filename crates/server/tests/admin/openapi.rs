//! The API's description compared with the API. Every other test checks that real
//! responses fit the description, too: see `World::send`.

use crate::{
    schema::{Call, calls, document, resolved},
    world::World,
};
use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Updated by `TEGATA_RENEW=1 cargo test -p tegata-server --test admin golden`.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_golden_file_is_what_the_server_serves() {
    let document = tegata_server::api::admin::document();
    if std::env::var_os("TEGATA_RENEW").is_some() {
        std::fs::write(GOLDEN, document).unwrap();
    }
    assert!(
        std::fs::read_to_string(GOLDEN).is_ok_and(|golden| golden == document),
        "docs/openapi.json differs from the description that the server serves. If that is\n\
         intended, update it with\n\
         TEGATA_RENEW=1 cargo test -p tegata-server --test admin golden"
    );
}

#[tokio::test]
async fn only_the_description_and_signing_in_need_no_authentication() {
    let world = World::new().await;
    let anonymous = |call: &Call| {
        let path = sample(call.path);
        Request::builder().method(call.method.clone()).uri(path).body("".into()).unwrap()
    };
    for call in calls() {
        let response = world.send(anonymous(&call)).await;
        match call.path {
            "/openapi.json" => assert_eq!(response.expect(200), *document()),
            path if OPEN.contains(&path) => {
                response.expect_problem(400, "missing-member");
            }
            _ => {
                response.expect_problem(401, "unauthorized");
            }
        }
        let open = call.described["security"] == serde_json::json!([{}]);
        assert_eq!(open, OPEN.contains(&call.path), "{} {}", call.method, call.path);
    }
}

/// What a request without authentication may call: nothing else than signing in.
const OPEN: [&str; 4] = ["/openapi.json", "/invitations/open", "/invitations/accept", "/sessions"];

/// Every method that a path could take.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[tokio::test]
async fn a_path_accepts_exactly_the_methods_that_are_described() {
    let world = World::new().await;
    let paths: BTreeSet<_> = calls().map(|call| call.path).collect();
    for path in paths {
        let described: Vec<_> = calls().filter(|it| it.path == path).map(|it| it.method).collect();
        for method in METHODS {
            let response = world.send(world.request(method.clone(), &sample(path), "")).await;
            let taken = response.status != 405;
            assert_eq!(taken, described.contains(&method), "{method} {path}: {}", response.body);
            let lost = response.body["detail"] == "there is no such path";
            assert!(!lost, "{method} {path} is described but has no route");
        }
    }
}

#[test]
fn every_route_is_registered_with_its_description() {
    let source = include_str!("../../src/api/admin/mod.rs");
    for past in [".route(", ".route_service(", ".nest(", ".nest_service("] {
        assert!(!source.contains(past), "register calls with `routes!`, not with `{past}…)`");
    }
}

#[tokio::test]
async fn a_described_request_is_what_its_handler_reads() {
    let world = World::new().await;
    let shop = world.channel().await;
    for call in calls().filter(|call| call.path != "/openapi.json") {
        let path = call.path.replace("{channel}", &shop.id).replace("{provider}", &shop.provider);
        let path = sample(&path);
        let of_body = members_of_body(&call);
        let response = match call.method == Method::GET || call.method == Method::DELETE {
            true => {
                let path = format!("{path}?strange=1");
                world.send(world.request(call.method.clone(), &path, "")).await
            }
            false => {
                world.send(world.request(call.method.clone(), &path, r#"{"strange":1}"#)).await
            }
        };
        let detail = response.expect_problem(400, "unknown-member");
        let known = detail.split_once("known here: ").map_or("", |(_, known)| known);
        let known: BTreeSet<&str> = known.split(", ").filter(|it| !it.is_empty()).collect();
        let fields: BTreeSet<&str> = parameters(&call, "query").collect();
        let described = if fields.is_empty() { of_body } else { fields };
        assert_eq!(known, described, "{} {}", call.method, call.path);
    }
}

#[tokio::test]
async fn the_bounds_that_are_described_are_the_bounds_that_are_read() {
    let world = World::new().await;
    let shop = world.channel().await;
    let mut tried = 0;
    for call in calls().filter(|call| call.method != Method::GET && call.method != Method::DELETE) {
        let path = call.path.replace("{channel}", &shop.id).replace("{provider}", &shop.provider);
        let path = sample(&path);
        for (outer, name, schema) in bounded_members(&call) {
            for (value, fits) in edges(schema) {
                let member = json!({ name: value });
                let body = outer.map_or_else(|| member.clone(), |outer| json!({ outer: member }));
                let request = world.request(call.method.clone(), &path, body.to_string());
                let response = world.send(request).await;
                let detail = response.body["detail"].as_str().unwrap_or_default();
                let refused = response.body["code"] == "invalid-member"
                    && detail.starts_with(&format!("`{name}` must be"));
                assert_eq!(refused, !fits, "{} {path} {body}: {}", call.method, response.body);
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "only {tried} values were tried");
}

#[test]
fn every_call_has_a_summary_and_describes_each_id_of_its_path() {
    let mut names = BTreeSet::new();
    for call in calls() {
        let described = call.described;
        assert!(described["summary"].is_string(), "{} {}", call.method, call.path);
        let operation = &described["operationId"];
        assert!(names.insert(operation.as_str()), "{operation} is repeated");
        let ids: BTreeSet<&str> =
            call.path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(parameters(&call, "path").collect::<BTreeSet<_>>(), ids, "{}", call.path);
    }
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} has no description");
    }
}

/// A path with a valid sample for each id.
pub fn sample(path: &str) -> String {
    let ids = [
        ("{provider}", "1234567890"),
        ("{channel}", "1234567890"),
        ("{kid}", "536e453c-aa93-4449-8e90-add2608783c6"),
        ("{group}", "kitchen"),
        ("{token}", "AAECAwQFBgcICQoLDA0ODw"),
        ("{position}", "1-1"),
        ("{verifier}", "3456789012"),
        ("{person}", "4567890123"),
        ("{admin_token}", "5678901234"),
        ("{instance}", "AAECAwQFBgcICQoLDA0ODw"),
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

/// The schema of a call's body; null if it takes none.
fn body_schema(call: &Call) -> &'static Value {
    let schema = &call.described["requestBody"]["content"]["application/json"]["schema"];
    // The schema of an optional body is a choice between null and the body.
    let choices = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    let schema = choices.iter().find(|it| it["type"] != "null").unwrap_or(schema);
    if schema.is_null() { schema } else { resolved(schema) }
}

fn members_of_body(call: &Call) -> BTreeSet<&'static str> {
    let schema = body_schema(call);
    if let Value::Object(_) = schema {
        assert_eq!(schema["additionalProperties"], false, "{} {}", call.method, call.path);
    }
    let members = schema["properties"].as_object();
    members.into_iter().flat_map(|it| it.keys()).map(String::as_str).collect()
}

/// The members of a call's body, with the member that they are in, if they are in one.
fn bounded_members(call: &Call) -> Vec<(Option<&'static str>, &'static str, &'static Value)> {
    let mut found = Vec::new();
    for (name, schema) in properties(body_schema(call)) {
        let inner = properties(resolved(schema)).map(|(inner, schema)| (Some(name), inner, schema));
        found.extend(inner);
        found.push((None, name, resolved(schema)));
    }
    found
}

fn properties(schema: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let properties = schema["properties"].as_object();
    properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

/// The values at the bounds of a schema, and beside them; whether each fits.
fn edges(schema: &Value) -> Vec<(Value, bool)> {
    let mut edges = Vec::new();
    if let Some(least) = schema["minimum"].as_i64() {
        edges.extend([(json!(least), true), (json!(least - 1), false)]);
    }
    if let Some(most) = schema["maximum"].as_i64() {
        edges.extend([(json!(most), true), (json!(most + 1), false)]);
    }
    if let Some(longest) = schema["maxLength"].as_u64() {
        let line = |length: u64| json!("手".repeat(usize::try_from(length).unwrap()));
        edges.extend([(line(1), true), (line(0), false)]);
        edges.extend([(line(longest), true), (line(longest + 1), false)]);
    }
    edges
}
