//! Every metric's name, and its help: what it counts, what a spike of it means, what it means if it stays high.
//!
//! docs/telemetry.md shows this table; a test compares them. The names of counters get `_total` where they are shown.

/// A metric, as an operator reads of it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; of a counter without `_total`.
    pub name: &'static str,
    /// What it tells.
    pub what: &'static str,
    /// What a short rise means; empty: it says nothing.
    pub spike: &'static str,
    /// What it means if it stays high; empty: it says nothing.
    pub rise: &'static str,
}

impl Metric {
    /// The help text in the exposition; without its last dot, which the exposition adds.
    #[must_use]
    pub fn help(&self) -> String {
        let part = |word: &str, text: &str| if text.is_empty() { String::new() } else { format!(". {word}: {text}") };
        format!("{}{}{}", self.what, part("A spike", self.spike), part("If it stays", self.rise))
    }
}

macro_rules! metrics {
    ($(#[doc = $doc:literal])* $list:ident: $($constant:ident = $name:literal, $what:literal, $spike:literal, $rise:literal;)+) => {
        $(
            #[doc = $what]
            pub const $constant: Metric = Metric { name: $name, what: $what, spike: $spike, rise: $rise };
        )+
        $(#[doc = $doc])*
        pub const $list: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    /// Those of both programs.
    BOTH:
    BUILD_INFO = "postroom_build_info", "Always 1; which version of which program runs",
        "", "";
    SPANS_DROPPED = "postroom_spans_dropped", "Spans that the exporter gave up: its queue was full, or the collector refused them or did not answer",
        "the collector was away for a moment; no mail waited for it", "the collector is down or too slow, or OTEL_EXPORTER_OTLP_ENDPOINT is wrong: traces are missing";
}

metrics! {
    /// Those of the worker.
    WORKER:
    ATTEMPTS = "postroom_attempts", "Attempts that ended, by what follows for the mail and why",
        "of retry: Gmail was busy or a connection broke, and the mails go on by themselves; of dead: somebody handed over bad mail", "of retry: a limit, a fault of the network or of Gmail; the reason tells; of dead: an app keeps handing over what cannot be sent";
    MAILS_FINISHED = "postroom_mails_finished", "Mails that came to their end, once a mail: on_time or late when it was sent, failed when it died; what was held, scheduled or over a budget on purpose does not count against it",
        "of late: the lanes were stopped for a while and caught up", "of late: too few workers or connections for the mail that comes; of failed: see postroom_attempts_total for the reason";
    REPLIES = "postroom_replies", "Replies at which attempts ended or recipients were refused, by stage of the dialogue and code; a code that is not known to SMTP counts as 4xx or 5xx, none is a silence",
        "of 4xx: Gmail asks to slow down; of none: connections broke", "of one code: look it up with `postroom explain CODE`; of none: the network or the server is unwell";
    QUEUE_WAIT = "postroom_queue_wait_seconds", "How long a mail could have gone before a worker had it, without holds, used-up budgets and times of sending",
        "a burst of mail, or workers that began anew", "mail comes faster than workers and connections send it: raise connections of the account, or workers if postroom_slots_busy is at postroom_slots";
    TOKEN = "postroom_token_seconds", "How long an attempt waited for an access token for a new connection, by where it came from: this process's cache, Redis, or a refresh",
        "of refresh: a token ended and was renewed", "of refresh: the token endpoint is slow, or tokens live shorter than they should";
    CONNECT = "postroom_connect_seconds", "How long a new connection took: TCP, TLS, EHLO and AUTH",
        "the network or Gmail was slow", "the network is slow or loses packets, or Gmail delays logins of this address";
    SEND = "postroom_send_seconds", "How long an attempt took, from the claim to its end, the wait for a connection included",
        "large mails, or a server that was slow to answer", "Gmail slows the account down, or mails wait for connections: raise --connections";
    CONNECTIONS = "postroom_connections", "SMTP connections that stand open, idle ones included",
        "a burst of mail opened connections", "connections are held but not used: see postroom_send_seconds";
    LOGINS = "postroom_logins", "Logins by SMTP, by how they ended: ok, refused by the server, or failed before it answered",
        "of ok: connections broke and were opened anew; of refused: a token or a consent ended", "of ok: connections do not stay; Gmail refuses an account that logs in too often; of refused: an account lost its consent, see postroom_accounts";
    TOKEN_REFRESHES = "postroom_token_refreshes", "Requests to the token endpoint of this worker: ok, refused for good, or unavailable",
        "of ok: tokens of many accounts ended together; of unavailable: the endpoint was away", "of refused: a consent or a client is gone, a person has to act; of unavailable: mail stops when the tokens at hand end, within the hour";
    LEASES_LOST = "postroom_leases_lost", "Mails that this worker took back because the worker that had them gave no sign of life",
        "a worker was killed, or was cut off from Redis", "workers die or stall again and again (memory, CPU, network), and mails come into doubt";
    UNCERTAIN = "postroom_uncertain", "Attempts after which it was not known whether the server had the mail",
        "connections broke after the last byte, or a worker was killed", "Gmail or the network cuts connections at the end of mails: each costs a look into the account's Sent mailbox";
    RECONCILED = "postroom_reconciled", "Looks for a mail in doubt in its account's Sent mailbox: found, not_found, or unreachable",
        "follows postroom_uncertain_total", "of unreachable: IMAP is off or refused, and these mails wait until their deadline";
    SLOTS = "postroom_slots", "Mails that this worker may have in hand at once",
        "", "";
    SLOTS_BUSY = "postroom_slots_busy", "Mails that this worker has in hand",
        "a burst of mail", "at postroom_slots: more workers help, unless the mails wait for connections of few accounts";
    TURNS = "postroom_turns", "Questions to Redis for work, and of what ended: ok, or failed",
        "of failed: Redis was away for a moment; nothing is lost", "of failed: Redis is down or full, and no mail goes";
}

metrics! {
    /// Those of `postroom serve`.
    SERVE:
    JOBS = "postroom_jobs", "Mails in the queue, by state and priority; what is not ready is told with priority any",
        "of ready: a burst of mail; of retry: Gmail was busy", "of ready: mail comes faster than it goes; of dead: somebody has to look at the dead letters; of retry: see postroom_attempts_total";
    JOBS_HELD = "postroom_jobs_held", "Mails that wait in lanes of accounts that are held, by why",
        "an account reached a limit, and goes on by itself", "of consent, client or config: a person has to act, or these mails expire";
    OLDEST_READY = "postroom_oldest_ready_age_seconds", "How long the first mail in line could have gone, over all accounts that may send; 0: none waits",
        "a burst of mail, or workers that began anew", "no worker runs, or none gets through: see postroom_workers and postroom_attempts_total";
    OLDEST_DEAD = "postroom_oldest_dead_age_seconds", "How old the oldest dead letter is; 0: there is none",
        "", "nobody looks at the dead letters: they are thrown away after POSTROOM_DEAD_RETENTION";
    SCHEDULE_LAG = "postroom_schedule_lag_seconds", "How long the oldest mail that waited for its time has been due without being back in its lane",
        "all workers were busy or away for a moment", "no worker runs: any of them brings what is due to its lane";
    SLOTS_WANTED = "postroom_slots_wanted", "Permits that could be at work now, those at work included, summed over accounts; 0 for the held. The figure to scale workers on",
        "mail came for many accounts", "above all workers' postroom_slots: more workers would send sooner";
    ACCOUNTS = "postroom_accounts", "Accounts by why they are held; no: they may send",
        "an account reached a limit, and goes on by itself", "of consent, client or config: a person has to act";
    BUDGET = "postroom_budget_messages", "What an account may send in 24 hours; of at most 200 accounts, those with mail first",
        "", "";
    BUDGET_USED = "postroom_budget_messages_used", "What an account sent in the last 24 hours, and what workers have in hand of it",
        "a burst of mail", "near postroom_budget_messages: the account's mail will wait until what it sent is a day old";
    WORKERS = "postroom_workers", "Workers that gave a sign of life lately",
        "", "";
    REDIS_UP = "postroom_redis_up", "Whether Redis answered the last reading; where it is 0, the gauges of the queue are those of the last one that did",
        "", "";
    REDIS_USED = "postroom_redis_used_bytes", "Memory that Redis uses",
        "a burst of mail, or large ones", "toward postroom_redis_max_bytes: new mail will be refused; let the queue drain, or raise maxmemory";
    REDIS_MAX = "postroom_redis_max_bytes", "Redis' maxmemory; 0: it has no limit",
        "", "";
    QUEUE_READ = "postroom_queue_read_seconds", "How long the reading of all gauges of the queue took",
        "Redis was busy", "Redis is slow, or there are very many accounts";
    QUEUE_READS = "postroom_queue_reads", "Readings of the gauges of the queue: ok, or failed",
        "of failed: Redis was away for a moment", "of failed: Redis is down, and the gauges of the queue are old";
    API_REQUESTS = "postroom_api_requests", "Requests of the HTTP API, by route and class of the answer",
        "of 5xx: Redis was away or full, and callers try again; of 4xx: a caller does something wrong", "of 5xx: mail cannot be handed over; of 4xx: see postroom_api_refusals_total";
    API_SECONDS = "postroom_api_request_seconds", "How long the HTTP API took to answer, by route",
        "large mails, or Redis was slow", "Redis is slow, or this process has too little CPU";
    API_REFUSALS = "postroom_api_refusals", "Requests to hand mail over that were refused, by the error's name",
        "a caller sent bad mail", "of missing_api_key or invalid_api_key: a key was revoked or an app is set up wrong; of rate_limit_exceeded: raise the key's rate; of application_error: Redis is away or full";
}
