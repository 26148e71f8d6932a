//! A fixed address in front of servers that take each other's place, as a service's address is in front of a Redis and its
//! replica.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Leads whoever connects to one server, until it is told to lead them to another.
pub struct Gate {
    port: u16,
    way: Arc<Mutex<Way>>,
    _open: DropGuard,
}

/// Where connections go, and what cuts those that went there.
struct Way {
    port: u16,
    cut: CancellationToken,
}

impl Gate {
    /// Opens one on a free loopback port, leading to another.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own = listener.local_addr()?.port();
        let way = Arc::new(Mutex::new(Way { port, cut: CancellationToken::new() }));
        let open = CancellationToken::new();
        tokio::spawn(open.clone().run_until_cancelled_owned(let_in(listener, Arc::clone(&way))));
        Ok(Self { port: own, way, _open: open.drop_guard() })
    }

    /// The gate's own port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads to another port from now on, and cuts the connections that stand.
    pub fn lead_to(&self, port: u16) {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *way, Way { port, cut: CancellationToken::new() }).cut.cancel();
    }
}

async fn let_in(listener: TcpListener, way: Arc<Mutex<Way>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (port, cut) = {
            let way = way.lock().unwrap_or_else(PoisonError::into_inner);
            (way.port, way.cut.clone())
        };
        tokio::spawn(cut.run_until_cancelled_owned(async move {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }));
    }
}
