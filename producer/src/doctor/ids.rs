//! Every finding of `postroom doctor` by its id: how bad it can be, why it matters, and what mends it.
//!
//! docs/doctor.md is made from this list. `ADDRESS` and `DOMAIN` stand for the account's or the domain's own name.

use super::finding::Subject;

macro_rules! ids {
    ($($subject:ident { $($variant:ident = $word:literal, $severities:literal, $means:literal, $why:literal, $mend:literal;)+ })+) => {
        /// What a finding is about. The word is what programs may rely on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Id { $($($variant),+),+ }

        impl Id {
            pub(crate) const ALL: &'static [Self] = &[$($(Self::$variant),+),+];

            fn entry(self) -> &'static Entry {
                match self { $($(Self::$variant => &Entry {
                    subject: Subject::$subject, word: $word, severities: $severities, means: $means, why: $why, mend: $mend,
                }),+),+ }
            }
        }
    };
}

struct Entry {
    subject: Subject,
    word: &'static str,
    severities: &'static str,
    means: &'static str,
    why: &'static str,
    mend: &'static str,
}

impl Id {
    pub(crate) fn as_str(self) -> &'static str {
        self.entry().word
    }

    pub(crate) fn subject(self) -> Subject {
        self.entry().subject
    }

    /// The severities that it can have, for the docs.
    pub(crate) fn severities(self) -> &'static str {
        self.entry().severities
    }

    /// What it says, in general.
    pub(crate) fn means(self) -> &'static str {
        self.entry().means
    }

    pub(crate) fn why(self) -> &'static str {
        self.entry().why
    }

    /// The command or the page that mends it; empty if there is nothing to do.
    pub(crate) fn mend(self) -> &'static str {
        self.entry().mend
    }
}

