//! Whoever speaks slowly, too much or not at all to `postroom serve` keeps nobody else out and fills no memory.

use std::time::{Duration, Instant};

use futures::future::join_all;
use postroom_it::{PATIENCE, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::siege::{Limits, Siege, mail, read_to_end, status};

const DRIP: Duration = Duration::from_millis(100);
/// How much later than its bound a connection may be closed, on a machine that has other work to do.
const SLACK: Duration = Duration::from_secs(5);

/// Sends byte by byte until the server has had enough; answers after how long, and what it said.
async fn drip(mut stream: TcpStream, at_once: &[u8]) -> (Duration, u16) {
    let begun = Instant::now();
    stream.write_all(at_once).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    tokio::select! {
        _ = read.read_to_end(&mut answer) => {}
        () = async {
            while write.write_all(b"x").await.is_ok() {
                tokio::time::sleep(DRIP).await;
            }
            // The answer is read to its end by the other arm.
            std::future::pending::<()>().await;
        } => {}
    }
    (begun.elapsed(), status(&answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_byte_by_byte_are_given_up() {
    let siege = Siege::lay(Limits::default()).await;
    let all = siege.under("500 heads, byte by byte", async {
        let begun = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ";
        join_all((0..500).map(|_| async { drip(siege.connect().await, begun).await })).await
    });
    let slowest = all.await.into_iter().map(|(after, _)| after).max().unwrap();
    assert!(slowest < siege.limits.timeout + SLACK, "given up after {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_byte_by_byte_are_given_up_with_a_word() {
    let siege = Siege::lay(Limits::default()).await;
    let head = siege.head("Content-Length: 10000\r\n");
    let all = siege.under("500 bodies, byte by byte", async {
        join_all((0..500).map(|_| async { drip(siege.connect().await, head.as_bytes()).await })).await
    });
    for (after, status) in all.await {
        assert_eq!(status, 408);
        // The whole of a body has twice the time of a piece.
        assert!(after < siege.limits.timeout * 2 + SLACK, "given up after {after:?}");
    }
}

/// How many files this process may open, raised as far as it may be.
fn open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_that_say_nothing_or_half_of_it_keep_nobody_out() {
    // Others of these tests open files as well.
    let many = open_files().saturating_sub(2_000).min(10_000);
    assert!(many >= 500, "ulimit -n leaves {many} connections");
    let limits = Limits { connections: 4_096, timeout: Duration::from_secs(60), ..Limits::default() };
    let siege = Siege::lay(limits).await;
    let head = siege.head("Content-Length: 1000\r\n");
    let what = format!("{many} connections");
    let open = siege.under(&what, async {
        let mut open = Vec::new();
        for number in 0..many {
            let mut stream = siege.connect().await;
            let said: &[u8] = match number % 4 {
                0 => b"",
                1 => b"POST /emails HT",
                2 => head.as_bytes(),
                _ => &[0x16, 3, 1, 2, 0, 1],
            };
            // One that had to make room already is closed.
            let _ = stream.write_all(said).await;
            open.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        open
    });
    let open = open.await;
    let closed = open.iter().filter(|stream| is_closed(stream)).count() as u64;
    println!("{many} connections, {closed} of them closed by the server");
    assert!(closed >= many.saturating_sub(4_096), "{closed} of {many} had to make room");
}

/// Whether nothing more comes, whatever came.
fn is_closed(stream: &TcpStream) -> bool {
    loop {
        match stream.try_read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_without_a_word_is_given_up() {
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let further = [
        ("POSTROOM_LISTEN_TLS_CERT", certificate.to_str().unwrap()),
        ("POSTROOM_LISTEN_TLS_KEY", key.to_str().unwrap()),
    ];
    let siege = Siege::lay_with(Limits::default(), &further).await;
    let all = siege.under("900 TLS connections without a word, or with half of one", async {
        let hello: [&[u8]; 3] = [b"", &[0x16, 3, 1, 2, 0, 1, 0, 1], b"GET / HTTP/1.1\r\n\r\n"];
        join_all((0..900).map(|number| {
            let siege = &siege;
            async move {
                let begun = Instant::now();
                let mut stream = siege.connect().await;
                stream.write_all(hello[number % 3]).await.unwrap();
                read_to_end(&mut stream).await;
                begun.elapsed()
            }
        }))
        .await
    });
    let slowest = all.await.into_iter().max().unwrap();
    assert!(slowest < siege.limits.timeout + SLACK, "given up after {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_headers_are_refused() {
    let siege = Siege::lay(Limits::default()).await;
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    let line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(1 << 20));
    let floods = [siege.head(&many), siege.head(&long), line];
    let all = siege.under("300 floods of headers, and 500 heads that are held just under the bound", async {
        let held = format!("GET /livez HTTP/1.1\r\nX-Long: {}", "y".repeat(31 << 10));
        let mut holding = Vec::new();
        for _ in 0..500 {
            let mut stream = siege.connect().await;
            let _ = stream.write_all(held.as_bytes()).await;
            holding.push(stream);
        }
        let flood = |number: usize| {
            let (siege, flood) = (&siege, &floods[number % 3]);
            async move {
                let mut stream = siege.connect().await;
                let _ = stream.write_all(flood.as_bytes()).await;
                status(&read_to_end(&mut stream).await)
            }
        };
        join_all((0..300).map(flood)).await
    });
    for (number, status) in all.await.into_iter().enumerate() {
        assert!([431, 414].contains(&status), "flood {number}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_a_pipeline_are_answered_in_turn() {
    const PIPELINED: usize = 2_000;
    let siege = Siege::lay(Limits::default()).await;
    let all = siege.under("20 pipelines of 2,000 requests", async {
        join_all((0..20).map(|_| async {
            let stream = siege.connect().await;
            let (mut read, mut write) = stream.into_split();
            tokio::spawn(async move {
                let flood = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(PIPELINED - 1);
                let _ = write.write_all(&flood).await;
                let _ = write.write_all(b"GET /emails HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
                std::future::pending::<()>().await;
            });
            let mut answer = Vec::new();
            let _ = read.read_to_end(&mut answer).await;
            let text = String::from_utf8(answer).unwrap();
            (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 401").count())
        }))
        .await
    });
    for answers in all.await {
        assert_eq!(answers, (PIPELINED - 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_never_reads_is_given_up() {
    let siege = Siege::lay(Limits::default()).await;
    let mut large = mail();
    large["html"] = "<p>Thank you.</p>".repeat((6 << 20) / 17).into();
    let stored = siege.api.post("/emails", &large).await.unwrap();
    assert_eq!(stored.status.as_u16(), 200, "{stored:?}");
    let asks = ["/openapi.json", &format!("/emails/{}", stored.text("id"))].map(|path| {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", siege.api.key);
        ask.repeat(100)
    });
    siege
        .under("200 callers that ask for the document, or for a mail of 6 MiB, and never read", async {
            join_all((0..200).map(|number| {
                let (siege, asks) = (&siege, &asks[number % 2]);
                async move {
                    let mut stream = siege.connect().await;
                    // It is given up while it writes, or after: then a further write fails.
                    let given_up = async { while stream.write_all(asks.as_bytes()).await.is_ok() {} };
                    tokio::time::timeout(siege.limits.timeout + PATIENCE, given_up).await.expect("never given up");
                }
            }))
            .await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_a_key_or_with_a_wrong_one_cost_nobody_else() {
    let siege = Siege::lay(Limits::default()).await;
    let body = mail().to_string();
    let mut wrong = siege.api.key.clone();
    wrong.replace_range(wrong.len() - 1.., if wrong.ends_with('x') { "y" } else { "x" });
    let request = |key: &str| {
        let head = format!("POST /emails HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {}\r\n\r\n", body.len());
        format!("{head}{body}")
    };
    let requests = [request(""), request(&format!("Authorization: Bearer {wrong}\r\n"))];
    let (begun, mut refused) = (Instant::now(), 0);
    let all = siege.under("16 callers without a right key, as fast as they can, for 3 s", async {
        join_all((0..16).map(|number| {
            let (siege, request) = (&siege, &requests[number % 2]);
            async move {
                let mut refused = 0_u64;
                while begun.elapsed() < Duration::from_secs(3) {
                    let mut stream = siege.connect().await;
                    let mut answer = [0; 4096];
                    let _ = stream.write_all(request.as_bytes()).await;
                    let count = stream.read(&mut answer).await.unwrap_or(0);
                    assert!([401, 403].contains(&status(&answer[..count])), "{}", String::from_utf8_lossy(&answer));
                    refused += 1;
                }
                refused
            }
        }))
        .await
    });
    refused += all.await.into_iter().sum::<u64>();
    println!("{refused} requests refused");
    assert!(refused > 100, "{refused}");
    // Nothing of them is left.
    let files = until("the connections to be closed", PATIENCE, || async {
        let open = std::fs::read_dir(format!("/proc/{}/fd", siege.api.process.pid()?))?.count();
        Ok((open < 100).then_some(open))
    });
    files.await.unwrap();
}
