//! The identity provider of a server's settings.

use super::Error;
#[cfg(feature = "openid-connect")]
use crate::authority::openid::OpenId;
use crate::{authority::Authority, config::Settings};

/// The same authority, with the identity provider of the settings.
#[cfg(feature = "openid-connect")]
pub(super) fn with_openid(
    authority: Authority,
    settings: &Settings,
    issuer: &str,
) -> Result<Authority, Error> {
    let console = settings.console_url.as_deref().unwrap_or(issuer);
    let openid = settings.openid.clone().map(|it| OpenId::new(it, console)).transpose();
    Ok(authority.signing_in_by(openid.map_err(Error::OpenId)?))
}

/// The same authority: this program signs in by passwords alone.
#[cfg(not(feature = "openid-connect"))]
pub(super) fn with_openid(
    authority: Authority,
    settings: &Settings,
    _: &str,
) -> Result<Authority, Error> {
    match settings.openid {
        None => Ok(authority),
        Some(_) => Err(Error::OpenId(
            "this program was built without its feature openid-connect; remove the setting, or \
             use a program that has it",
        )),
    }
}
