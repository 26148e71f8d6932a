//! The page that a person's browser shows at the end of a login. It runs nothing, loads nothing and holds no secret.

use super::ConsentError;

/// A whole HTTP answer with the outcome of a login.
pub(super) fn outcome(outcome: Result<(), &str>) -> Vec<u8> {
    match outcome {
        Ok(()) => answer("200 OK", "Logged in", "The account is logged in. You may close this window."),
        Err(why) => answer("400 Bad Request", "Not logged in", why),
    }
}

/// The answer to an answer of another login.
pub(super) fn mismatch() -> Vec<u8> {
    outcome(Err(&ConsentError::StateMismatch.to_string()))
}

/// The answer to anything that is no answer of a consent page.
pub(super) fn nothing_here() -> Vec<u8> {
    answer("404 Not Found", "Nothing here", "Here a consent page's answer is waited for, and nothing else.")
}

/// The answer to anything but `GET`.
pub(super) fn only_get() -> Vec<u8> {
    answer("405 Method Not Allowed", "Only GET", "Here a browser is waited for.")
}

fn answer(status: &str, title: &str, text: &str) -> Vec<u8> {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · Postroom</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}}\
         h1{{font-size:1.4rem;margin:0 0 .6rem}}p{{margin:0;overflow-wrap:anywhere}}p::first-letter{{text-transform:uppercase}}</style></head>\
         <body><h1>{title}</h1><p>{}</p></body></html>\n",
        escape(text)
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Text as it may stand in HTML: a server's words may be in it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_cannot_leave_their_place() {
        let text = String::from_utf8(outcome(Err("<script>&\"x\""))).unwrap();
        assert!(
            text.contains("<p>&lt;script&gt;&amp;&quot;x&quot;</p>") && text.starts_with("HTTP/1.1 400 "),
            "{text}"
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }
}
