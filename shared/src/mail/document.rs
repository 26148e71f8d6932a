//! JSON read so strictly that a field given twice is told; `serde_json` alone would keep the last one. An attachment's bytes
//! given as an array of numbers become base64 at once, and there is a bound on how many values there may be: what is read
//! takes little more memory than what was sent.
//!
//! Faults name fields and places, never values.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fault::{Faults, quoted};
use crate::address::mask_addresses;

/// Values in one document: several times what a batch of a hundred mails with all fields may have. A value takes some 32
/// bytes of memory, and can be sent in two.
const MOST_VALUES: usize = 200_000;
/// Characters of a field's name in the path, and of a path that is told: a name of megabytes is looked at, not repeated.
const MOST_NAME: usize = 100;
const MOST_PATH: usize = 200;

/// The document in `bytes`.
///
/// # Errors
/// If it is not JSON, names a field twice, or has too many values.
pub fn read(bytes: &[u8]) -> Result<Value, Faults> {
    let mut twice = Twice::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value =
        Node(&mut twice).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)).map_err(|error| {
            Faults::one("", if twice.values > MOST_VALUES { TOO_MANY.to_owned() } else { syntax(&error) })
        })?;
    twice.faults.or(value)
}

const TOO_MANY: &str = "more than 200,000 values: hand fewer mails over at once; bytes of attachments go in base64";

fn syntax(error: &serde_json::Error) -> String {
    format!("not JSON, from line {} column {} on: give one JSON object", error.line(), error.column())
}

/// Where the reader is, and the fields it met twice.
#[derive(Default)]
struct Twice {
    path: String,
    faults: Faults,
    values: usize,
}

impl Twice {
    fn is_content(&self) -> bool {
        let path = self.path.strip_suffix(".data").unwrap_or(&self.path);
        let attachment = path.strip_suffix("].content").map(|path| path.trim_end_matches(|c: char| c.is_ascii_digit()));
        attachment.is_some_and(|path| path.ends_with("attachments["))
    }

    /// One level down, at the field of this name.
    fn enter(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.extend(name.chars().take(MOST_NAME).map(|c| if c.is_control() { '?' } else { c }));
    }

    /// Where the reader is, fit to be told.
    fn place(&self) -> String {
        let short: String = self.path.chars().take(MOST_PATH).collect();
        mask_addresses(&short)
    }

    /// Bytes given as numbers, in base64.
    fn content<'de, A: SeqAccess<'de>>(&mut self, mut items: A) -> Result<Value, A::Error> {
        let (mut bytes, mut wrong) = (Vec::new(), false);
        while let Some(item) = items.next_element::<Value>()? {
            // JSON has one sort of numbers: 64.0 is 64.
            let whole = |number: &f64| number.fract() == 0.0 && (0.0..=255.0).contains(number);
            let byte = item.as_f64().filter(whole).map(|number| number as u8);
            wrong |= byte.is_none();
            bytes.push(byte.unwrap_or(0));
        }
        if wrong {
            self.faults.add(self.place(), "an array here holds bytes, numbers from 0 to 255; or give base64");
        }
        Ok(Value::String(STANDARD.encode(bytes)))
    }
}

struct Node<'a>(&'a mut Twice);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values += 1;
        if self.0.values > MOST_VALUES {
            return Err(serde::de::Error::custom(TOO_MANY));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if self.0.is_content() {
            return self.0.content(items);
        }
        let mut list = Vec::new();
        let outer = self.0.path.len();
        loop {
            let _ = write!(self.0.path, "[{}]", list.len());
            let Some(item) = items.next_element_seed(Node(&mut *self.0))? else { break };
            list.push(item);
            self.0.path.truncate(outer);
        }
        self.0.path.truncate(outer);
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let outer = self.0.path.len();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let place = self.0.place();
                self.0.faults.add(place, format!("the field {} is given twice: keep one", quoted(&key)));
            }
            self.0.enter(&key);
            let value = entries.next_value_seed(Node(&mut *self.0))?;
            self.0.path.truncate(outer);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a": [1, -2, 1.5, true, null, "x\n"], "b": {"c": {}}, "d": 18446744073709551615}"#;
        assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn tells_fields_given_twice_and_broken_documents() {
        let table = [
            (r#"{"to": "x", "to": "y"}"#, r#"the field "to" is given twice: keep one"#),
            (r#"{"a": [{}, {"n": 1, "n": 1}]}"#, r#"a[1]: the field "n" is given twice: keep one"#),
            ("{", "not JSON, from line 1 column 1 on: give one JSON object"),
            ("{} x", "not JSON, from line 1 column 4 on: give one JSON object"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected);
        }
        assert!(read("[".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn bytes_given_as_numbers_become_base64() {
        let text =
            r#"[{"attachments": [{"content": [104, 105]}, {"content": {"type": "Buffer", "data": [255.0, 0]}}]}]"#;
        let value = read(text.as_bytes()).unwrap();
        assert_eq!(value[0]["attachments"][0]["content"], "aGk=");
        assert_eq!(value[0]["attachments"][1]["content"]["data"], "/wA=");
        for bad in ["[256]", "[-1]", "[1.5]", "[\"a\"]", "[[1]]"] {
            let text = format!(r#"{{"attachments": [{{"content": {bad}}}]}}"#);
            let fault = read(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with("attachments[0].content: an array here holds bytes"), "{fault}");
        }
    }

    #[test]
    fn names_are_told_short_and_masked() {
        let long = "x".repeat(10_000);
        let text = format!(
            r#"{{"{long}": {{"n": 1, "n": 1}}, "bob@x.example": {{"attachments": [{{"content": ["a"]}}], "\\n": 1, "\\n": 2}}}}"#
        );
        let told = read(text.as_bytes()).unwrap_err().to_string();
        assert!(told.len() < 500 && !told.contains("bob") && !told.contains('\n'), "{told}");
        assert!(told.contains("b***@x.example.attachments[0].content"), "{told}");
    }

    #[test]
    fn many_values_are_refused_and_many_bytes_are_not() {
        let many = |path: &str| {
            let (open, close) = path.split_once('#').unwrap();
            format!("{open}[{}1]{close}", "1,".repeat(300_000))
        };
        assert!(read(many(r#"{"attachments":[{"content":#}]}"#).as_bytes()).is_ok());
        let fault = read(many(r#"{"headers":#}"#).as_bytes()).unwrap_err().to_string();
        assert!(fault.starts_with("more than 200,000 values"), "{fault}");
    }
}
