//! Looks the records of a sending domain up, at the system's resolvers or at a given one. Judges nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::dns::{Answer, GOOGLE, MOST_LOOKUPS, Records, Spf, is_dmarc, lookup_of, spf_records, terms};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Asks DNS.
pub(crate) struct Resolver(TokioResolver);

impl Resolver {
    /// The system's resolvers, or this one.
    ///
    /// # Errors
    /// If the system names none; the text says why.
    pub(crate) fn new(given: Option<SocketAddr>) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| format!("no resolver is set up: {error}");
        let mut builder = match given {
            None => TokioResolver::builder_tokio().map_err(|error| said(&error))?,
            Some(address) => {
                let at = |mut connection: ConnectionConfig| {
                    connection.port = address.port();
                    connection
                };
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at).into();
                let server = NameServerConfig::new(address.ip(), true, connections);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = ANSWER_WITHIN;
        options.attempts = 1;
        Ok(Self(builder.build().map_err(|error| said(&error))?))
    }

    /// The TXT records of a name.
    async fn txt(&self, name: &str) -> Answer {
        // With its final dot, so that no search list is tried.
        let found = match self.0.lookup(format!("{}.", name.trim_end_matches('.')), RecordType::TXT).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let text = |data: &RData| {
            let RData::TXT(txt) = data else { return None };
            Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>())
        };
        Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect())
    }

    /// All that is judged of a domain.
    pub(crate) async fn records(&self, domain: &str, selector: &str) -> Records {
        let key = format!("{selector}._domainkey.{domain}");
        let (spf, dkim, dmarc) = tokio::join!(self.spf(domain), self.txt(&key), self.dmarc(domain));
        Records { spf, selector: selector.to_owned(), dkim, dmarc }
    }

    /// The domain's SPF record, followed through its includes until a receiver would give up.
    async fn spf(&self, domain: &str) -> Spf {
        let records = self.txt(domain).await.map(|records| spf_records(&records));
        let mut spf = Spf { records, lookups: 0, google: false };
        let mut open: VecDeque<String> = match spf.records.as_deref() {
            Ok([record]) => VecDeque::from([record.clone()]),
            Ok(_) | Err(_) => return spf,
        };
        while let Some(record) = open.pop_front() {
            for term in terms(&record) {
                let (costs, target) = lookup_of(&term);
                spf.lookups += usize::from(costs);
                if spf.lookups > MOST_LOOKUPS {
                    return spf;
                }
                let Some(target) = target else { continue };
                spf.google |= target.trim_end_matches('.') == GOOGLE;
                let included = self.txt(target).await.unwrap_or_default();
                open.extend(spf_records(&included));
            }
        }
        spf
    }

    /// The DMARC record of the domain, or of the nearest domain above it that has one.
    async fn dmarc(&self, domain: &str) -> Answer {
        let mut at = domain;
        loop {
            let records = self.txt(&format!("_dmarc.{at}")).await?;
            let above = at.split_once('.').map(|(_, above)| above).filter(|above| above.contains('.'));
            match above {
                Some(above) if !records.iter().any(|record| is_dmarc(record)) => at = above,
                Some(_) | None => return Ok(records),
            }
        }
    }
}
