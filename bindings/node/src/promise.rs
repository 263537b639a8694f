//! Promises that the follower's thread resolves.
//!
//! No thread of the pool of Node.js waits for the authority: there are four, for files, names and
//! compression as well.

use napi::{
    Env, Result,
    bindgen_prelude::{Object, ToNapiValue},
};

/// A promise that is resolved once `start` has called the function that it gets.
pub fn promise<'env, Found, Shown>(
    env: &'env Env,
    show: fn(Found) -> Shown,
    start: impl FnOnce(Box<dyn FnOnce(Found) + Send>),
) -> Result<Object<'env>>
where
    Found: Send + 'static,
    Shown: ToNapiValue + 'static,
{
    let (deferred, promise) = env.create_deferred()?;
    start(Box::new(move |found| deferred.resolve(move |_| Ok(show(found)))));
    Ok(promise)
}
