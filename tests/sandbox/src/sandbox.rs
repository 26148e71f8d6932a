//! The handle of a running sandbox: starts the listeners, steers what they simulate, stops them.
//! Every method here has its twin in the JSON API.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::{Config, ConfigChange};
use crate::faults::{Fault, FaultView};
use crate::service_accounts::ServiceAccount;
use crate::state::{State, lock};
use crate::stats::Stats;
use crate::store::{Doubled, Mail, MailFilter};
use crate::tokens::{CLIENT_ID, CLIENT_SECRET, IssuedToken, REFRESH_PREFIX, fold};
use crate::{http, imap, smtp, tls};

/// A running stand-in for Gmail. Clones are the same sandbox; it ends with `stop` or when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<State>,
    smtp: SocketAddr,
    imap: SocketAddr,
    http: SocketAddr,
    ca_pem: String,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }
}

impl Sandbox {
    /// Binds and begins to serve.
    ///
    /// # Errors
    /// If an address cannot be bound or the certificates cannot be made.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let identity = tls::make_identity()?;
        let bind = async |address: SocketAddr| {
            TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
        };
        let (smtp_listener, imap_listener) = (bind(config.smtp).await?, bind(config.imap).await?);
        let http_listener = bind(config.http).await?;
        let (smtp, imap) = (smtp_listener.local_addr()?, imap_listener.local_addr()?);
        let http = http_listener.local_addr()?;
        let state = Arc::new(State::new(&config));
        let tasks = vec![
            tokio::spawn(smtp::serve(smtp_listener, identity.acceptor.clone(), Arc::clone(&state))),
            tokio::spawn(imap::serve(imap_listener, identity.acceptor, Arc::clone(&state))),
            tokio::spawn(http::serve(http_listener, Arc::clone(&state))),
        ];
        let inner = Inner { state, smtp, imap, http, ca_pem: identity.ca_pem, tasks: Mutex::new(tasks) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Stops listening and drops every SMTP and IMAP connection. Mails and counters can still be read.
    pub async fn stop(&self) {
        let tasks: Vec<_> = lock(&self.inner.tasks).drain(..).collect();
        for task in tasks {
            task.abort();
            // Only ever the cancellation that was just asked for.
            let _ = task.await;
        }
    }

    /// Where the simulated SMTP server listens (TLS from the start).
    #[must_use]
    pub fn smtp_addr(&self) -> SocketAddr {
        self.inner.smtp
    }

    /// Where the simulated IMAP server listens (TLS from the start).
    #[must_use]
    pub fn imap_addr(&self) -> SocketAddr {
        self.inner.imap
    }

    /// Where token endpoint, JSON API and page listen (plain HTTP).
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.inner.http
    }

