//! A mail as an app gives it: parsed already, as JSON, or as a ready message. One parser reads all of them, at the door.
//!
//! A draft prints nothing of what it holds.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::mail::{Fault, Faults, Mail, read_json};
use postroom_shared::pool::PoolName;
use postroom_shared::telemetry::TraceContext;
use serde_json::Value;

use crate::fingerprint;
use crate::new_mail::NewMail;
use crate::templated::{Templated, joined};

const WITHIN_OVER_HTTP: &str = "over HTTP a mail cannot be bound to accounts: use an API key that is bound to them (`postroom key create --account`)";
const READY_OVER_HTTP: &str = "postroom serve takes no ready messages (.eml) and no parsed mails: give its fields as a NewMail or \
     JSON, or connect to Redis";

/// A mail on its way to the door. Made from a [`NewMail`], a [`serde_json::Value`] or a [`Mail`] by `into()`.
#[derive(Clone)]
pub struct Draft {
    form: Form,
    account: Option<AccountId>,
    pool: Option<PoolName>,
    test: bool,
    within: Option<Arc<[AccountId]>>,
    place: Option<InRequest>,
    faults: Vec<Fault>,
    trace: Option<TraceContext>,
}

/// A mail's place in a request of several under one key: what stands for its own key if it has none.
#[derive(Clone)]
pub(crate) struct InRequest {
    /// No app can choose such a key: it has a line end.
    pub(crate) key: String,
    /// Of the whole request.
    pub(crate) fingerprint: String,
}

#[derive(Clone)]
enum Form {
    Parsed(Box<Mail>),
    Json(Value),
    Bytes(Vec<u8>),
    Eml(Vec<u8>),
    Templated(Box<Templated>),
}

impl Draft {
    /// The bytes of one JSON object. Unlike a [`Value`] they can name a field twice, which is refused.
    #[must_use]
    pub fn from_json_bytes(bytes: Vec<u8>) -> Self {
        Self::new(Form::Bytes(bytes))
    }

    /// A ready message (RFC 5322, an `.eml` file).
    #[must_use]
    pub fn from_eml(bytes: Vec<u8>) -> Self {
        Self::new(Form::Eml(bytes))
    }

