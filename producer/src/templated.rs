//! Mails that name a template: what such a mail says of it, and the mail that comes of it.
//!
//! A mail with an idempotency key is known again by the template as it was named and its variables, not by what came out: the
//! template may have changed between two tries of one mail. Nothing in here knows how a template is rendered.

use std::fmt::Write as _;
use std::sync::Arc;

use postroom_shared::mail::{Fault, Faults, unknown};
use postroom_shared::templates::TemplateRef;
use serde_json::{Map, Value};

const FIELD: &str = "template";
const VARIABLES: &str = "variables";
/// The fields of `template`, if it is an object.
const FIELDS: [&str; 3] = ["id", "version", VARIABLES];

/// Subject and body of a mail.
pub(crate) struct Filled {
    pub(crate) subject: String,
    pub(crate) html: Option<String>,
    pub(crate) text: Option<String>,
}

/// A template that is ready: makes subject and body of variables, or says what is wrong.
pub(crate) trait Fill: Send + Sync {
    fn fill(&self, variables: &Value) -> Result<Filled, String>;
}

/// A mail that names a template.
#[derive(Clone)]
pub(crate) struct Templated {
    /// The mail as JSON, without template and variables.
    mail: Value,
    /// The template; `None` if it could not be told which.
    wanted: Option<TemplateRef>,
    variables: Value,
    ready: Option<Arc<dyn Fill>>,
    faults: Vec<Fault>,
}

impl Templated {
    /// The mail that `value` is, if it names a template; else `value`.
    pub(crate) fn of(value: Value) -> Result<Self, Value> {
        let Value::Object(mut mail) = value else { return Err(value) };
        let Some(said) = taken(&mut mail, FIELD) else { return Err(Value::Object(mail)) };
        let beside = taken(&mut mail, VARIABLES);
        let mut templated =
            Self { mail: Value::Null, wanted: None, variables: Value::Null, ready: None, faults: Vec::new() };
        templated.read(said, beside);
        for field in ["html", "text"] {
            if taken(&mut mail, field).is_some() {
                templated.add(field, "the template makes the body: leave this out");
            }
        }
        if mail.get("subject").is_some_and(|subject| subject.is_null() || subject == "") {
            mail.remove("subject");
        }
        templated.mail = Value::Object(mail);
        Ok(templated)
    }

    fn read(&mut self, said: Value, beside: Option<Value>) {
        let (id, version, within) = match said {
            Value::Object(mut fields) => {
                for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
                    self.faults.push(Fault { field: FIELD.to_owned(), message: unknown("field", name, &FIELDS) });
                }
                (taken(&mut fields, "id"), taken(&mut fields, "version"), taken(&mut fields, VARIABLES))
            }
            id @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                (Some(id), None, None)
            }
        };
        match read_name(id.as_ref(), version.as_ref()) {
            Ok(wanted) => self.wanted = Some(wanted),
            Err(message) => self.add(FIELD, message),
        }
        if beside.is_some() && within.is_some() {
            self.add(VARIABLES, "variables are given within template, too: give them once");
        }
        self.variables = beside.or(within).unwrap_or_else(|| Value::Object(Map::new()));
        if !self.variables.is_object() {
            self.add(VARIABLES, "expected an object of names and values");
        }
    }

    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(Fault { field: field.to_owned(), message: message.into() });
    }

    /// The template that has to be found.
    pub(crate) fn wanted(&self) -> Option<&TemplateRef> {
        self.wanted.as_ref()
    }

    /// Tells it what was found.
    pub(crate) fn found(&mut self, found: Result<Arc<dyn Fill>, Fault>) {
        match found {
            Ok(ready) => self.ready = Some(ready),
            Err(fault) => self.faults.push(fault),
        }
    }

    /// The mail without what the template makes: for telling its sender.
    pub(crate) fn mail(&self) -> &Value {
        &self.mail
    }

    /// The mail with the subject and the body that the template makes, and all that is wrong. A subject of its own stays.
    pub(crate) fn filled(&self) -> (Value, Vec<Fault>) {
        let mut faults = self.faults.clone();
        let mut mail = self.mail.clone();
        let filled = match &self.ready {
            Some(ready) if faults.is_empty() => ready.fill(&self.variables).map_err(|message| {
                faults.push(Fault { field: FIELD.to_owned(), message });
            }),
            Some(_) | None => Err(()),
        };
        match filled {
            Ok(Filled { subject, html, text }) => {
                set(&mut mail, "html", html);
                set(&mut mail, "text", text);
                if mail.get("subject").is_none() {
                    set(&mut mail, "subject", Some(subject));
                }
            }
            // So that the rest of the mail can be looked at, too.
            Err(()) => set(&mut mail, "text", Some(String::new())),
        }
        (mail, faults)
    }

    /// What was given, for a fingerprint.
    pub(crate) fn given(&self) -> Value {
        let mut given = self.mail.clone();
        set(&mut given, FIELD, self.wanted.as_ref().map(ToString::to_string));
        if let Value::Object(fields) = &mut given {
            fields.insert(VARIABLES.to_owned(), self.variables.clone());
        }
        given
    }

    /// The mail by which a second try is known again: with the template's name and the variables as its text. `None`: it has no
    /// idempotency key.
    pub(crate) fn as_asked(&self) -> Option<Value> {
        self.mail.get("idempotency_key").filter(|key| !key.is_null())?;
        let mut asked = self.mail.clone();
        let name = self.wanted.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut text = format!("template {name}\n");
        write_sorted(&self.variables, &mut text);
        set(&mut asked, "text", Some(text));
        Some(asked)
    }
}

