//! The first words of an SMTP or IMAP server: whether it greets us, and whether it offers XOAUTH2. Sends no secret.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// More lines, or longer ones, are no greeting.
const MOST_LINES: usize = 100;
const LONGEST_LINE: u64 = 4_096;

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its first line, without the code.
    pub(crate) greeting: String,
    pub(crate) xoauth2: bool,
}

/// Greets an SMTP server, hears what it offers, and says goodbye.
///
/// # Errors
/// What it said instead; or how it fell silent.
pub(crate) async fn smtp(stream: impl AsyncRead + AsyncWrite + Unpin, name: &str) -> Result<Offer, String> {
    let mut stream = BufReader::new(stream);
    let greeting = smtp_reply(&mut stream, "220").await?;
    write(&mut stream, &format!("EHLO {name}\r\n")).await?;
    let offers = smtp_reply(&mut stream, "250").await?;
    let xoauth2 = offers.iter().skip(1).any(|line| {
        let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
        words.next().as_deref() == Some("AUTH") && words.any(|word| word == "XOAUTH2")
    });
    // It may be gone before it has heard that.
    let _ = write(&mut stream, "QUIT\r\n").await;
    Ok(Offer { greeting: greeting.into_iter().next().unwrap_or_default(), xoauth2 })
}

/// The texts of a reply's lines, if it has this code.
async fn smtp_reply<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, code: &str) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    while texts.len() < MOST_LINES {
        let line = line(stream).await?;
        let text = line.get(4..).unwrap_or_default().to_owned();
        if line.get(..3) != Some(code) {
            return Err(format!("it says: {line}"));
        }
        texts.push(text);
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(texts);
        }
    }
    Err("it does not come to the end of its reply".to_owned())
}

/// Hears an IMAP server's greeting and what it offers, and says goodbye.
///
/// # Errors
/// What it said instead; or how it fell silent.
pub(crate) async fn imap(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Offer, String> {
    let mut stream = BufReader::new(stream);
    let first = line(&mut stream).await?;
    let greeting = first.strip_prefix("* OK ").ok_or_else(|| format!("it says: {first}"))?.to_owned();
    write(&mut stream, "D1 CAPABILITY\r\n").await?;
    let mut xoauth2 = false;
    for _ in 0..MOST_LINES {
        let line = line(&mut stream).await?.to_ascii_uppercase();
        if line.starts_with("* CAPABILITY ") {
            xoauth2 |= line.split_ascii_whitespace().any(|word| word == "AUTH=XOAUTH2");
        } else if line.starts_with("D1 OK") {
            let _ = write(&mut stream, "D2 LOGOUT\r\n").await;
            return Ok(Offer { greeting, xoauth2 });
        } else if line.starts_with("D1 ") {
            return Err(format!("it says: {line}"));
        }
    }
    Err("it does not come to the end of its answer".to_owned())
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = stream.take(LONGEST_LINE).read_until(b'\n', &mut bytes).await.map_err(|error| lost(&error))?;
    if read == 0 {
        return Err("it closes the connection without a word".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> Result<(), String> {
    stream.write_all(text.as_bytes()).await.map_err(|error| lost(&error))?;
    stream.flush().await.map_err(|error| lost(&error))
}

fn lost(error: &io::Error) -> String {
    format!("the connection is lost: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says one text after another, each when it has heard a line.
    fn server(said: &'static [&'static str]) -> impl AsyncRead + AsyncWrite + Unpin {
        let (ours, theirs) = tokio::io::duplex(4_096);
        tokio::spawn(async move {
            let mut theirs = BufReader::new(theirs);
            for (index, text) in said.iter().enumerate() {
                if index > 0 {
                    line(&mut theirs).await.unwrap();
                }
                write(&mut theirs, text).await.unwrap();
            }
        });
        ours
    }

    #[tokio::test]
    async fn smtp_offers_are_heard() {
        let gmail: &[&str] = &["220-hello\r\n220 there\r\n", "250-x\r\n250-AUTH LOGIN XOAUTH2\r\n250 SIZE\r\n"];
        let heard = smtp(server(gmail), "me").await.unwrap();
        assert_eq!(heard, Offer { greeting: "hello".to_owned(), xoauth2: true });
        assert!(!smtp(server(&["220 x\r\n", "250-XOAUTH2 AUTH\r\n250 AUTH PLAIN\r\n"]), "me").await.unwrap().xoauth2);
        for (said, words) in [
            (&["421 4.7.0 try again later\r\n"][..], "421 4.7.0"),
            (&["220 x\r\n", "501 5.5.4 name\r\n"], "501"),
            (&[], "without a word"),
        ] {
            let error = smtp(server(said), "me").await.unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn imap_offers_are_heard() {
        let heard =
            imap(server(&["* OK hello\r\n", "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nD1 OK\r\n"])).await.unwrap();
        assert_eq!(heard, Offer { greeting: "hello".to_owned(), xoauth2: true });
        assert!(!imap(server(&["* OK x\r\n", "* CAPABILITY AUTH=PLAIN\r\nD1 OK\r\n"])).await.unwrap().xoauth2);
        assert!(imap(server(&["* BYE busy\r\n"])).await.unwrap_err().contains("BYE"));
        assert!(imap(server(&["* OK x\r\n", "D1 BAD\r\n"])).await.unwrap_err().contains("D1 BAD"));
    }
}
