//! Forms and queries: what a page was asked for, in pairs of name and value.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request};
use axum::http::{StatusCode, header};
use url::form_urlencoded;

use super::trouble::Trouble;
use crate::serve::{App, Payload};

/// No form of ours is larger.
const LARGEST: u64 = 64 << 10;

/// What was filled in.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The query of an address.
    pub(super) fn of_query(query: Option<String>) -> Self {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    /// The body of a request.
    pub(super) async fn read(request: Request, app: &Arc<App>) -> Result<Self, Trouble> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_none_or(|length| length > LARGEST) {
            let what = "This is no form of the dashboard's.";
            return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, what, "Go back and try again."));
        }
        let payload = Payload::from_request(request, app).await.map_err(Trouble::from)?;
        Ok(Self::parse(&payload.bytes))
    }

    /// What stands in a field; `None`: nothing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs.find(|(other, _)| other == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// All that stands in a field of several values.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.trim())
    }

    /// The same with only these fields, as a query.
    pub(super) fn only(&self, names: &[&str]) -> String {
        let pairs: Vec<(&str, &str)> = names.iter().filter_map(|name| Some((*name, self.get(name)?))).collect();
        query(&pairs)
    }
}

/// Pairs as a query.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_read() {
        let form = Form::parse(b"q=a%40b.example+&state=&tag=x&tag=%3Cy%3E");
        assert_eq!((form.get("q"), form.get("state"), form.get("none")), (Some("a@b.example"), None, None));
        assert_eq!(form.all("tag").collect::<Vec<_>>(), ["x", "<y>"]);
        assert_eq!(form.only(&["q", "state"]), "q=a%40b.example");
    }
}
