//! The way to the SMTP, IMAP and token servers: name, port, certificate, first words.
//!
//! `look` sees, `judge` says what it means; no token is shown to anybody here.

use std::time::Duration;

use postroom_shared::clock::Millis;
use postroom_shared::dial::{Examined, Obstacle, Server, TlsDialer, examine_plain};

use super::dialogue::{self, Offer};
use super::finding::Finding;
use super::ids::Id;
use crate::doctor::settings::DoctorSettings;

/// For name, TCP and TLS together.
const LIMIT: Duration = Duration::from_secs(10);
/// A certificate that ends sooner should have been renewed.
const SOON: u64 = 14;
const DAY: u64 = 86_400_000;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Smtp,
    Imap,
    Token,
}

impl Which {
    fn setting(self) -> &'static str {
        match self {
            Self::Smtp => "POSTROOM_SMTP_URL",
            Self::Imap => "POSTROOM_IMAP_URL",
            Self::Token => "POSTROOM_TOKEN_URL",
        }
    }
}

/// What was seen of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Until when its certificate is valid.
    pub(crate) ends: Option<Millis>,
    /// Its first words; `None` for a server that does not speak first.
    pub(crate) offer: Option<Result<Offer, String>>,
}

/// Looks at one server and judges it.
pub(crate) async fn check(which: Which, settings: &DoctorSettings) -> Vec<Finding> {
    let server = match which {
        Which::Smtp => Some(Server { host: settings.smtp.host.clone(), connect: settings.smtp.connect.clone() }),
        Which::Imap => settings.imap.clone(),
        Which::Token => token_server(settings),
    };
    let Some(server) = server else {
        return vec![Finding::note(Id::ImapOff, "POSTROOM_IMAP_URL is off")];
    };
    let name = name_of(&server);
    let seen = look(which, server, settings).await;
    judge(which, &seen, Millis::now()).into_iter().map(|finding| finding.about(&name)).collect()
}

/// `smtp.gmail.com:465`, and where it is dialled if that is elsewhere.
fn name_of(server: &Server) -> String {
    let (host, port) = &server.connect;
    if *host == server.host { format!("{host}:{port}") } else { format!("{} at {host}:{port}", server.host) }
}

fn token_server(settings: &DoctorSettings) -> Option<Server> {
    let url = &settings.base.tokens.token_url;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Server { connect: (host.clone(), url.port_or_known_default()?), host })
}

async fn look(which: Which, server: Server, settings: &DoctorSettings) -> Result<Reached, Obstacle> {
    if which == Which::Token && settings.base.tokens.token_url.scheme() == "http" {
        // On loopback only: the settings see to that.
        let (host, port) = &server.connect;
        return examine_plain(host, *port, LIMIT).await.map(|()| Reached { ends: None, offer: None });
    }
    let dialer = TlsDialer::new(server, &settings.smtp.roots, LIMIT).map_err(Obstacle::Tls)?;
    let Examined { stream, ends } = dialer.examine().await?;
    let own = stream.get_ref().0.local_addr().map_or_else(|_| "127.0.0.1".to_owned(), |own| own.ip().to_string());
    let greeted = async {
        match which {
            Which::Smtp => {
                let name = settings.smtp.ehlo_name.clone().unwrap_or_else(|| literal(&own));
                Some(dialogue::smtp(stream, &name).await)
            }
            Which::Imap => Some(dialogue::imap(stream).await),
            Which::Token => None,
        }
    };
    let late = || Some(Err(format!("it does not say a word within {} s", LIMIT.as_secs())));
    let offer = tokio::time::timeout(LIMIT, greeted).await.unwrap_or_else(|_| late());
    Ok(Reached { ends, offer })
}

fn literal(own: &str) -> String {
    if own.contains(':') { format!("[IPv6:{own}]") } else { format!("[{own}]") }
}

