//! The file in which Google's console hands an OAuth2 client out (`client_secret_….json`).

use postroom_shared::tokens::consent::OAuthClient;
use serde::Deserialize;

#[derive(Deserialize)]
struct Document {
    installed: Option<Client>,
    web: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
    #[serde(default)]
    client_secret: String,
}

/// Reads a client of the type "Desktop app". Its addresses are not read: the settings tell those.
///
/// # Errors
/// If it is none; nothing of the text is repeated.
pub fn read_client(json: &str) -> Result<OAuthClient, String> {
    const AGAIN: &str = "download the file of a client of the type \"Desktop app\" from Google Cloud's console";
    let document: Document =
        serde_json::from_str(json).map_err(|_| format!("it is not an OAuth2 client's JSON: {AGAIN}"))?;
    match (document.installed, document.web) {
        (Some(client), _) if !client.client_id.trim().is_empty() => {
            Ok(OAuthClient { id: client.client_id.trim().to_owned(), secret: client.client_secret.into() })
        }
        (None, Some(_)) => Err(format!("it is a client of the type \"Web application\": {AGAIN}")),
        (Some(_) | None, _) => Err(format!("there is no \"installed\" client in it: {AGAIN}")),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_desktop_client_is_read_and_no_other() {
        let json = r#"{"installed":{"client_id":"1-a.apps.googleusercontent.com","project_id":"p","client_secret":"GOCSPX-s",
            "auth_uri":"https://accounts.google.com/o/oauth2/auth","redirect_uris":["http://localhost"]}}"#;
        let client = read_client(json).unwrap();
        assert_eq!((client.id.as_str(), client.secret.expose_secret()), ("1-a.apps.googleusercontent.com", "GOCSPX-s"));
        for (json, word) in [
            (r#"{"web":{"client_id":"x","client_secret":"GOCSPX-s"}}"#, "Web application"),
            (r#"{"type":"service_account","private_key":"GOCSPX-s"}"#, "no \"installed\" client"),
            (r#"{"installed":{"client_id":" "}}"#, "no \"installed\" client"),
            ("GOCSPX-s", "not an OAuth2 client's JSON"),
        ] {
            let error = read_client(json).unwrap_err();
            assert!(error.contains(word) && !error.contains("GOCSPX"), "{error}");
        }
    }
}