    /// The same mail, sent by `account` whatever it says itself.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        (self.account, self.pool) = (Some(account), None);
        self
    }

    /// The same mail, sent by an account of `pool` whatever it says itself.
    #[must_use]
    pub fn with_pool(mut self, pool: PoolName) -> Self {
        (self.account, self.pool) = (None, Some(pool));
        self
    }

    /// The same mail in test mode: it goes the whole way, but ends at a stand-in in the worker, and nothing is sent. Its
    /// From is checked as ever, unless there is no account at all: then it may be any.
    #[must_use]
    pub fn as_test(mut self) -> Self {
        self.test = true;
        self
    }

    /// The same mail, refused unless one of `accounts` sends it.
    #[must_use]
    pub fn within(mut self, accounts: Arc<[AccountId]>) -> Self {
        self.within = Some(accounts);
        self
    }

    fn new(form: Form) -> Self {
        Self {
            form,
            account: None,
            pool: None,
            test: false,
            within: None,
            place: None,
            faults: Vec::new(),
            trace: None,
        }
    }

    /// The same mail with what was found wrong with it before it came to the door, so that all is told at once.
    #[cfg(feature = "serve")]
    pub(crate) fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// The same mail, handed over in this span.
    #[cfg(feature = "serve")]
    pub(crate) fn traced(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// The span in which it is handed over.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// What was found wrong with it before.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether test mode was asked for.
    pub(crate) fn is_test(&self) -> bool {
        self.test
    }

    /// The accounts that may send it; `None`: any.
    pub(crate) fn allowed(&self) -> Option<&[AccountId]> {
        self.within.as_deref()
    }

    /// The same mail as the one at `place` of a request.
    pub(crate) fn in_request(mut self, key: &str, fingerprint: &str, place: usize) -> Self {
        self.place = Some(InRequest { key: format!("{key}\n{place}"), fingerprint: fingerprint.to_owned() });
        self
    }

    /// See [`InRequest`].
    pub(crate) fn place(&self) -> Option<&InRequest> {
        self.place.as_ref()
    }

    /// What was given, for a fingerprint: the same for the same fields in any order. `send_at` does not count, as for a
    /// single mail.
    pub(crate) fn given(&self) -> Vec<u8> {
        let mut given = Vec::new();
        match &self.form {
            Form::Parsed(mail) => given.extend(fingerprint::of_given(mail).into_bytes()),
            Form::Json(value) => canonical(value, true, &mut given),
            Form::Bytes(bytes) => match serde_json::from_slice(bytes) {
                Ok(value) => canonical(&value, true, &mut given),
                Err(_) => given.extend(bytes),
            },
            Form::Eml(bytes) => given.extend(bytes),
            Form::Templated(templated) => canonical(&templated.given(), true, &mut given),
        }
        let beside = (self.account.as_ref().map(AccountId::reveal), self.pool.as_ref().map(PoolName::as_str));
        given.extend(format!("\n{beside:?}").into_bytes());
        given
    }

    /// The account that was asked for beside the mail.
    pub(crate) fn account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    /// The pool that was asked for beside the mail.
    pub(crate) fn pool(&self) -> Option<&PoolName> {
        self.pool.as_ref()
    }

    /// The mail, or all that is wrong with it.
    pub(crate) fn parse(&self, now: Millis) -> Result<Cow<'_, Mail>, Faults> {
        match &self.form {
            Form::Parsed(mail) => Ok(Cow::Borrowed(mail)),
            Form::Json(value) => Mail::from_json(value, now).map(Cow::Owned),
            Form::Bytes(bytes) => Mail::from_json_bytes(bytes, now).map(Cow::Owned),
            Form::Eml(bytes) => Mail::from_eml(bytes, now).map(Cow::Owned),
            Form::Templated(templated) => {
                let (mail, faults) = templated.filled();
                let parsed = Mail::from_json(&mail, now);
                if faults.is_empty() { parsed.map(Cow::Owned) } else { Err(joined(faults, parsed.err())) }
            }
        }
    }

    /// The mail by which a second try with its idempotency key is known again, if that is not the mail itself.
    pub(crate) fn as_asked(&self, now: Millis) -> Option<Result<Mail, Faults>> {
        let Form::Templated(templated) = &self.form else { return None };
        templated.as_asked().map(|mail| Mail::from_json(&mail, now))
    }

    /// The mail as `postroom serve` takes it.
    pub(crate) fn into_json(self) -> Result<Value, Faults> {
        if self.within.is_some() {
            return Err(Faults::one("account", WITHIN_OVER_HTTP));
        }
        let mut mail = match self.form {
            Form::Json(mail) => mail,
            Form::Bytes(bytes) => read_json(&bytes)?,
            Form::Templated(templated) => templated.given(),
            Form::Parsed(_) | Form::Eml(_) => return Err(Faults::one("", READY_OVER_HTTP)),
        };
        let account = self.account.map(|account| account.reveal().to_owned());
        let pool = self.pool.map(|pool| pool.as_str().to_owned());
        if let (Value::Object(fields), true) = (&mut mail, account.is_some() || pool.is_some()) {
            fields.insert("account".to_owned(), account.into());
            fields.insert("pool".to_owned(), pool.into());
        }
        Ok(mail)
    }

    /// Looks whether it names a template, which is to be found then.
    pub(crate) fn templated(&mut self) -> Option<&mut Templated> {
        let value = match &mut self.form {
            Form::Json(value) if value.get("template").is_some() => Some(value.take()),
            // A mail that no parser can read is told of later.
            Form::Bytes(bytes) if may_name_template(bytes) => read_json(bytes).ok(),
            Form::Json(_) | Form::Parsed(_) | Form::Bytes(_) | Form::Eml(_) | Form::Templated(_) => None,
        };
        if let Some(value) = value {
            self.form = match Templated::of(value) {
                Ok(templated) => Form::Templated(Box::new(templated)),
                Err(value) => Form::Json(value),
            };
        }
        match &mut self.form {
            Form::Templated(templated) => Some(templated),
            Form::Json(_) | Form::Parsed(_) | Form::Bytes(_) | Form::Eml(_) => None,
        }
    }

    /// A mail with nothing but this draft's sender, if that can be read: for telling whether an account would send it
    /// although the rest is wrong.
    pub(crate) fn sender_alone(&self, now: Millis) -> Option<Mail> {
        let value = match &self.form {
            Form::Json(value) => Cow::Borrowed(value),
            Form::Bytes(bytes) => Cow::Owned(serde_json::from_slice(bytes).ok()?),
            Form::Templated(templated) => Cow::Borrowed(templated.mail()),
            Form::Parsed(_) | Form::Eml(_) => return None,
        };
        let from = value.get("from")?;
        let account = value.get("account").unwrap_or(&Value::Null);
        let pool = value.get("pool").unwrap_or(&Value::Null);
        let alone = serde_json::json!({ "from": from, "to": from, "text": "", "account": account, "pool": pool });
        Mail::from_json(&alone, now).ok()
    }
}

/// Whether JSON may have a field `template`; a backslash may spell it in another way.
fn may_name_template(json: &[u8]) -> bool {
    std::str::from_utf8(json).is_ok_and(|json| json.contains("template") || json.contains("\\u"))
}

/// JSON with its fields in order.
fn canonical(value: &Value, is_top: bool, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().filter(|(name, _)| !is_top || *name != "send_at").collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                out.extend(Value::from(name.as_str()).to_string().into_bytes());
                canonical(value, false, out);
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            list.iter().for_each(|value| {
                canonical(value, false, out);
                out.push(b',');
            });
            out.push(b']');
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            out.extend(other.to_string().into_bytes());
        }
    }
}

impl From<Mail> for Draft {
    fn from(mail: Mail) -> Self {
        Self::new(Form::Parsed(Box::new(mail)))
    }
}

impl From<Value> for Draft {
    fn from(value: Value) -> Self {
        Self::new(Form::Json(value))
    }
}

impl From<NewMail> for Draft {
    fn from(mail: NewMail) -> Self {
        Self::new(Form::Json(mail.to_json()))
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.form {
            Form::Parsed(_) => "parsed",
            Form::Json(_) | Form::Bytes(_) | Form::Templated(_) => "JSON",
            Form::Eml(_) => "a ready message",
        };
        write!(f, "Draft({form})")
    }
}
