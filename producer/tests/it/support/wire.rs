//! A wire to Redis that counts the keys that are read over it, and can cut or silence subscriptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to connections that subscribe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscriptions {
    /// They work.
    Work,
    /// They are closed, and new ones, too.
    Cut,
    /// They stay open, but nothing comes over them any more.
    Silent,
}

pub(crate) struct Wire {
    port: u16,
    subscriptions: watch::Sender<Subscriptions>,
    reads: AtomicUsize,
}

impl Wire {
    /// A wire to the Redis at this port.
    pub(crate) async fn to(redis: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (subscriptions, _) = watch::channel(Subscriptions::Work);
        let wire = Arc::new(Self { port, subscriptions, reads: AtomicUsize::new(0) });
        let accepting = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
                tokio::spawn(Arc::clone(&accepting).carry(client, server));
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn set(&self, subscriptions: Subscriptions) {
        self.subscriptions.send_replace(subscriptions);
    }

    /// How many records were asked for.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    async fn carry(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        let subscribes = AtomicBool::new(false);
        let mut mode = self.subscriptions.subscribe();
        let (mut asked, mut answered) = (vec![0; 16_384], vec![0; 16_384]);
        loop {
            let is = |wanted| subscribes.load(Ordering::SeqCst) && *self.subscriptions.borrow() == wanted;
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { return };
                    let text = String::from_utf8_lossy(&asked[..length]);
                    self.reads.fetch_add(text.matches("HGETALL").count(), Ordering::SeqCst);
                    subscribes.fetch_or(text.contains("SUBSCRIBE"), Ordering::SeqCst);
                    if is(Subscriptions::Cut) || server.write_all(&asked[..length]).await.is_err() {
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { return };
                    if !is(Subscriptions::Silent) && client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
                changed = mode.changed() => if changed.is_err() || is(Subscriptions::Cut) { return },
            }
        }
    }
}
