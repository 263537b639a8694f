//! The next step after a failed connection to an authority.

use tegata_server::SELF_SIGNED_CA;

/// What a user can set, for the advice.
pub struct Advice {
    /// The settings that name the authority's address.
    pub address: &'static str,
    /// The setting that names a file with the certificates of trusted issuers.
    pub issuer: &'static str,
}

impl Advice {
    /// The next step, by the words of the TLS library and the system.
    pub fn about(&self, error: &str) -> String {
        let Self { address, issuer } = self;
        let has = |word: &str| error.contains(word);
        if has("CaUsedAsEndEntity") {
            SELF_SIGNED_CA.to_owned()
        } else if has("NotValidForName") || has("not valid for name") {
            format!("its certificate names other addresses; use one of them with {address}")
        } else if has("Expired") || has("expired") {
            "its certificate has expired, or this machine's clock is wrong; `tegata doctor` on \
             the server shows its dates"
                .to_owned()
        } else if has("NotValidYet") || has("not valid yet") {
            "its certificate is not valid yet, or this machine's clock is wrong".to_owned()
        } else if has("UnknownIssuer") || has("BadSignature") {
            format!(
                "this machine does not trust the issuer of its certificate; if that is your own, \
                 name the issuer's certificate in {issuer}"
            )
        } else if has("certificate") {
            "its certificate is not accepted; `tegata doctor` on the server checks it".to_owned()
        } else if has("InvalidContentType") || has("corrupt message") {
            "it does not answer with TLS; is the address http:// instead?".to_owned()
        } else if has("invalid HTTP") {
            "it does not answer with HTTP; is the address https:// instead?".to_owned()
        } else if has("connection closed before message completed") {
            // A server of TLS does that, and one that was ended.
            "it closed the connection without an answer: see whether it runs, and whether its \
             address is https:// instead"
                .to_owned()
        } else {
            format!("is `tegata serve` running there? Name another address with {address}")
        }
    }
}
