//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postroom_shared::api_keys::ApiKeys;

use super::body::Memory;
use super::estimate::Estimates;
use super::intake::Intake;
use super::key_ring::{KeyRing, RingSettings};
use super::settings::ServeSettings;
use crate::direct::DirectClient;

/// The state of one `postroom serve`.
pub struct App {
    /// Hands mail over, and has the queue beneath.
    pub client: DirectClient,
    pub(crate) keys: Arc<KeyRing>,
    pub(super) intake: Intake,
    pub(super) estimates: Estimates,
    pub(crate) memory: Memory,
    /// Within this a request that has come whole is answered.
    pub(super) timeout: Duration,
    stopping: AtomicBool,
}

impl App {
    /// The state over a client that is connected.
    #[must_use]
    pub fn new(client: DirectClient, settings: &ServeSettings) -> Arc<Self> {
        let ring = RingSettings { rate: settings.rate, ..RingSettings::default() };
        Arc::new(Self {
            keys: KeyRing::start(ApiKeys::new(client.queue().store()), ring),
            intake: Intake::start(&client),
            estimates: Estimates::default(),
            timeout: settings.timeout,
            memory: Memory::new(settings.memory, settings.body_limit, settings.timeout),
            stopping: AtomicBool::new(false),
            client,
        })
    }

    /// It was told to stop: no more requests shall come.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
