//! What the simulated consent page may be asked, and the codes that it gives: good once, for a while, and only for who asked.
//! Knows no HTTP; as strict as Google, and stricter in that PKCE with S256 is demanded.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use crate::state::lock;
use crate::tokens::{CLIENT_ID, Grant, MAIL_SCOPE, random_text};

const CODE_LIFE: Duration = Duration::from_secs(600);

/// The parameters of the page, by Google's names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) response_type: String,
    pub(crate) scope: String,
    pub(crate) state: String,
    pub(crate) code_challenge: String,
    pub(crate) code_challenge_method: String,
    pub(crate) access_type: String,
    pub(crate) prompt: String,
    pub(crate) login_hint: String,
}

/// Why the page is not shown: status, Google's word, what is wrong.
pub(crate) type Refusal = (u16, &'static str, &'static str);

impl Request {
    /// The address to return to, if all is well with the request.
    pub(crate) fn check(&self) -> Result<Url, Refusal> {
        if self.client_id != CLIENT_ID {
            return Err((401, "invalid_client", "The OAuth client was not found."));
        }
        let redirect = Url::parse(&self.redirect_uri).ok().filter(is_installed_apps);
        let redirect = redirect.ok_or((
            400,
            "redirect_uri_mismatch",
            "An installed app returns to http://127.0.0.1, [::1] or localhost, on any port.",
        ))?;
        let demands = [
            (self.response_type == "code", "invalid_request", "response_type must be code."),
            (
                self.scope == MAIL_SCOPE,
                "invalid_scope",
                "The sandbox knows the scope https://mail.google.com/ and no other.",
            ),
            (
                self.code_challenge_method == "S256" && self.code_challenge.len() == 43,
                "invalid_request",
                "The sandbox demands PKCE: code_challenge, with code_challenge_method=S256.",
            ),
        ];
        match demands.into_iter().find(|(holds, ..)| !holds) {
            Some((_, word, what)) => Err((400, word, what)),
            None => Ok(redirect),
        }
    }
}

fn is_installed_apps(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && is_loopback && url.fragment().is_none()
}

/// A consent on its way from the page to the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) offline: bool,
    pub(crate) forced: bool,
    challenge: String,
    born: Instant,
}

impl Code {
    pub(crate) fn is_verified_by(&self, verifier: &str) -> bool {
        URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == self.challenge
    }
}

/// The codes that were given and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Codes(Mutex<HashMap<String, Code>>);

impl Codes {
    /// A code for a consent, in Google's form.
    pub(crate) fn give(&self, request: &Request, grant: Grant) -> Result<String, getrandom::Error> {
        let text = format!("4/0{}", random_text::<48>()?);
        let code = Code {
            grant,
            redirect_uri: request.redirect_uri.clone(),
            offline: request.access_type == "offline",
            forced: request.prompt.split(' ').any(|word| word == "consent"),
            challenge: request.code_challenge.clone(),
            born: Instant::now(),
        };
        lock(&self.0).insert(text.clone(), code);
        Ok(text)
    }

    /// Uses a code up.
    pub(crate) fn take(&self, code: &str) -> Option<Code> {
        lock(&self.0).remove(code).filter(|code| code.born.elapsed() < CODE_LIFE)
    }

    /// What a code stands for; it stays good.
    pub(crate) fn grant_of(&self, code: &str) -> Option<Grant> {
        lock(&self.0).get(code).map(|code| code.grant.clone())
    }
}
