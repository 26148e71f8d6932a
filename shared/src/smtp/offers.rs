//! What the server offers in its answer to `EHLO`. lettre keeps only part of it, so the raw lines are read here.

/// The extensions we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// Several commands in one flight.
    pub pipelining: bool,
    /// `BDAT`.
    pub chunking: bool,
    /// `SIZE=` at `MAIL`.
    pub size: bool,
    /// Bodies that are not ASCII.
    pub eight_bit: bool,
    /// Addresses and headers that are not ASCII.
    pub smtputf8: bool,
    /// `AUTH XOAUTH2`.
    pub xoauth2: bool,
}

impl Offers {
    /// From all that the server has said so far: its greeting, then its answer to `EHLO`.
    pub(super) fn parse(said: &[u8]) -> Self {
        let text = String::from_utf8_lossy(said);
        let mut lines = text.lines();
        let _greeting = lines.by_ref().find(|line| line.as_bytes().get(3) != Some(&b'-'));
        let mut offers = Self::default();
        for line in lines.skip(1) {
            let mut words = line.get(4..).unwrap_or_default().split_ascii_whitespace().map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("PIPELINING") => offers.pipelining = true,
                Some("CHUNKING") => offers.chunking = true,
                Some("SIZE") => offers.size = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.smtputf8 = true,
                Some("AUTH") => offers.xoauth2 = words.any(|word| word == "XOAUTH2"),
                Some(_) | None => {}
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gmails_offers_are_read() {
        let said = b"220-smtp.gmail.com ESMTP\r\n220 PIPELINING is not offered here\r\n\
            250-smtp.gmail.com at your service, [1.2.3.4]\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n\
            250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH\r\n250-ENHANCEDSTATUSCODES\r\n\
            250-pipelining\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n";
        let all =
            Offers { pipelining: true, chunking: true, size: true, eight_bit: true, smtputf8: true, xoauth2: true };
        assert_eq!(Offers::parse(said), all);
        assert_eq!(Offers::parse(b"220 x CHUNKING\r\n250 PIPELINING\r\n"), Offers::default());
        assert_eq!(Offers::parse(b"220 x\r\n250-x\r\n250 AUTH PLAIN\r\n"), Offers::default());
    }
}
