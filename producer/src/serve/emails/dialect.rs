//! A mail in the dialect of Resend's API, turned into the form that every door of Postroom reads.
//!
//! Only names are changed in here, and what Postroom cannot do is refused with a reason; what clients send beside the docs is
//! `tolerance`. The one parser of mails looks at all the rest.

use postroom_shared::mail::{Fault, Faults};
use serde_json::{Map, Value};

use super::tolerance::read_kindly;

use crate::door::Refusal;

/// Files that Postroom would have to fetch: off, for whoever may send could make the server ask any address.
const BY_PATH: &str = "Postroom fetches no files: read the file yourself and give its bytes as content, in base64";
const TOPICS: &str = "Postroom has no topics: leave it out, and ask whoever unsubscribed yourself";
const BOTH: &str = "send_at is given, too, which means the same: give one of them";

/// The same mail in Postroom's own words, and what of it cannot be done.
pub(super) fn translate(mut mail: Value) -> (Value, Vec<Fault>) {
    let mut faults = Vec::new();
    if let Value::Object(fields) = &mut mail {
        read_kindly(fields);
        scheduled_at(fields, &mut faults);
        if fields.remove("topic_id").is_some_and(|topic| !topic.is_null()) {
            faults.push(fault("topic_id", TOPICS));
        }
        if let Some(Value::Array(attachments)) = fields.get_mut("attachments") {
            for (index, attachment) in attachments.iter_mut().enumerate() {
                if let Value::Object(attachment) = attachment {
                    self::attachment(attachment, index, &mut faults);
                }
            }
        }
    }
    (mail, faults)
}

fn scheduled_at(fields: &mut Map<String, Value>, faults: &mut Vec<Fault>) {
    let Some(at) = fields.remove("scheduled_at").filter(|at| !at.is_null()) else { return };
    if fields.get("send_at").is_some_and(|at| !at.is_null()) {
        faults.push(fault("scheduled_at", BOTH));
    }
    fields.insert("send_at".to_owned(), at);
}

fn attachment(fields: &mut Map<String, Value>, index: usize, faults: &mut Vec<Fault>) {
    if fields.remove("path").is_some_and(|path| !path.is_null()) {
        faults.push(fault(&format!("attachments[{index}].path"), BY_PATH));
        // One mistake, one fault: that there is no content needs no telling then.
        fields.entry("content").or_insert_with(|| String::new().into());
    }
}

fn fault(field: &str, message: &str) -> Fault {
    Fault { field: field.to_owned(), message: message.to_owned() }
}

/// The faults of a refusal by the names that stand in the request.
pub(super) fn told(refusal: &Refusal) -> Refusal {
    let renamed = refusal.faults().iter().map(|fault| match fault.field.as_str() {
        "send_at" => Fault { field: "scheduled_at".to_owned(), message: fault.message.clone() },
        _ => fault.clone(),
    });
    Refusal::unless_empty(renamed.collect()).unwrap_or_else(|| Faults::one("", "not a mail").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_change_and_nothing_else() {
        let table = [
            (json!({"scheduled_at": "x", "a": [1]}), json!({"send_at": "x", "a": [1]})),
            (json!({"scheduled_at": null, "topic_id": null}), json!({})),
            (
                json!({"attachments": [{"path": null, "filename": "a", "content": "aGk="}, "odd"]}),
                json!({"attachments": [{"filename": "a", "content": "aGk="}, "odd"]}),
            ),
            (json!(["no", "object"]), json!(["no", "object"])),
        ];
        for (given, expected) in table {
            assert_eq!(translate(given), (expected, Vec::new()));
        }
    }

    #[test]
    fn what_cannot_be_done_is_told_all_at_once() {
        let mail = json!({
            "scheduled_at": "x", "send_at": "y", "topic_id": "t", "attachments": [{}, {"path": "https://x.example/a.pdf"}]
        });
        let fields: Vec<_> = translate(mail).1.into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["scheduled_at", "topic_id", "attachments[1].path"]);
        let refusal = told(&Faults::one("send_at", "not a time").into());
        assert_eq!(refusal.to_string(), "scheduled_at: not a time");
    }
}
