//! What clients written for Resend's API send that is no mistake, though it is not how the docs say: turned into what is meant.
//!
//! Each case names who sends it. Nothing that a person could mean otherwise is changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Headers that Rails adds to a mail that it shows in its log; Postroom writes its own.
const FROM_RAILS: [&str; 5] = ["date", "message-id", "mime-version", "content-type", "content-transfer-encoding"];

/// Changes what stands in a mail.
pub(super) fn read_kindly(mail: &mut Map<String, Value>) {
    for field in ["to", "cc", "bcc", "reply_to"] {
        if let Some(addresses) = mail.get_mut(field) {
            as_list(addresses);
        }
    }
    match mail.get_mut("headers") {
        Some(Value::Object(headers)) => kind_headers(headers),
        // PHP writes an empty map so.
        Some(Value::Array(list)) if list.is_empty() => drop(mail.remove("headers")),
        _ => {}
    }
    if let Some(Value::Array(tags)) = mail.get_mut("tags") {
        // Python's tags may go without a value.
        for tag in tags.iter_mut().filter_map(Value::as_object_mut) {
            tag.entry("value").or_insert_with(|| Value::String(String::new()));
        }
    }
    if let Some(Value::Array(attachments)) = mail.get_mut("attachments") {
        for (index, attachment) in attachments.iter_mut().enumerate() {
            if let Value::Object(attachment) = attachment {
                kind_attachment(attachment, index);
            }
        }
    }
}

/// PHP writes a list from which something was taken out as a map with numbers for names: `{"1": "x@y.example"}`.
fn as_list(value: &mut Value) {
    if let Value::Object(map) = value
        && !map.is_empty()
        && map.keys().all(|key| key.bytes().all(|byte| byte.is_ascii_digit()))
    {
        *value = Value::Array(std::mem::take(map).into_iter().map(|(_, value)| value).collect());
    }
}

fn kind_headers(headers: &mut Map<String, Value>) {
    headers.retain(|name, _| !FROM_RAILS.contains(&name.to_ascii_lowercase().as_str()));
    for value in headers.values_mut().filter(|value| value.is_number()) {
        *value = Value::String(value.to_string()); // Rails, again.
    }
}

fn kind_attachment(attachment: &mut Map<String, Value>, index: usize) {
    // The Rust and Node clients let it be left out; Node's type allows false.
    if matches!(attachment.get("filename"), None | Some(Value::Null | Value::Bool(false))) {
        attachment.insert("filename".to_owned(), format!("attachment-{}", index + 1).into());
    }
    if let Some(id) = attachment.remove("inline_content_id") {
        attachment.entry("content_id").or_insert(id); // Python's second name for it.
    }
    if let Some(content) = attachment.get("content").and_then(bytes_of) {
        attachment.insert("content".to_owned(), content);
    }
    // Laravel gives the text of an invitation as it is.
    let is_calendar =
        attachment.get("content_type").and_then(Value::as_str).is_some_and(|t| t.starts_with("text/calendar"));
    if let Some(Value::String(content)) = attachment.get_mut("content")
        && is_calendar
        && content.starts_with("BEGIN:VCALENDAR")
    {
        *content = STANDARD.encode(content.as_bytes());
    }
}

/// What Node's `JSON.stringify` makes of bytes: of a Buffer `{"type": "Buffer", "data": …}` (its numbers were turned into
/// base64 when the document was read), of a `Uint8Array` `{"0": 104, "1": 105}`.
fn bytes_of(content: &Value) -> Option<Value> {
    let map = content.as_object()?;
    if map.get("type").is_some_and(|kind| kind == "Buffer") {
        return map.get("data").cloned();
    }
    let byte = |index: usize| u8::try_from(map.get(&index.to_string())?.as_u64()?).ok();
    let bytes: Vec<u8> = (0..map.len()).map(byte).collect::<Option<_>>()?;
    (!bytes.is_empty()).then(|| Value::String(STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_clients_own_way_is_understood() {
        let table = [
            (json!({"to": {"1": "x@y.example"}, "cc": ["a"]}), json!({"to": ["x@y.example"], "cc": ["a"]})),
            (json!({"to": {"name": "x"}}), json!({"to": {"name": "x"}})),
            (json!({"headers": []}), json!({})),
            (
                json!({"headers": {"Date": "now", "MESSAGE-ID": "<1>", "X-Count": 3, "X-A": "1"}}),
                json!({"headers": {"X-Count": "3", "X-A": "1"}}),
            ),
            (json!({"tags": [{"name": "a"}, "b"]}), json!({"tags": [{"name": "a", "value": ""}, "b"]})),
            (
                json!({"attachments": [{"content": {"type": "Buffer", "data": "aGk="}, "filename": false}]}),
                json!({"attachments": [{"content": "aGk=", "filename": "attachment-1"}]}),
            ),
            (
                json!({"attachments": [{"content": {"0": 104, "1": 105}, "filename": "a", "inline_content_id": "c"}]}),
                json!({"attachments": [{"content": "aGk=", "filename": "a", "content_id": "c"}]}),
            ),
            (
                json!({"attachments": [{"content": {"0": 104, "2": 105}, "filename": "a"}]}),
                json!({"attachments": [{"content": {"0": 104, "2": 105}, "filename": "a"}]}),
            ),
            (
                json!({"attachments": [{"content": "BEGIN:VCALENDAR", "content_type": "text/calendar", "filename": "i"}]}),
                json!({"attachments": [{"content": "QkVHSU46VkNBTEVOREFS", "content_type": "text/calendar", "filename": "i"}]}),
            ),
        ];
        for (given, expected) in table {
            let mut mail = given.as_object().unwrap().clone();
            read_kindly(&mut mail);
            assert_eq!(Value::Object(mail), expected, "{given}");
        }
    }
}
