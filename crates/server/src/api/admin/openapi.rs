//! The OpenAPI 3.1 document of this API, at `/admin/v1/openapi.json`.
//!
//! It needs no authentication: it is the same on every server, and contains neither the
//! server's version nor any of its data.

use crate::api::admin::problem::Details;
use utoipa::openapi::{
    Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
    ServerBuilder,
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

const NO_SCOPES: [&str; 0] = [];

const ABOUT: &str = "\
JSON in, JSON out. Unknown, repeated and mistyped members are rejected by name. Lists come \
newest first, a page at a time; `next` is the cursor of the next page, to be given as `after`. \
Absent values are null, times RFC 3339. New members and new problem codes may be added to responses \
at any time; nothing that is here will change its meaning.";
