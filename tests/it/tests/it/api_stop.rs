//! SIGTERM under load: what was read is answered, what was answered with 200 is stored, and nothing else is.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use postroom_it::{PATIENCE, Rig, until};
use postroom_shared::queue::ListFilter;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHOP: &str = "shop@example.com";
const CLIENTS: usize = 8;

fn request(key: &str, to: &str, more: &str) -> (String, String) {
    let body =
        json!({ "from": SHOP, "to": [to], "subject": "Your order", "text": "Thank you. ".repeat(200) }).to_string();
    let head = format!(
        "POST /emails HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}

/// The status and the id in an answer; `None`: there is none.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body: serde_json::Value = serde_json::from_str(text.split("\r\n\r\n").nth(1)?).ok()?;
    Some((status, body["id"].as_str().unwrap_or_default().to_owned()))
}

/// One mail over a connection of its own.
async fn hand_over(address: &str, key: &str, to: &str) -> std::io::Result<Option<(u16, String)>> {
    let mut stream = TcpStream::connect(address).await?;
    let (head, body) = request(key, to, "Connection: close\r\n");
    let mut answer = Vec::new();
    // Refused after the connection stood: the server had stopped before it was taken.
    if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err()
        || stream.read_to_end(&mut answer).await.is_err()
    {
        return Ok(None);
    }
    Ok(read(&answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_accepted_mail_and_answers_what_is_under_way() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let mut api = rig.serve(&[("POSTROOM_API_RATE", "0")]).await.unwrap();
    let address = api.base.strip_prefix("http://").unwrap().to_owned();
    let (answered, cut) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, key) = (address.clone(), api.key.clone());
            let (answered, cut) = (Arc::clone(&answered), Arc::clone(&cut));
            tokio::spawn(async move {
                for number in 0.. {
                    match hand_over(&address, &key, &format!("{client}-{number}@example.org")).await {
                        Ok(Some((200, id))) => drop(answered.lock().unwrap().insert(id)),
                        Ok(Some((status, _))) => panic!("{status}"),
                        Ok(None) => drop(cut.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => return, // Nobody listens any more.
                    }
                }
            })
        })
        .collect();
    // One whose body is half there when the server is told to stop, and one whose head is.
    let (head, body) = request(&api.key, "half@example.org", "");
    let mut half_body = TcpStream::connect(&address).await.unwrap();
    half_body.write_all(format!("{head}{}", &body[..100]).as_bytes()).await.unwrap();
    let mut half_head = TcpStream::connect(&address).await.unwrap();
    half_head.write_all(&head.as_bytes()[..50]).await.unwrap();
    until("mails to be answered", PATIENCE, || async { Ok((answered.lock().unwrap().len() > 200).then_some(())) })
        .await
        .unwrap();
    api.process.signal("TERM").await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
    assert!(TcpStream::connect(&address).await.is_err(), "no more connections are taken");
    let mut answer = Vec::new();
    half_body.write_all(&body.as_bytes()[100..]).await.unwrap();
    half_body.read_to_end(&mut answer).await.unwrap();
    let late = read(&answer).unwrap();
    assert_eq!(late.0, 200, "{}", String::from_utf8_lossy(&answer));
    answered.lock().unwrap().insert(late.1);
    half_head.write_all(format!("{}{body}", &head[50..]).as_bytes()).await.unwrap();
    answer.clear();
    half_head.read_to_end(&mut answer).await.unwrap();
    let late = read(&answer).unwrap();
    assert_eq!(late.0, 200, "{}", String::from_utf8_lossy(&answer));
    answered.lock().unwrap().insert(late.1);
    assert!(api.process.wait(PATIENCE).await.unwrap().success(), "{}", api.process.log());

    let queue = rig.queue().await.unwrap();
    let stored = queue.list(&ListFilter { limit: 1_000_000, ..ListFilter::default() }).await.unwrap();
    let stored: BTreeSet<String> = stored.iter().map(|mail| mail.id.to_string()).collect();
    println!("{} answered with 200, {} not taken any more", stored.len(), cut.load(Ordering::Relaxed));
    assert_eq!(stored, *answered.lock().unwrap(), "each request that was read was answered");
}
