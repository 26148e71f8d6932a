//! The keys of `POSTROOM_SECRET_KEY`: named by their ids, never shown.

use postroom_shared::tokens::{SealError, Sealer};

use super::finding::Finding;
use super::ids::Id;

/// What is to be said of the keys.
pub(crate) fn judge(keys: &Result<Sealer, SealError>) -> Finding {
    match keys {
        Ok(sealer) => told(&sealer.key_ids().map(|id| id.to_string()).collect::<Vec<_>>()),
        Err(SealError::Missing) => Finding::error(Id::KeyMissing, "POSTROOM_SECRET_KEY is not set"),
        Err(error) => Finding::error(Id::KeyUnusable, error.to_string()),
    }
}

fn told(ids: &[String]) -> Finding {
    match ids {
        [one] => Finding::ok(Id::Keys, format!("one key, {one}")),
        [first, others @ ..] => {
            Finding::note(Id::Keys, format!("{first} seals; {} only opens what is older", others.join(", ")))
        }
        [] => Finding::error(Id::KeyMissing, "POSTROOM_SECRET_KEY holds no key"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    const KEYS: [&str; 2] =
        ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="];

    fn of(setting: &str) -> Finding {
        judge(&Sealer::from_setting(&setting.to_owned().into()))
    }

    #[test]
    fn keys_are_named_and_never_shown() {
        let both = of(&KEYS.join(","));
        assert_eq!((of(KEYS[0]).severity, both.severity), (Severity::Ok, Severity::Note));
        assert!(both.what.contains("seals") && KEYS.iter().all(|key| !both.what.contains(key)), "{}", both.what);
        assert_eq!((of("").id, of("c2hvcnQ=").id), (Id::KeyMissing, Id::KeyUnusable));
    }
}