ids! {
    All {
        CheckUnfinished = "check-unfinished", "warning", "a check took too long and was given up",
            "What it would have found is not known.",
            "Run `postroom doctor` again; look first at what else it names.";
    }
    Redis {
        RedisUnreachable = "redis-unreachable", "error", "Redis is not reached, or cannot be used",
            "All mail lies in Redis: nothing can be handed over or sent.",
            "Start Redis, or correct POSTROOM_REDIS_URL (user, password, TLS as `rediss://`).";
        RedisVersion = "redis-version", "ok, note, error", "the version of Redis",
            "Postroom uses commands that came with Redis 6.2.",
            "Use Redis 6.2 or newer, or Valkey.";
        RedisEviction = "redis-eviction", "ok, error", "what Redis does when its memory is full",
            "Any other policy than noeviction throws mail away when memory runs short, and nobody is told.",
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.";
        RedisPersistence = "redis-persistence", "ok, warning, error", "whether Redis keeps its data through a restart",
            "Mail that was handed over and is not on the disk is lost when Redis or its machine stops.",
            "redis-cli CONFIG SET appendonly yes, and in redis.conf: appendonly yes, appendfsync everysec.";
        RedisDisk = "redis-disk", "error", "Redis could not write its data to the disk",
            "What it has in memory is lost at a restart, and Redis may refuse all writes.",
            "Look into Redis' log; make room on its disk.";
        RedisMemory = "redis-memory", "ok, note, warning, error", "how much of its memory Redis uses",
            "A full Redis takes no new mail; without a limit it may be killed by the system.",
            "Raise maxmemory, or let the queue drain; dead letters have a limit of their own, POSTROOM_DEAD_BYTES.";
        RedisLatency = "redis-latency", "ok, warning", "how long Redis takes to answer",
            "Each mail needs a few answers of Redis: a slow one slows all sending.",
            "Bring Redis nearer to the workers; look at redis-cli --latency and SLOWLOG GET.";
        RedisCluster = "redis-cluster", "error", "Redis runs as a Cluster, and POSTROOM_REDIS_URL does not say so",
            "Taken for a single server it refuses whatever lies on the others.",
            "Write redis+cluster:// in POSTROOM_REDIS_URL.";
        RedisReplica = "redis-replica", "error", "this Redis is a replica",
            "A replica refuses writes: no mail can be handed over.",
            "Point POSTROOM_REDIS_URL to the primary.";
        RedisReplication = "redis-replication", "ok, warning", "whether a replica has a mail before it is called stored",
            "A master that dies takes with it what it answered last and no replica has: mail is lost, or goes twice.",
            "redis-cli CONFIG SET min-replicas-to-write 1, and the same in redis.conf of each server; then restart Postroom.";
        RedisSilent = "redis-silent", "note", "Redis does not tell this user its state or its settings",
            "Eviction, persistence and memory could not be judged.",
            "Allow it (ACL SETUSER … +info +config|get +ping +time), or look at them yourself.";
        Workers = "workers", "ok, note, warning", "workers that are alive",
            "Without a worker nothing is sent.",
            "Start postroom-worker with the same POSTROOM_REDIS_URL.";
    }
    Clock {
        ClockServer = "clock-server", "ok, warning, error", "this machine's clock beside that of the token endpoint",
            "Tokens end by the clock: with a wrong one they are used too long, and signed requests are refused.",
            "Let NTP set this machine's clock (timedatectl set-ntp true).";
        ClockRedis = "clock-redis", "ok, warning, error", "this machine's clock beside that of Redis",
            "Leases, limits, due times and deadlines go by Redis' clock, which workers follow; what this machine logs and which certificates it takes, by its own.",
            "Let NTP set both clocks (timedatectl set-ntp true).";
        ClockUnknown = "clock-unknown", "note", "nobody told the time",
            "A wrong clock would not be seen.",
            "Mend what keeps the token endpoint from answering, then run doctor again.";
    }
    Network {
        Server = "server", "ok", "a server is reached, its certificate is good, and it offers what is needed",
            "", "";
        NameUnresolved = "name-unresolved", "error", "a server's name has no address",
            "Without an address there is no connection.",
            "Correct the setting that names it, or this machine's DNS (/etc/resolv.conf).";
        PortClosed = "port-closed", "error", "nothing answers at a server's address and port",
            "A firewall, a provider that blocks mail ports, or a wrong setting keeps mail from going.",
            "Allow outgoing TCP to it (465, 993, 443), or correct the setting that names it.";
        CertificateName = "certificate-name", "error", "a server's certificate is for another name",
            "Somebody else answers in the server's place: no token is given to it.",
            "Correct the name in the setting; if it is right, find out who intercepts the connection.";
        CertificateAuthority = "certificate-authority", "error", "a server's certificate is of an unknown authority",
            "Somebody else may answer in the server's place: no token is given to it.",
            "Name the authority's certificate in POSTROOM_TLS_CA_FILE if it is yours; else find out who intercepts the connection.";
        CertificateTime = "certificate-time", "error", "a server's certificate has ended or has not begun",
            "It is not trusted, unless this machine's clock is wrong.",
            "Look at the clock first; then renew the server's certificate if it is yours.";
        CertificateEnds = "certificate-ends", "warning", "a server's certificate ends within days",
            "After that no connection is made.",
            "Renew it if the server is yours; Google renews its own.";
        TlsFailed = "tls-failed", "error", "TLS could not be agreed upon with a server",
            "A token never travels without TLS.",
            "The setting must name a port with TLS from the start (465, 993, 443), not one for STARTTLS.";
        ServerSilent = "server-silent", "error", "a server does not greet, or refuses us in its greeting",
            "It takes no login.",
            "`postroom explain CODE` says what its reply means; a generic EHLO name is refused by some: POSTROOM_EHLO_NAME.";
        Xoauth2Missing = "xoauth2-missing", "error", "a server does not offer AUTH XOAUTH2",
            "Postroom logs in by XOAUTH2 only.",
            "Point POSTROOM_SMTP_URL and POSTROOM_IMAP_URL to Gmail, or to a server that offers it.";
        ImapOff = "imap-off", "note", "no IMAP server is asked",
            "After an uncertain end nobody can look into Sent: such a mail may go out twice.",
            "Set POSTROOM_IMAP_URL, or leave POSTROOM_UNCERTAIN=dead to decide by hand.";
    }
    Keys {
        Keys = "keys", "ok, note", "the keys that seal credentials",
            "A key that nothing is sealed with any more should go.",
            "Take old keys out of POSTROOM_SECRET_KEY once no account is sealed with them.";
        KeyMissing = "key-missing", "error", "there is no key",
            "Without it no account's credentials can be opened: neither worker nor doctor can log in.",
            "Set POSTROOM_SECRET_KEY (or _FILE) to the key that the accounts were added with.";
        KeyUnusable = "key-unusable", "error", "a key cannot be used",
            "Without it no account's credentials can be opened.",
            "Write 32 bytes in base64, several with commas: head -c 32 /dev/urandom | base64.";
    }
    Accounts {
        AccountsNone = "accounts-none", "note", "there is no account",
            "Mail needs an account to go out.",
            "postroom account add you@example.com";
        AccountUnknown = "account-unknown", "error", "there is no account of this name",
            "Nothing can be said of it.",
            "postroom account list";
        Credentials = "credentials", "ok, note", "sealed credentials are there and open",
            "An account that is sealed with an old key keeps that key in use.",
            "Store its credentials again with `postroom account add ADDRESS`: the first key seals them.";
        CredentialsMissing = "credentials-missing", "error", "no credentials are stored",
            "Without them there is no token.",
            "postroom account add ADDRESS";
        CredentialsKey = "credentials-key", "error", "the key that the credentials were sealed with is not here",
            "They cannot be opened.",
            "Append that key to POSTROOM_SECRET_KEY, after a comma; if it is lost: postroom account add ADDRESS";
        CredentialsCut = "credentials-cut", "error", "the sealed credentials are cut",
            "They cannot be opened. Something else wrote into this Redis.",
            "postroom account add ADDRESS; find out who else writes into this Redis.";
        CredentialsSwapped = "credentials-swapped", "error", "the sealed credentials are those of another account",
            "They do not open here. Somebody moved them, or a restore went wrong.",
            "postroom account add ADDRESS; find out who else writes into this Redis.";
        CredentialsDamaged = "credentials-damaged", "error", "the sealed credentials do not open",
            "They were changed, cut or moved here. Something else wrote into this Redis.",
            "postroom account add ADDRESS; find out who else writes into this Redis.";
        Token = "token", "ok", "an access token is to be had",
            "", "";
        TokenNotAsked = "token-not-asked", "note", "no token was asked for, because the account is held for that very reason",
            "Asking again would not help, and Google counts it.",
            "Mend the hold first; `postroom doctor ADDRESS --try` asks all the same.";
        ConsentGone = "consent-gone", "error", "the person's consent is gone",
            "Without it there is no token: the account's mail waits.",
            "Have the person consent again, then `postroom account login ADDRESS`. Who has access: https://myaccount.google.com/connections";
        ClientRefused = "client-refused", "error", "the OAuth2 client is refused",
            "Every account of this client waits.",
            "Compare id and secret with https://console.cloud.google.com/apis/credentials, then `postroom account add ADDRESS`.";
        ServiceRefused = "service-refused", "error", "the service account gets no token for this account",
            "The account's mail waits.",
            "The finding says what to do; more in docs/service-accounts.md.";
        TokenUnavailable = "token-unavailable", "error", "the token endpoint gives no token for now",
            "When the present token ends, the account's mail waits.",
            "Look at POSTROOM_TOKEN_URL and the network; if it is Google's own trouble it passes: https://status.cloud.google.com";
        Scope = "scope", "ok, note", "what the token may be used for",
            "Only https://mail.google.com/ opens SMTP and IMAP.", "";
        ScopeMissing = "scope-missing", "error", "the token may not be used for SMTP",
            "Gmail refuses each login: gmail.send and the like work for the REST API only.",
            "Have the person consent to https://mail.google.com/: `postroom account login ADDRESS`.";
        Login = "login", "ok", "the account logs in at the SMTP server",
            "", "";
        LoginNotTried = "login-not-tried", "note", "no login was tried",
            "It would count against the account's logins, or there was nothing to log in with.",
            "`postroom doctor ADDRESS --try` tries it all the same, unless there is no token.";
        LoginMailbox = "login-mailbox", "error", "the login is refused although the token is new and of the right scope",
            "The consent was given by another mailbox, or this one may not use SMTP.",
            "Consent anew, logged in as this very address, then `postroom account add ADDRESS`. In Workspace an admin allows IMAP and SMTP: https://admin.google.com/ac/apps/gmail/enduseraccess";
        LoginRefused = "login-refused", "error", "the login is refused",
            "The token's consent was revoked, its scope is wrong, or it belongs to another mailbox.",
            "`postroom doctor ADDRESS --try` fetches a new token to find out which; `postroom explain CODE` tells the reply.";
        LoginFailed = "login-failed", "warning", "the login failed for now",
            "Mail waits while it lasts.",
            "`postroom explain CODE` says what the reply means and how long it lasts.";
        Held = "held", "warning, error", "the account is held",
            "Its mail keeps its place and waits.",
            "postroom account resume ADDRESS, when the cause is gone";
        Budget = "budget", "ok, warning", "what is used and left of the limits of 24 hours",
            "When nothing is left, mail waits until what was sent is a day old.",
            "Spread the mail over more accounts (docs/pools.md); keep a share for urgent mail: postroom account add ADDRESS --urgent-share 20 --keep-credentials";
        BudgetUsedUp = "budget-used-up", "warning", "nothing is left of the limits of 24 hours",
            "Mail waits until what was sent is a day old.",
            "Wait, or let other accounts send (docs/pools.md).";
        Limits = "limits", "ok, warning", "whether kind, limits and connections fit the mailbox",
            "With limits above Gmail's own, Gmail refuses first and holds the account for up to a day.",
            "postroom account add ADDRESS --kind … --limit … --connections … --keep-credentials";
        Waiting = "waiting", "ok, note", "mail that waits in the account's lane",
            "", "`postroom mail show ID` says when a mail will go and why not now.";
        DeadLetters = "dead-letters", "ok, warning", "mail that became a dead letter within a day",
            "It was not delivered to all of its recipients.",
            "postroom dead list --account ADDRESS --newer-than 1d";
        Aliases = "aliases", "note", "further addresses that the account sends as",
            "Gmail rewrites From unless it knows the alias: doctor cannot see whether it does.",
            "Compare with Gmail's settings, Accounts, \"Send mail as\": https://mail.google.com/mail/u/0/#settings/accounts";
    }
    Domains {
        DomainGoogle = "domain-google", "ok", "the domain is Google's own", "", "";
        DnsUnanswered = "dns-unanswered", "warning", "DNS gives no answer",
            "The records could not be judged.",
            "Look at this machine's DNS, or name a resolver: --resolver ADDRESS:PORT";
        Spf = "spf", "ok", "SPF allows Google to send", "", "";
        SpfMissing = "spf-missing", "warning", "there is no SPF record",
            "Without SPF and DKIM receivers take the mail for forged.",
            "A TXT record at DOMAIN: v=spf1 include:_spf.google.com ~all (https://support.google.com/a/answer/33786)";
        SpfMany = "spf-many", "error", "there is more than one SPF record",
            "Receivers then take none of them (RFC 7208, permerror).",
            "Join them into one TXT record that begins with v=spf1.";
        SpfGoogle = "spf-google", "warning", "SPF does not allow Google to send",
            "What goes out through Gmail fails SPF.",
            "Add include:_spf.google.com to the SPF record of DOMAIN.";
        SpfOpen = "spf-open", "error", "SPF allows everybody (+all)",
            "Anybody may send as this domain, and receivers trust it less.",
            "End the SPF record with ~all or -all.";
        SpfLookups = "spf-lookups", "error", "SPF needs more than 10 look-ups",
            "Receivers give up at the eleventh and take no SPF at all (RFC 7208, permerror).",
            "Take includes out of the SPF record that are not used any more.";
        Dkim = "dkim", "ok", "there is a DKIM key", "", "";
        DkimMissing = "dkim-missing", "warning", "there is no DKIM key at this selector",
            "Google signs with its own domain instead, which DMARC does not count for yours.",
            "https://admin.google.com/ac/apps/gmail/authenticateemail; if you chose another selector: --dkim-selector NAME";
        DkimRevoked = "dkim-revoked", "warning", "the DKIM key at this selector is empty: it was revoked",
            "What is signed with it fails.",
            "Make a new key: https://admin.google.com/ac/apps/gmail/authenticateemail";
        Dmarc = "dmarc", "ok, note", "there is a DMARC record",
            "p=none asks receivers only to report.",
            "When the reports look right, raise p to quarantine.";
        DmarcMissing = "dmarc-missing", "warning", "there is no DMARC record",
            "Bulk senders need one, and without it forged mail is not refused.",
            "A TXT record at _dmarc.DOMAIN: v=DMARC1; p=none; rua=mailto:postmaster@… (https://support.google.com/a/answer/2466563)";
        DmarcWrong = "dmarc-wrong", "warning", "the DMARC record cannot be used",
            "Receivers ignore it (RFC 7489).",
            "One TXT record at _dmarc.DOMAIN that begins with v=DMARC1; p=none, quarantine or reject.";
        SenderUnproven = "sender-unproven", "error", "neither SPF nor DKIM speaks for the domain",
            "Gmail refuses such mail (550 5.7.26).",
            "Set at least one of them; both are better.";
        BulkSender = "bulk-sender", "note, warning", "the domain comes near Google's rules for bulk senders",
            "From about 5,000 a day to personal Gmail on, Google asks for SPF, DKIM, DMARC, one-click List-Unsubscribe (RFC 8058) in bulk mail, and a spam rate under 0.1 %.",
            "https://support.google.com/a/answer/81126; the spam rate: https://postmaster.google.com";
    }
}
