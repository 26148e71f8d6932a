//! What the simulated token endpoint gives tokens for: a refresh token, or a code of the consent page.

use super::token::Fields;
use crate::state::State;
use crate::tokens::Grant;

/// What is granted, with a refresh token if there is a new one; or Google's word and sentence.
pub(super) type Granted = Result<(Grant, Option<String>), (&'static str, &'static str)>;

/// The account that a request is about, if that can be seen.
pub(super) fn account(state: &State, form: &Fields) -> Option<String> {
    let by_refresh_token = form.get("refresh_token").and_then(|token| state.tokens.grant_of(token));
    by_refresh_token.or_else(|| state.codes.grant_of(form.get("code")?)).map(|grant| grant.account)
}

pub(super) fn by_refresh_token(state: &State, form: &Fields) -> Granted {
    let grant = form.get("refresh_token").and_then(|token| state.tokens.grant_of(token));
    match grant.filter(|grant| !state.tokens.is_revoked(&grant.account)) {
        Some(grant) => Ok((grant, None)),
        None => Err(("invalid_grant", "Token has been expired or revoked.")),
    }
}

/// A code is good once, even if what came with it was wrong.
pub(super) fn by_code(state: &State, form: &Fields) -> Granted {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let code = state.codes.take(field("code")).ok_or(("invalid_grant", "Malformed auth code."))?;
    if code.redirect_uri != field("redirect_uri") {
        return Err(("redirect_uri_mismatch", "Bad Request"));
    }
    if field("code_verifier").is_empty() {
        return Err(("invalid_grant", "Missing code verifier."));
    }
    if !code.is_verified_by(field("code_verifier")) {
        return Err(("invalid_grant", "Invalid code verifier."));
    }
    // Google gives a refresh token for offline access only, and to who consented before only if the page was forced.
    let wanted = code.offline && (code.forced || !state.tokens.has_given(&code.grant.account));
    let refresh_token = wanted.then(|| state.tokens.give(&code.grant)).transpose();
    let refresh_token = refresh_token.map_err(|_| ("internal_failure", "No random bytes."))?;
    Ok((code.grant, refresh_token))
}
