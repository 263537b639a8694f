//! The OpenAPI 3.1 document of this API, at `/admin/v1/openapi.json`.
//!
//! It needs no authentication: it is the same on every server, and contains neither the
//! server's version nor any of its data.

use crate::api::admin::problem::Details;
use utoipa::openapi::{
    Components, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, RefOr,
    Required, SecurityRequirement, ServerBuilder, Type,
    header::HeaderBuilder,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa::{PartialSchema, ToSchema};

/// The document's parts that all calls share.
pub fn head() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Tegata: administrators\' API")
        .description(Some(ABOUT))
        // The version of the API, not of the program.
        .version("1")
        .license(Some(license.build()));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The administrator\'s token."));
    let mut components = Components::new();
    // Every call names these, but only by reference, so they are added here.
    let mut schemas = vec![(Details::name().into_owned(), Details::schema())];
    Details::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.add_security_scheme("administrator", SecurityScheme::Http(token.build()));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url("/admin/v1").build()]))
        .components(Some(components))
        .security(Some([SecurityRequirement::new("administrator", NO_SCOPES)]))
        .build()
}

/// The paths of the calls that create something, and so read `Idempotency-Key`.
pub fn creating(document: &OpenApi) -> impl Iterator<Item = &str> {
    let paths = document.paths.paths.iter();
    paths.filter(|(_, item)| item.post.as_ref().is_some_and(creates)).map(|(path, _)| path.as_str())
}

fn creates(call: &Operation) -> bool {
    let reads_it = |it: &RefOr<Parameter>| matches!(it, RefOr::T(it) if it.name == KEY);
    let reads_it = call.parameters.iter().flatten().any(reads_it);
    // The calls of signing in need no authentication: there is no actor whose key it is.
    let is_open = call.security.is_some();
    call.responses.responses.contains_key("201") && !reads_it && !is_open
}

const KEY: &str = "Idempotency-Key";

/// Describes the headers that are read for many calls alike.
pub fn add_headers(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let key = item.post.as_mut().filter(|it| creates(it));
        key.into_iter().for_each(|it| add(it, KEY, KEY_TEXT));
        let changes = item.patch.is_some() || item.delete.is_some();
        for call in [&mut item.patch, &mut item.delete].into_iter().flatten() {
            add(call, "If-Match", IF_MATCH_TEXT);
        }
        for call in [&mut item.get, &mut item.patch].into_iter().flatten().filter(|_| changes) {
            if let Some(RefOr::T(response)) = call.responses.responses.get_mut("200") {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let header = HeaderBuilder::new().schema(Some(text)).description(Some(ETAG_TEXT));
                response.headers.insert("ETag".to_owned(), header.build().into());
            }
        }
    }
}

fn add(call: &mut Operation, name: &str, text: &str) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(text))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    call.parameters.get_or_insert_default().push(parameter.build().into());
}

const KEY_TEXT: &str = "1 to 255 printable characters. For a day, a repeated request with the same \
                        key gets the response of the first; one with another body is 422.";
const IF_MATCH_TEXT: &str = "The ETag of the settings on which the client decided, or * for an object \
                             that exists; 412 if the object has others by now.";
const ETAG_TEXT: &str = "The tag of the object's settings, for If-Match.";

const NO_SCOPES: [&str; 0] = [];

const ABOUT: &str = "\
JSON in, JSON out. Unknown, repeated and mistyped members are rejected by name. Lists come \
newest first, a page at a time; `next` is the cursor of the next page, to be given as `after`. \
Absent values are null, times RFC 3339. New members and new problem codes may be added to responses \
at any time; nothing that is here will change its meaning.";