/// All faults of a mail: its template's, then those of the rest.
pub(crate) fn joined(faults: Vec<Fault>, rest: Option<Faults>) -> Faults {
    let mut all = Faults::default();
    let rest = rest.iter().flatten().cloned().collect::<Vec<_>>();
    for Fault { field, message } in faults.into_iter().chain(rest) {
        all.add(field, message);
    }
    all
}

fn read_name(id: Option<&Value>, version: Option<&Value>) -> Result<TemplateRef, String> {
    let Some(Value::String(id)) = id else {
        return Err("expected a template's name, such as \"welcome\" or \"welcome@3\", or an object with id".to_owned());
    };
    let mut wanted: TemplateRef = id.parse()?;
    if let Some(version) = version {
        let number = version.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        let number = number.ok_or("the version is no number of a version: 1 or higher")?;
        if wanted.version.is_some_and(|named| named != number) {
            return Err("two versions are named: name one".to_owned());
        }
        wanted.version = Some(number);
    }
    Ok(wanted)
}

/// A field that is given, taken out; null means not given.
fn taken(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

fn set(mail: &mut Value, field: &str, value: Option<String>) {
    if let (Value::Object(fields), Some(value)) = (mail, value) {
        fields.insert(field.to_owned(), Value::String(value));
    }
}

/// JSON with the fields of each object in order, whatever order they came in.
fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in fields {
                let _ = write!(out, "{name:?}:");
                write_sorted(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            let _ = write!(out, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Echo;

    impl Fill for Echo {
        fn fill(&self, variables: &Value) -> Result<Filled, String> {
            if variables.get("fail").is_some() {
                return Err("welcome/body.html, line 1: no".to_owned());
            }
            Ok(Filled { subject: "Hi".into(), html: Some("<p>".into()), text: Some(variables.to_string()) })
        }
    }

    fn mail(more: Value) -> Value {
        let mut mail = json!({ "from": "a@example.com", "to": "b@example.org", "idempotency_key": "k" });
        mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mail
    }

    fn of(more: Value) -> Templated {
        let mut templated = Templated::of(mail(more)).ok().unwrap();
        templated.found(Ok(Arc::new(Echo)));
        templated
    }

    #[test]
    fn the_ways_to_name_a_template() {
        let ways = [
            json!({ "template": "welcome@3", "variables": { "a": 1 } }),
            json!({ "template": { "id": "welcome", "version": 3, "variables": { "a": 1 } } }),
            json!({ "template": { "id": "welcome@3" }, "variables": { "a": 1 }, "subject": "", "html": null }),
        ];
        for way in ways {
            let templated = of(way);
            assert_eq!(templated.wanted().unwrap().to_string(), "welcome@3");
            let (mail, faults) = templated.filled();
            assert_eq!(faults, []);
            assert_eq!(
                (&mail["subject"], &mail["html"], &mail["text"]),
                (&json!("Hi"), &json!("<p>"), &json!("{\"a\":1}"))
            );
            assert!(mail.get("template").is_none() && mail.get("variables").is_none());
        }
        assert_eq!(of(json!({ "template": "w", "subject": "Mine" })).filled().0["subject"], "Mine");
        assert!(Templated::of(mail(json!({ "text": "x" }))).is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let table = [
            (json!({ "template": 7 }), "template: expected a template's name"),
            (json!({ "template": { "id": "w", "versoin": 1 } }), "did you mean \"version\"?"),
            (json!({ "template": { "id": "w@1", "version": 2 } }), "template: two versions are named"),
            (json!({ "template": { "id": "w", "version": 0 } }), "template: the version is no number"),
            (json!({ "template": "W" }), "template: not the name of a template"),
            (json!({ "template": "w", "html": "<p>" }), "html: the template makes the body"),
            (json!({ "template": "w", "variables": [] }), "variables: expected an object"),
            (
                json!({ "template": { "id": "w", "variables": {} }, "variables": {} }),
                "variables: variables are given within",
            ),
            (json!({ "template": "w", "variables": { "fail": 1 } }), "template: welcome/body.html, line 1: no"),
        ];
        for (more, words) in table {
            let (_, faults) = of(more).filled();
            let told = joined(faults, None).to_string();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_second_try_is_known_by_what_was_asked() {
        let asked = |more| of(more).as_asked().unwrap();
        let one = asked(json!({ "template": "w", "variables": { "b": [1, { "y": 1, "x": 2 }], "a": "1" } }));
        assert_eq!(one["text"], "template w\n{\"a\":\"1\",\"b\":[1,{\"x\":2,\"y\":1,},],}");
        assert_eq!(
            one,
            asked(json!({ "template": { "id": "w", "variables": { "a": "1", "b": [1, { "x": 2, "y": 1 }] } } }))
        );
        assert_ne!(one, asked(json!({ "template": "w@1", "variables": { "a": "1", "b": [1, { "x": 2, "y": 1 }] } })));
        assert_ne!(one, asked(json!({ "template": "w", "variables": { "a": 1, "b": [1, { "x": 2, "y": 1 }] } })));
        assert!(of(json!({ "template": "w", "idempotency_key": null })).as_asked().is_none());
    }
}
