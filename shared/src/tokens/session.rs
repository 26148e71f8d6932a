//! Sealing what a browser keeps for us: a login at the dashboard. It lies in no Redis, and opens in no record's place.
//!
//! Form: version (1 byte), key id (4), nonce (24); then ciphertext and tag, bound to all of that.

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};
use zeroize::Zeroizing;

use super::record::KeyId;
use super::seal::{SealError, Sealer};

const VERSION: u8 = 1;
const HEAD: usize = 1 + 4 + 24;
/// No record's associated data begins so.
const PURPOSE: &[u8] = b"postroom dashboard session\0";

impl Sealer {
    /// Seals a login, with the first key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal_session(&self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; 24];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Random(error.to_string()))?;
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.first.id.bytes());
        sealed.extend_from_slice(&nonce);
        let aad = [PURPOSE, &sealed].concat();
        let payload = Payload { msg: plain, aad: &aad };
        let text = self.first.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens a login that was sealed with any of the keys; `None`: it is none.
    #[must_use]
    pub fn open_session(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (head, text) = sealed.split_at_checked(HEAD)?;
        let (&version, rest) = head.split_first()?;
        let (id, nonce) = rest.split_first_chunk::<4>()?;
        let nonce: [u8; 24] = nonce.try_into().ok()?;
        let key = self.keys().find(|key| version == VERSION && key.id == KeyId::from_bytes(*id))?;
        let aad = [PURPOSE, head].concat();
        let opened = key.cipher().decrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad });
        opened.ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClientTag, Purpose};
    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

    fn sealer(keys: &str) -> Sealer {
        Sealer::from_setting(&keys.to_owned().into()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_any_key_and_unchanged_only() {
        let sealed = sealer(OLD).seal_session(b"who").unwrap();
        assert_eq!(sealer(&format!("{NEW},{OLD}")).open_session(&sealed).unwrap().as_slice(), b"who");
        assert!(sealer(NEW).open_session(&sealed).is_none());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(sealer(OLD).open_session(&changed).is_none(), "{place}");
            assert!(sealer(OLD).open_session(&sealed[..place]).is_none(), "{place}");
        }
    }

    #[test]
    fn a_session_is_no_record_and_a_record_no_session() {
        let (sealer, account) = (sealer(OLD), "alice@example.com".parse().unwrap());
        let record = sealer.seal(Purpose::Access, &account, ClientTag::of("client"), b"who").unwrap();
        assert!(sealer.open_session(&record).is_none());
        let session = sealer.seal_session(b"who").unwrap();
        assert!(sealer.open(Purpose::Access, &account, None, &session).is_err());
    }
}
