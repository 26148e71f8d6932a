//! A stand-in for DNS: TXT records on a free loopback port. Every other name does not exist.

use std::collections::HashMap;
use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running stand-in. It ends when it is dropped.
pub struct DnsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DnsServer {
    /// Starts one with these names and their TXT records.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(records: &[(&str, &str)]) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let mut by_name: HashMap<String, Vec<String>> = HashMap::new();
        for (name, text) in records {
            by_name.entry(format!("{name}.")).or_default().push((*text).to_owned());
        }
        let task = tokio::spawn(async move {
            let mut buffer = [0_u8; 4_096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = answer(&buffer[..length], &by_name) {
                    // Who asked asks again.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, task })
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn answer(question: &[u8], records: &HashMap<String, Vec<String>>) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let texts = records.get(&query.name().to_ascii().to_lowercase());
    if texts.is_none() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    for text in texts.into_iter().flatten().filter(|_| query.query_type() == RecordType::TXT) {
        // A text of more than 255 bytes comes in parts.
        let parts = text.as_bytes().chunks(255).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::TXT(TXT::new(parts))));
    }
    answer.add_query(query);
    answer.to_vec().ok()
}
