//! A Google service account with its private key, and the JSON file in which Google hands it out.
//!
//! Key material is never printed, not even by an error: every fault has a sentence of its own.

use std::fmt;
use std::sync::Arc;

use ring::rsa::KeyPair;
use rustls_pki_types::pem::{PemObject, SectionKind};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::address::Address;

const LONGEST_ID: usize = 128;

/// A service account that may act for users of a Workspace domain. Cheap to clone.
#[derive(Clone)]
pub struct ServiceAccount {
    pub(super) email: Address,
    pub(super) client_id: String,
    pub(super) key_id: String,
    /// PKCS#8, DER. Overwritten when the last clone goes.
    pub(super) key: Arc<SecretBox<Vec<u8>>>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({}, key {}, ***)", self.email, self.key_id)
    }
}

/// What is wrong with a key file. Repeats nothing of it but the word of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is no JSON.
    #[error("it is not JSON (line {line}, column {column}): give the file as Google's console made it")]
    NotJson {
        /// Where it ceases to be JSON.
        line: usize,
        /// The place in that line.
        column: usize,
    },
    /// A field holds something else than text.
    #[error("a field has an unexpected form (line {line}, column {column}): give the file as Google's console made it")]
    Form {
        /// Where.
        line: usize,
        /// The place in that line.
        column: usize,
    },
    /// The file of an OAuth client.
    #[error(
        "it is the file of an OAuth client, not of a service account: for an OAuth client leave --service-account out; for a \
         service account make a key in Google Cloud's console, under IAM & Admin > Service Accounts > Keys"
    )]
    OAuthClient,
    /// The login of a person.
    #[error(
        "it holds the login of a person (authorized_user), not a service account: make a key in Google Cloud's console, under \
         IAM & Admin > Service Accounts > Keys"
    )]
    AuthorizedUser,
    /// Another type of credentials, or none.
    #[error(
        "its type is {0}, not \"service_account\": make a key in Google Cloud's console, under IAM & Admin > Service Accounts > Keys"
    )]
    Type(String),
    /// A field is missing or cannot be used.
    #[error("its field {0} {1}: give the file as Google's console made it")]
    Field(&'static str, &'static str),
    /// The private key is not in the form that Google gives.
    #[error(
        "its private key cannot be read: it must be PKCS#8 in PEM (\"BEGIN PRIVATE KEY\"), and whole; give the file as \
         Google's console made it"
    )]
    Key,
    /// The private key is of another sort.
    #[error("its private key is not RSA: Google takes RSA keys of at least 2,048 bits")]
    NotRsa,
    /// The private key is too short.
    #[error("its private key has fewer than 2,048 bits: make a new key in Google Cloud's console")]
    TooShort,
}

/// As Google writes it. Other fields, `token_uri` with them, are not read: tokens come from `POSTROOM_TOKEN_URL`.
#[derive(Deserialize)]
struct KeyFile {
    r#type: Option<String>,
    client_email: Option<String>,
    client_id: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<SecretString>,
    installed: Option<IgnoredAny>,
    web: Option<IgnoredAny>,
}

impl ServiceAccount {
    /// From the text of Google's key file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_key_file(text: &str) -> Result<Self, KeyFileError> {
        let file: KeyFile = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            if error.is_data() { KeyFileError::Form { line, column } } else { KeyFileError::NotJson { line, column } }
        })?;
        check_type(&file)?;
        let email = needed("client_email", file.client_email)?;
        let email: Address = email.parse().map_err(|_| KeyFileError::Field("client_email", "is no address"))?;
        let client_id = needed("client_id", file.client_id)?;
        if !client_id.bytes().all(|byte| byte.is_ascii_digit()) || client_id.len() > LONGEST_ID {
            return Err(KeyFileError::Field("client_id", "is not the number of a service account"));
        }
        let key_id = needed("private_key_id", file.private_key_id)?;
        let is_of_an_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !key_id.bytes().all(is_of_an_id) || key_id.len() > LONGEST_ID {
            return Err(KeyFileError::Field("private_key_id", "is not the id of a key"));
        }
        let pem = file.private_key.filter(|pem| !pem.expose_secret().is_empty());
        let pem = pem.ok_or(KeyFileError::Field("private_key", "is missing"))?;
        let key = read_key(&pem)?;
        // Redis keys and comparisons know one spelling.
        let email =
            email.reveal().to_lowercase().parse().map_err(|_| KeyFileError::Field("client_email", "is no address"))?;
        Ok(Self { email, client_id, key_id, key: Arc::new(key) })
    }

    /// Its address (`client_email`), which prints masked.
    #[must_use]
    pub fn email(&self) -> &Address {
        &self.email
    }

    /// Its number (`client_id`), under which domains delegate to it.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The id of its key (`private_key_id`).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key, ready to sign.
    ///
    /// # Errors
    /// If it cannot be used; see [`KeyFileError`].
    pub(super) fn key_pair(&self) -> Result<KeyPair, KeyFileError> {
        key_pair(self.key.expose_secret())
    }
}

fn check_type(file: &KeyFile) -> Result<(), KeyFileError> {
    match file.r#type.as_deref() {
        Some("service_account") => Ok(()),
        Some("authorized_user") => Err(KeyFileError::AuthorizedUser),
        _ if file.installed.is_some() || file.web.is_some() => Err(KeyFileError::OAuthClient),
        Some(other) => {
            let is_word = other.len() <= 60 && other.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            Err(KeyFileError::Type(if is_word { format!("{other:?}") } else { "another one".to_owned() }))
        }
        None => Err(KeyFileError::Type("not told".to_owned())),
    }
}

fn needed(name: &'static str, value: Option<String>) -> Result<String, KeyFileError> {
    value.filter(|text| !text.is_empty()).ok_or(KeyFileError::Field(name, "is missing"))
}

fn read_key(pem: &SecretString) -> Result<SecretBox<Vec<u8>>, KeyFileError> {
    let (kind, der) = PemObject::from_pem_slice(pem.expose_secret().as_bytes())
        .map(|(kind, der): (SectionKind, Vec<u8>)| (kind, SecretBox::new(Box::new(der))))
        .map_err(|_| KeyFileError::Key)?;
    if matches!(kind, SectionKind::EcPrivateKey) {
        return Err(KeyFileError::NotRsa);
    }
    if !matches!(kind, SectionKind::PrivateKey) {
        return Err(KeyFileError::Key);
    }
    key_pair(der.expose_secret())?;
    Ok(der)
}

/// Ring takes RSA keys of 2,048 to 4,096 bits, and checks that their parts fit together.
fn key_pair(der: &[u8]) -> Result<KeyPair, KeyFileError> {
    KeyPair::from_pkcs8(der).map_err(|rejected| match rejected.to_string().as_str() {
        "WrongAlgorithm" => KeyFileError::NotRsa,
        "TooSmall" => KeyFileError::TooShort,
        _ => KeyFileError::Key,
    })
}

#[cfg(test)]
#[path = "service_account_tests.rs"]
pub(super) mod tests;
