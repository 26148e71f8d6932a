//! How a key lies in Redis: a versioned JSON text that never changes, and beside it when it was used and revoked.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::id::KeyId;
use super::key::ApiKey;
use super::scope::{Mode, Scopes};
use super::secret_key::KeyHash;
use crate::account::AccountId;
use crate::clock::Millis;
use crate::store::StoreError;

const VERSION: u8 = 1;

/// The field with the record.
pub(super) const RECORD: &str = "record";
/// The field with the time of its last use; `touch.lua` writes it.
pub(super) const USED: &str = "used";
/// The field with the time at which it was revoked; `revoke.lua` writes it.
pub(super) const REVOKED: &str = "revoked";

#[derive(Serialize, Deserialize)]
struct Record {
    v: u8,
    hash: String,
    name: String,
    mode: Mode,
    scopes: Scopes,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    created: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Millis>,
}

/// The record of a key.
pub(super) fn write(key: &ApiKey) -> Result<String, StoreError> {
    let record = Record {
        v: VERSION,
        hash: key.hash.0.iter().map(|byte| format!("{byte:02x}")).collect(),
        name: key.name.clone(),
        mode: key.mode,
        scopes: key.scopes.clone(),
        accounts: key.accounts.clone(),
        rate: key.rate,
        created: key.created_at,
        expires: key.expires_at,
    };
    serde_json::to_string(&record).map_err(|error| StoreError::Wrong(error.to_string()))
}

/// A key out of the fields of its hash; `None`: there is no such key.
pub(super) fn read(id: &KeyId, fields: &HashMap<String, String>) -> Result<Option<ApiKey>, StoreError> {
    let Some(text) = fields.get(RECORD) else { return Ok(None) };
    let unread = || {
        StoreError::Wrong(format!(
            "the record of API key {id} is not one that this version knows: use a newer Postroom, or revoke the key"
        ))
    };
    let record: Record = serde_json::from_str(text).map_err(|_| unread())?;
    if record.v != VERSION {
        return Err(unread());
    }
    let time = |name: &str| fields.get(name).map(|text| text.parse().map(Millis).map_err(|_| unread())).transpose();
    Ok(Some(ApiKey {
        id: id.clone(),
        name: record.name,
        mode: record.mode,
        scopes: record.scopes,
        accounts: record.accounts,
        rate: record.rate,
        created_at: record.created,
        expires_at: record.expires,
        last_used_at: time(USED)?,
        revoked_at: time(REVOKED)?,
        hash: KeyHash(from_hex(&record.hash).ok_or_else(unread)?),
    }))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::scope::Scope;
    use super::*;

    /// As the first version wrote it: must be read for ever.
    const FIRST: &str = r#"{"v":1,"hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","name":"shop","mode":"test","scopes":["send","read"],"accounts":["a@b.example"],"rate":5,"created":1000,"expires":2000}"#;

    fn id() -> KeyId {
        "0123456789ab".parse().unwrap()
    }

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_form_is_read_and_written() {
        let key = read(&id(), &fields(&[(RECORD, FIRST), (USED, "1500"), (REVOKED, "1700")])).unwrap().unwrap();
        assert_eq!((key.name.as_str(), key.mode, key.rate), ("shop", Mode::Test, Some(5)));
        assert!(key.allows(Scope::Read) && !key.allows(Scope::Admin));
        assert_eq!((key.created_at, key.expires_at), (Millis(1_000), Some(Millis(2_000))));
        assert_eq!((key.last_used_at, key.revoked_at), (Some(Millis(1_500)), Some(Millis(1_700))));
        assert_eq!(write(&key).unwrap(), FIRST);
    }

    #[test]
    fn what_is_not_known_is_told_and_nothing_is_no_key() {
        assert!(read(&id(), &fields(&[])).unwrap().is_none());
        let [later, cut] = [FIRST.replace("\"v\":1", "\"v\":2"), FIRST.replace("1e1f", "1e")];
        for record in [later.as_str(), cut.as_str(), "", "{}"] {
            let told = read(&id(), &fields(&[(RECORD, record)])).unwrap_err().to_string();
            assert!(told.contains("0123456789ab") && !told.contains("b.example"), "{told}");
        }
        assert!(read(&id(), &fields(&[(RECORD, FIRST), (REVOKED, "soon")])).is_err());
    }
}
