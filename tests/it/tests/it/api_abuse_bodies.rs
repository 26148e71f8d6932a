//! Bodies that are too large, too deep, too many or grow while they are read: refused or put off within the server's memory,
//! while others are served.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::siege::{Limits, SHOP, Siege, mail, read_to_end, status};

const GIB: usize = 1 << 30;

/// Sends a gibibyte, or as much of it as the server takes; answers the status and how much went.
async fn send_gibibyte(siege: &Siege, head: String, chunked: bool) -> (u16, usize) {
    let (mut read, mut write) = siege.connect().await.into_split();
    let sending = tokio::spawn(async move {
        let mut piece = vec![b' '; 1 << 16];
        if chunked {
            piece = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
        }
        let mut sent = 0;
        if write.write_all(head.as_bytes()).await.is_ok() {
            while sent < GIB && write.write_all(&piece).await.is_ok() {
                sent += 1 << 16;
            }
        }
        sent
    });
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer).await;
    drop(read);
    (status(&answer), sending.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_is_refused_announced_or_not() {
    let siege = Siege::lay(Limits::default()).await;
    let announced = siege.head(&format!("Content-Length: {GIB}\r\n"));
    let chunked = siege.head("Transfer-Encoding: chunked\r\n");
    let keyless = format!("POST /emails HTTP/1.1\r\nHost: x\r\nContent-Length: {GIB}\r\n\r\n");
    let all = siege.under("12 bodies of 1 GiB: announced, chunked, without a key", async {
        let kinds = [(&announced, false, 413), (&chunked, true, 413), (&keyless, false, 401)];
        join_all((0..12).map(|number| {
            let (head, chunked, expected) = kinds[number % 3];
            let siege = &siege;
            async move { (expected, send_gibibyte(siege, head.clone(), chunked).await) }
        }))
        .await
    });
    for (expected, (status, _sent)) in all.await {
        // A chunked one may also meet others of its kind, and be put off before its size is known.
        assert!(status == expected || (expected == 413 && status == 503), "{status} for {expected}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_too_deep_or_of_millions_of_values_are_refused() {
    let siege = Siege::lay(Limits::default()).await;
    let size = 7 << 20;
    let around = |field: &str, value: &str| {
        format!(r#"{{"from":"{SHOP}","to":["a@example.org"],"text":"x","{field}":{value}}}"#)
    };
    let bodies = [
        ("deep arrays", "[".repeat(size)),
        ("deep objects", r#"{"a":"#.repeat(size / 5)),
        ("a deep field", around("headers", &(r#"{"a":"#.repeat(size / 6) + "1" + &"}".repeat(size / 6)))),
        ("numbers", format!("[{}0]", "0,".repeat(size / 2))),
        ("empty arrays", format!("[{}[]]", "[],".repeat(size / 3))),
        ("recipients", around("cc", &format!("[{}\"\"]", "\"\",".repeat(size / 3)))),
        ("fields", format!("{{{}\"z\":0}}", (0..size / 12).map(|n| format!("\"f{n:06}\":0,")).collect::<String>())),
        ("tags", around("tags", &format!("[{}{{}}]", "{},".repeat(size / 3)))),
        ("attachments", around("attachments", &format!("[{}{{}}]", "{},".repeat(size / 3)))),
        ("a long number", around("ttl", &"9".repeat(size))),
        ("escapes", around("subject", &format!("\"{}\"", r"\u0041".repeat(size / 6)))),
        ("a batch of numbers", format!("[{}{}]", "[0],".repeat(99), "0,".repeat(size / 2) + "0")),
    ];
    let all = siege.under("deep documents, and documents of millions of values", async {
        let mut all = Vec::new();
        for (what, body) in &bodies {
            let answers = join_all((0..3).map(|_| siege.post(body.as_bytes()))).await;
            println!("  {what}: {answers:?}");
            all.push((*what, answers));
        }
        all
    });
    for (what, answers) in all.await {
        assert!(answers.iter().all(|status| [400, 422, 503].contains(status)), "{what}: {answers:?}");
        assert!(answers.iter().any(|status| *status != 503), "{what}: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_attachments_in_every_form_and_number_stay_within_the_memory() {
    // Room for two of them at once.
    let siege = Siege::lay(Limits { memory_mib: 96, ..Limits::default() }).await;
    let with = |content: String| {
        let mut mail = mail();
        mail["attachments"] = json!([{ "filename": "a.bin", "content": "@" }]);
        mail.to_string().replace("\"@\"", &content)
    };
    let size = 7 << 20;
    let zeros = with(format!("\"{}\"", STANDARD.encode(vec![0; size / 4 * 3])));
    let numbers = with(format!("[{}0]", "0,".repeat(size / 2)));
    let lines = with(format!("\"{}\"", "AAAA\\n".repeat(size / 6)));
    let many = {
        let mut mail = mail();
        let one = json!({ "filename": "a.txt", "content": STANDARD.encode("x".repeat(500)) });
        mail["attachments"] = vec![one; 9_000].into();
        mail.to_string()
    };
    let text = {
        let mut mail = mail();
        mail["html"] = format!("<p>{}</p>", "&amp;".repeat(size / 5)).into();
        mail.to_string()
    };
    let bodies = [zeros, numbers, lines, many, text];
    let begun = Instant::now();
    let all = siege.under("20 callers with 7 MiB each, again and again for 8 s", async {
        join_all((0..20).map(|number| {
            let (siege, body) = (&siege, &bodies[number % bodies.len()]);
            async move {
                let mut answers = BTreeMap::new();
                while begun.elapsed() < Duration::from_secs(8) {
                    *answers.entry(siege.post(body.as_bytes()).await).or_insert(0_u64) += 1;
                }
                answers
            }
        }))
        .await
    });
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, count) in all.await.into_iter().flatten() {
        *counts.entry(status).or_default() += count;
    }
    println!("answers: {counts:?}");
    assert!(counts.keys().all(|status| [200, 422, 503].contains(status)), "{counts:?}");
    assert!(counts[&200] > 0 && counts[&503] > 0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_after_a_large_body_leave_nothing_behind() {
    let siege = Siege::lay(Limits::default()).await;
    let mut large = mail();
    large["attachments"] = json!([{ "filename": "a.bin", "content": STANDARD.encode(vec![0; 5 << 20]) }]);
    let body = large.to_string();
    let head = siege.head(&format!("Content-Length: {}\r\n", body.len()));
    let begun = Instant::now();
    siege
        .under("16 callers that send 7 MiB and go away, again and again for 5 s", async {
            join_all((0..16).map(|_| async {
                while begun.elapsed() < Duration::from_secs(5) {
                    let mut stream = siege.connect().await;
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(body.as_bytes()).await;
                }
            }))
            .await
        })
        .await;
    // There is room again for whoever stays.
    let stays = postroom_it::until("a large mail to be taken", postroom_it::PATIENCE, || async {
        Ok((siege.post(body.as_bytes()).await == 200).then_some(()))
    });
    stays.await.unwrap();
    let mut stream = siege.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), 200);
}