    /// The certificate that a client has to trust, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.inner.ca_pem
    }

    /// URL of the simulated token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("http://{}/token", reachable(self.inner.http))
    }

    /// URL of the simulated authorisation endpoint: the page on which a person consents.
    #[must_use]
    pub fn auth_url(&self) -> String {
        format!("http://{}{}", reachable(self.inner.http), http::AUTH_PATH)
    }

    /// URL of the page that shows the caught mails.
    #[must_use]
    pub fn page_url(&self) -> String {
        format!("http://{}/", reachable(self.inner.http))
    }

    /// The refresh token that stands for an account's consent.
    #[must_use]
    pub fn refresh_token(address: &str) -> String {
        format!("{REFRESH_PREFIX}{address}")
    }

    /// The settings that point Postroom to this sandbox, with the CA in `dir/ca.pem` (see [`Sandbox::write_dir`]).
    #[must_use]
    pub fn env(&self, dir: &Path) -> Vec<(String, String)> {
        let smtp = format!("smtps://smtp.gmail.com:465?connect={}", reachable(self.inner.smtp));
        let imap = format!("imaps://imap.gmail.com:993?connect={}", reachable(self.inner.imap));
        let ca = absolute(dir).join("ca.pem").display().to_string();
        let pairs = [
            ("POSTROOM_SMTP_URL", smtp),
            ("POSTROOM_IMAP_URL", imap),
            ("POSTROOM_TOKEN_URL", self.token_url()),
            ("POSTROOM_AUTH_URL", self.auth_url()),
            ("POSTROOM_TLS_CA_FILE", ca),
            ("POSTROOM_CLIENT_ID", CLIENT_ID.to_owned()),
            ("POSTROOM_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Writes `ca.pem` and `env` (lines of shell `export`) into `dir`, each of them whole or not at all.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn write_dir(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("make the folder {}", dir.display()))?;
        write_whole(&dir.join("ca.pem"), self.ca_pem())?;
        let lines: String = self
            .env(dir)
            .iter()
            .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
            .collect();
        // Last: who waits for this file finds everything else in place.
        write_whole(&dir.join("env"), &lines)
    }

    /// Everything counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.state.stats()
    }

    /// All accepted mails, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.find_mails(&MailFilter::default())
    }

    /// The accepted mails that match, oldest first.
    #[must_use]
    pub fn find_mails(&self, filter: &MailFilter) -> Vec<Mail> {
        self.inner.state.store.list(filter).0
    }

    /// The bytes of mail `n`, unless there is none or bytes are not kept.
    #[must_use]
    pub fn mail_bytes(&self, n: u64) -> Option<Arc<[u8]>> {
        self.inner.state.store.get(n)?.1
    }

    /// Every Message-ID that some recipient got more than once.
    #[must_use]
    pub fn doubled(&self) -> Vec<Doubled> {
        self.inner.state.store.doubled()
    }

    /// Waits until at least `count` mails are accepted; false if the time runs out first.
    pub async fn wait_for_mails(&self, count: usize, timeout: Duration) -> bool {
        self.inner.state.store.wait_for(count, timeout).await
    }

    /// Adds a fault and answers its number.
    ///
    /// # Errors
    /// If the rule could never do what it says.
    pub fn add_fault(&self, fault: Fault) -> anyhow::Result<u64> {
        self.inner.state.faults.add(fault).map_err(anyhow::Error::msg)
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultView> {
        self.inner.state.faults.list()
    }

    /// Removes one fault; false if there is none of this number.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.inner.state.faults.remove(id)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.inner.state.faults.clear();
    }

    /// Takes an account's consent back: refresh fails with `invalid_grant`, its access tokens end. For a service account it is
    /// no user any more.
    pub fn revoke(&self, address: &str) {
        self.inner.state.tokens.revoke(&fold(address));
    }

    /// Gives the consent back; access tokens from before stay ended.
    pub fn restore(&self, address: &str) {
        self.inner.state.tokens.restore(&fold(address));
    }

    /// Ends the access tokens of one account, or of all.
    pub fn expire_tokens(&self, address: Option<&str>) {
        self.inner.state.tokens.expire(address.map(fold).as_deref());
    }

    /// Makes a service account known, in place of the one of this address.
    ///
    /// # Errors
    /// If its public key cannot be used.
    pub fn put_service_account(&self, account: ServiceAccount) -> anyhow::Result<()> {
        self.inner.state.services.put(account).map_err(anyhow::Error::msg)
    }

    /// The service accounts that are known.
    #[must_use]
    pub fn service_accounts(&self) -> Vec<ServiceAccount> {
        self.inner.state.services.list()
    }

    /// Forgets a service account; false if there is none of this address.
    pub fn remove_service_account(&self, email: &str) -> bool {
        self.inner.state.services.remove(email)
    }

    /// Every access token that was ever issued, in that order: for tests that look for them where they must not be.
    #[must_use]
    pub fn issued_tokens(&self) -> Vec<IssuedToken> {
        self.inner.state.tokens.issued()
    }

    /// Changes settings of the running sandbox.
    pub fn set_config(&self, change: &ConfigChange) {
        self.inner.state.settings.change(change);
    }

    /// The settings in force; every field is set.
    #[must_use]
    pub fn config(&self) -> ConfigChange {
        self.inner.state.settings.in_force()
    }

    /// Forgets mails, counters, faults and revocations. Settings, service accounts, issued tokens and open connections
    /// stay.
    pub fn reset(&self) {
        self.inner.state.reset();
    }
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}

/// Writes beside the file and renames, so that no reader ever sees half of it.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}
