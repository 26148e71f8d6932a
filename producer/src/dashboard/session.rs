//! A login: a cookie that says which key it belongs to and when it ends, sealed with `POSTROOM_SECRET_KEY`.
//!
//! The key itself is not in it. Whether that key is still good is asked at each request, so a revoked key ends its sessions.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postroom_shared::api_keys::KeyId;
use postroom_shared::clock::Millis;
use postroom_shared::tokens::{SealError, Sealer};
use serde::{Deserialize, Serialize};

/// For how long a login lasts.
const LASTS: Duration = Duration::from_secs(12 * 3_600);
const NAME: &str = "postroom_session";
/// No cookie of ours is longer.
const LONGEST: usize = 400;

#[derive(Serialize, Deserialize)]
struct Session {
    key: String,
    ends: Millis,
}

/// The header that begins a session; `secure`: the browser speaks TLS.
pub(super) fn begin(sealer: &Sealer, key: &KeyId, secure: bool, now: Millis) -> Result<HeaderValue, SealError> {
    let session = Session { key: key.to_string(), ends: now.after(LASTS) };
    let plain = serde_json::to_vec(&session).unwrap_or_default();
    let sealed = sealer.seal_session(&plain)?;
    Ok(cookie(&URL_SAFE_NO_PAD.encode(sealed), LASTS.as_secs(), secure))
}

/// The header that ends one.
pub(super) fn end(secure: bool) -> HeaderValue {
    cookie("", 0, secure)
}

/// The key whose session a request belongs to.
pub(super) fn key_of(sealer: &Sealer, headers: &HeaderMap, now: Millis) -> Option<KeyId> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == NAME && value.len() <= LONGEST).then(|| read(sealer, value, now)).flatten())
}

fn read(sealer: &Sealer, value: &str, now: Millis) -> Option<KeyId> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let plain = sealer.open_session(&sealed)?;
    let session: Session = serde_json::from_slice(&plain).ok()?;
    if now < session.ends { session.key.parse().ok() } else { None }
}

fn cookie(value: &str, seconds: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{NAME}={value}; Path=/dashboard; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(letter: char) -> Sealer {
        Sealer::from_setting(&format!("{}=", letter.to_string().repeat(43)).into()).unwrap()
    }

    fn presented(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("other=1; {pair}; postroom_sessions=2").parse().unwrap());
        headers
    }

    #[test]
    fn a_session_is_read_until_it_ends_and_only_with_its_key() {
        let (sealer, id, now) = (sealer('A'), "0123456789ab".parse::<KeyId>().unwrap(), Millis(1_000));
        let cookie = begin(&sealer, &id, true, now).unwrap();
        let text = cookie.to_str().unwrap();
        for word in ["; HttpOnly", "; SameSite=Strict", "; Path=/dashboard", "; Secure", "; Max-Age=43200"] {
            assert!(text.contains(word), "{text}");
        }
        let headers = presented(&cookie);
        assert_eq!(key_of(&sealer, &headers, now), Some(id.clone()));
        assert_eq!(key_of(&sealer, &headers, Millis(1_000 + 12 * 3_600_000 - 1)), Some(id));
        assert_eq!(key_of(&sealer, &headers, Millis(1_000 + 12 * 3_600_000)), None);
        assert_eq!(key_of(&self::sealer('Q'), &headers, now), None);
        assert_eq!(key_of(&sealer, &presented(&end(false)), now), None);
        assert_eq!(key_of(&sealer, &HeaderMap::new(), now), None);
    }

    #[test]
    fn a_changed_cookie_is_no_session() {
        let (sealer, id, now) = (sealer('A'), "0123456789ab".parse::<KeyId>().unwrap(), Millis(1_000));
        let cookie = begin(&sealer, &id, false, now).unwrap();
        let text = cookie.to_str().unwrap().to_owned();
        let value = &text[NAME.len() + 1..text.find(';').unwrap()];
        let mut bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, format!("{NAME}={}", URL_SAFE_NO_PAD.encode(&bytes)).parse().unwrap());
            assert_eq!(key_of(&sealer, &headers, now), None, "{place}");
            bytes[place] ^= 1;
        }
    }
}