/// What it means.
pub(crate) fn judge(which: Which, seen: &Result<Reached, Obstacle>, now: Millis) -> Vec<Finding> {
    let reached = match seen {
        Ok(reached) => reached,
        Err(obstacle) => return vec![obstructed(which, obstacle)],
    };
    let mut findings = Vec::new();
    let days = reached.ends.map(|ends| ends.0.saturating_sub(now.0) / DAY);
    if let Some(days) = days.filter(|days| *days < SOON) {
        findings.push(Finding::warning(Id::CertificateEnds, format!("its certificate ends in {days} days")));
    }
    let certificate = days.map(|days| format!(", certificate good for {days} days")).unwrap_or_default();
    match &reached.offer {
        Some(Err(words)) => findings.push(Finding::error(Id::ServerSilent, words.clone())),
        Some(Ok(offer)) if !offer.xoauth2 => {
            let what = format!("it greets ({}), but offers no AUTH XOAUTH2", offer.greeting);
            findings.push(Finding::error(Id::Xoauth2Missing, what));
        }
        Some(Ok(_)) => findings.push(Finding::ok(Id::Server, format!("reached, offers XOAUTH2{certificate}"))),
        None => findings.push(Finding::ok(Id::Server, format!("reached{certificate}"))),
    }
    findings
}

fn obstructed(which: Which, obstacle: &Obstacle) -> Finding {
    let (id, words) = match obstacle {
        Obstacle::Unresolved(words) => (Id::NameUnresolved, words),
        Obstacle::Unreachable(words) | Obstacle::Late(words) => (Id::PortClosed, words),
        Obstacle::OtherName(words) => (Id::CertificateName, words),
        Obstacle::UnknownAuthority(words) => (Id::CertificateAuthority, words),
        Obstacle::NotValidNow(words) => (Id::CertificateTime, words),
        Obstacle::Tls(words) => (Id::TlsFailed, words),
    };
    Finding::error(id, format!("{words} ({})", which.setting()))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    const NOW: Millis = Millis(1_795_000_000_000);

    fn of(which: Which, seen: Result<Reached, Obstacle>) -> Vec<(Id, Severity)> {
        judge(which, &seen, NOW).into_iter().map(|finding| (finding.id, finding.severity)).collect()
    }

    fn reached(days: u64, offer: Option<Result<Offer, String>>) -> Result<Reached, Obstacle> {
        Ok(Reached { ends: Some(Millis(NOW.0 + days * DAY)), offer })
    }

    #[test]
    fn what_keeps_us_from_a_server_is_named() {
        let words = || "words".to_owned();
        for (obstacle, id) in [
            (Obstacle::Unresolved(words()), Id::NameUnresolved),
            (Obstacle::Unreachable(words()), Id::PortClosed),
            (Obstacle::Late(words()), Id::PortClosed),
            (Obstacle::OtherName(words()), Id::CertificateName),
            (Obstacle::UnknownAuthority(words()), Id::CertificateAuthority),
            (Obstacle::NotValidNow(words()), Id::CertificateTime),
            (Obstacle::Tls(words()), Id::TlsFailed),
        ] {
            assert_eq!(of(Which::Smtp, Err(obstacle)), [(id, Severity::Error)]);
        }
    }

    #[test]
    fn what_a_server_offers_is_judged() {
        let offer = |xoauth2| Some(Ok(Offer { greeting: "hello".to_owned(), xoauth2 }));
        assert_eq!(of(Which::Smtp, reached(90, offer(true))), [(Id::Server, Severity::Ok)]);
        assert_eq!(of(Which::Imap, reached(90, offer(false))), [(Id::Xoauth2Missing, Severity::Error)]);
        assert_eq!(of(Which::Smtp, reached(90, Some(Err("421".to_owned())))), [(Id::ServerSilent, Severity::Error)]);
        assert_eq!(of(Which::Token, Ok(Reached { ends: None, offer: None })), [(Id::Server, Severity::Ok)]);
        let soon = [(Id::CertificateEnds, Severity::Warning), (Id::Server, Severity::Ok)];
        assert_eq!(of(Which::Smtp, reached(13, offer(true))), soon);
        assert_eq!(of(Which::Smtp, reached(14, offer(true))), soon[1..]);
    }
}
