//! `postroom doctor`: one way to break Postroom after another, each named by its id; nothing outside loopback is asked.

use postroom_it::{DnsServer, Finished, Persistence, RedisServer, Rig, RigOptions, run};
use postroom_sandbox::{Action, CLIENT_ID, CLIENT_SECRET, ConfigChange, Fault, Sandbox, Stage};
use postroom_shared::account::{Account, AccountId, Pause, client_hash};
use postroom_shared::queue::Outcome;
use postroom_shared::reason::Reason;
use postroom_shared::settings::{Source, TokenSettings};
use postroom_shared::tokens::{Credentials, Sealer, credentials};
use serde_json::Value;

use crate::support::{Session, job};

pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.com";
/// Records of a domain that has all it needs.
pub const RECORDS: [(&str, &str); 4] = [
    ("example.com", "v=spf1 include:_spf.google.com ~all"),
    ("_spf.google.com", "v=spf1 ip4:192.0.2.0/24 ~all"),
    ("google._domainkey.example.com", "v=DKIM1; k=rsa; p=MIGfMA0"),
    ("_dmarc.example.com", "v=DMARC1; p=reject"),
];

/// Redis, the sandbox, Alice's account, and DNS.
pub struct Clinic {
    pub rig: Rig,
    dns: DnsServer,
}

/// What the doctor said.
pub struct Told {
    pub code: i32,
    pub report: Value,
}

impl Clinic {
    /// All is well, but for a Redis that keeps everything on the disk.
    pub async fn open() -> Self {
        Self::with(RigOptions { persistence: Persistence::Always, ..RigOptions::default() }, &RECORDS).await
    }

    pub async fn with(options: RigOptions, records: &[(&str, &str)]) -> Self {
        let clinic =
            Self { rig: Rig::start_with(options).await.unwrap(), dns: DnsServer::start(records).await.unwrap() };
        clinic.admit(ALICE, &Sandbox::refresh_token(ALICE), CLIENT_ID).await;
        clinic
    }

    /// Adds an account as `postroom account add` does, with limits that fit.
    pub async fn admit(&self, address: &str, refresh_token: &str, client_id: &str) -> AccountId {
        let id: AccountId = address.parse().unwrap();
        let mut source = Source::from_pairs(self.rig.environment.iter().cloned());
        let sealer = Sealer::from_settings(&TokenSettings::read(&mut source)).unwrap();
        let credentials = Credentials::Consent {
            client_id: client_id.to_owned(),
            client_secret: CLIENT_SECRET.to_owned().into(),
            refresh_token: refresh_token.to_owned().into(),
        };
        credentials::save(&self.rig.store().await.unwrap(), &sealer, &id, &credentials).await.unwrap();
        let account = Account { client: Some(client_hash(client_id)), ..Account::new(id.clone()) };
        self.rig.queue().await.unwrap().put_account(&account).await.unwrap();
        id
    }

    pub async fn run(&self, arguments: &[&str], further: &[(&str, &str)]) -> Finished {
        let resolver = self.dns.address().to_string();
        let arguments = [&["doctor", "--resolver", resolver.as_str()], arguments].concat();
        let finished = run("postroom", &arguments, &self.rig.with(further), b"").await.unwrap();
        for secret in ["sandbox-refresh:", "sandbox-access.", CLIENT_SECRET, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"] {
            assert!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret), "{secret}");
        }
        assert!(!finished.stderr.contains('@'), "{}", finished.stderr);
        finished
    }

    pub async fn ask_with(&self, arguments: &[&str], further: &[(&str, &str)]) -> Told {
        let finished = self.run(&[&["--json"], arguments].concat(), further).await;
        let report = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
        Told { code: finished.code.unwrap(), report }
    }

    pub async fn ask(&self) -> Told {
        self.ask_with(&[], &[]).await
    }

    async fn sealed_key(&self, address: &str) -> String {
        self.rig.store().await.unwrap().keys(0).sealed(&address.parse().unwrap())
    }
}

impl Told {
    pub fn findings(&self) -> &Vec<Value> {
        self.report["findings"].as_array().unwrap()
    }

    pub fn finding(&self, id: &str) -> &Value {
        let found = self.findings().iter().find(|finding| finding["id"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {:#}", self.report))
    }

    /// The ids of all that is worse than a note.
    pub fn troubles(&self) -> Vec<(&str, &str)> {
        let is_trouble = |finding: &&Value| finding["severity"] == "warning" || finding["severity"] == "error";
        self.findings()
            .iter()
            .filter(is_trouble)
            .map(|finding| (finding["id"].as_str().unwrap(), finding["severity"].as_str().unwrap()))
            .collect()
    }

    /// Names exactly this trouble and no other, and exits by it.
    #[track_caller]
    pub fn is(&self, expected: &[(&str, &str)]) {
        assert_eq!(self.troubles(), expected, "{:#}", self.report);
        let is_error = expected.iter().any(|(_, severity)| *severity == "error");
        assert_eq!(self.code, i32::from(is_error));
        for (id, _) in expected {
            let finding = self.finding(id);
            assert!(finding["why"].is_string() && finding["mend"].is_string(), "{finding}");
        }
    }
}

#[tokio::test]
async fn when_all_is_well_it_says_so_and_its_json_has_its_form() {
    let clinic = Clinic::open().await;
    let told = clinic.ask().await;
    told.is(&[]);
    assert_eq!(told.report["errors"], 0);
    for id in ["redis-version", "redis-eviction", "redis-persistence", "redis-latency", "clock-server", "clock-redis"] {
        assert_eq!(told.finding(id)["severity"], "ok", "{id}");
    }
    for id in ["keys", "credentials", "token", "scope", "login", "budget", "limits", "waiting", "dead-letters"] {
        assert_eq!(told.finding(id)["severity"], "ok", "{id}");
    }
    for id in ["server", "spf", "dkim", "dmarc"] {
        assert_eq!(told.finding(id)["severity"], "ok", "{id}");
    }
    let servers = told.findings().iter().filter(|finding| finding["id"] == "server").count();
    assert_eq!(servers, 3, "{:#}", told.report);
    let login = told.finding("login");
    assert_eq!((&login["subject"], &login["about"]), (&"accounts".into(), &ALICE.into()));
    assert!(login["why"].is_null() && login["mend"].is_null());
    let mut fields: Vec<&str> = told.report.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["errors", "findings", "notes", "ok", "warnings", "worst"]);
    // The second time the token is the fleet's: the endpoint is not asked again.
    clinic.ask().await.is(&[]);
    assert_eq!(clinic.rig.sandbox.stats().tokens_issued, 1);
    let text = clinic.run(&[ALICE], &[]).await.stdout;
    assert!(text.contains("\nAccounts\n alice@example.com\n") && text.contains("  ok       login: "), "{text}");
}

#[tokio::test]
async fn consent_revoked() {
    let clinic = Clinic::open().await;
    clinic.rig.sandbox.revoke(ALICE);
    let told = clinic.ask().await;
    told.is(&[("consent-gone", "error")]);
    let gone = told.finding("consent-gone");
    assert!(gone["what"].as_str().unwrap().contains("invalid_grant"), "{gone}");
    assert!(gone["mend"].as_str().unwrap().contains("postroom account login alice@example.com"), "{gone}");
    // Given a moment ago: it cannot be the seven days of Testing.
    let causes: Vec<_> = gone["causes"].as_array().unwrap().iter().map(|it| it["cause"].as_str().unwrap()).collect();
    assert!(causes.contains(&"password") && causes.contains(&"revoked") && !causes.contains(&"testing"), "{causes:?}");
}

#[tokio::test]
async fn a_consent_of_seven_days_points_to_testing_and_a_hold_is_honoured() {
    let clinic = Clinic::open().await;
    let (queue, alice) = (clinic.rig.queue().await.unwrap(), ALICE.parse::<AccountId>().unwrap());
    clinic.rig.sandbox.revoke(ALICE);
    let week_ago = postroom_shared::clock::Millis::now().0 - 7 * 86_400_000 - 60_000;
    let key = queue.store().keys_of(&alice).account(&alice);
    clinic.rig.redis.ask::<i64>(&["HSET", &key, "consented", &week_ago.to_string()]).await.unwrap();
    let note = "consent is needed again (invalid_grant: Token has been expired or revoked.)";
    queue.hold(&alice, Reason::Consent, note, Pause::UntilAPerson).await.unwrap();
    let told = clinic.ask().await;
    told.is(&[("held", "error"), ("consent-gone", "error")]);
    let first = &told.finding("consent-gone")["causes"][0];
    assert_eq!((&first["cause"], &first["likelihood"]), (&"testing".into(), &"probable".into()), "{first}");
    // The hold says it all: nobody was asked again, until a person insists.
    assert_eq!(told.finding("token-not-asked")["severity"], "note");
    let token_requests = || clinic.rig.sandbox.stats().token_requests;
    assert_eq!(token_requests(), 0);
    clinic.ask_with(&["--try"], &[]).await;
    assert_eq!(token_requests(), 1);
}

#[tokio::test]
async fn wrong_client_and_deleted_client() {
    let clinic = Clinic::open().await;
    clinic.admit(ALICE, &Sandbox::refresh_token(ALICE), "another-client").await;
    let told = clinic.ask().await;
    told.is(&[("client-refused", "error")]);
    assert!(told.finding("client-refused")["what"].as_str().unwrap().contains("invalid_client"));

    // Another Postroom: a fleet may remember for a while that a client was refused.
    let clinic = Clinic::open().await;
    let deleted = r#"{"error":"deleted_client","error_description":"The OAuth client was deleted."}"#;
    clinic.rig.sandbox.add_fault(Fault::new(Stage::Token, Action::http(401, deleted))).unwrap();
    let told = clinic.ask().await;
    told.is(&[("client-refused", "error")]);
    assert!(told.finding("client-refused")["what"].as_str().unwrap().contains("deleted_client"));
}

#[tokio::test]
async fn scope_missing_and_no_login_tried_with_it() {
    let clinic = Clinic::open().await;
    let answer = r#"{"access_token":"some-token","expires_in":3599,"token_type":"Bearer",
        "scope":"https://www.googleapis.com/auth/gmail.send"}"#;
    clinic.rig.sandbox.add_fault(Fault::new(Stage::Token, Action::http(200, answer))).unwrap();
    let told = clinic.ask().await;
    told.is(&[("scope-missing", "error")]);
    assert!(told.finding("scope-missing")["what"].as_str().unwrap().contains("gmail.send"));
    // The scope is known of the shared token, too.
    clinic.ask().await.is(&[("scope-missing", "error")]);
    assert_eq!(clinic.rig.sandbox.stats().logins_refused, 0);
}

#[tokio::test]
async fn another_mailboxs_token_and_a_token_that_was_ended() {
    let clinic = Clinic::open().await;
    clinic.ask().await.is(&[]);
    clinic.rig.sandbox.expire_tokens(Some(ALICE));
    // The token still lives by its time: doctor forces nothing, unless a person insists.
    clinic.ask().await.is(&[("login-refused", "error")]);
    clinic.ask_with(&["--try"], &[]).await.is(&[]);

    clinic.admit(ALICE, &Sandbox::refresh_token(BOB), CLIENT_ID).await;
    clinic.ask().await.is(&[("login-mailbox", "error")]);
}

#[tokio::test]
async fn keys_and_sealed_records() {
    let clinic = Clinic::open().await;
    clinic.ask_with(&[], &[("POSTROOM_SECRET_KEY", "")]).await.is(&[("key-missing", "error")]);
    clinic.ask_with(&[], &[("POSTROOM_SECRET_KEY", "c2hvcnQ=")]).await.is(&[("key-unusable", "error")]);
    let other = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    let told = clinic.ask_with(&[], &[("POSTROOM_SECRET_KEY", other)]).await;
    told.is(&[("credentials-key", "error")]);
    let both = format!("{other},MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let rotated = clinic.ask_with(&[], &[("POSTROOM_SECRET_KEY", &both)]).await;
    rotated.is(&[]);
    assert_eq!(
        (&rotated.finding("keys")["severity"], &rotated.finding("credentials")["severity"]),
        (&"note".into(), &"note".into())
    );

    let redis = &clinic.rig.redis;
    let key = clinic.sealed_key(ALICE).await;
    let record: Vec<u8> = redis.ask(&["GET", &key]).await.unwrap();
    clinic.admit(BOB, &Sandbox::refresh_token(BOB), CLIENT_ID).await;
    redis.ask::<i64>(&["COPY", &clinic.sealed_key(BOB).await, &key, "REPLACE"]).await.unwrap();
    clinic.ask().await.is(&[("credentials-swapped", "error")]);
    // Cut to ten bytes; `SETRANGE` would lengthen it.
    let mut connection = redis.connection().await.unwrap();
    let set = |bytes: Vec<u8>| redis::cmd("SET").arg(&key).arg(bytes).to_owned();
    set(record[..10].to_vec()).query_async::<()>(&mut connection).await.unwrap();
    clinic.ask().await.is(&[("credentials-cut", "error")]);
    let mut flipped = record.clone();
    *flipped.last_mut().unwrap() ^= 1;
    set(flipped).query_async::<()>(&mut connection).await.unwrap();
    clinic.ask().await.is(&[("credentials-damaged", "error")]);
    redis.ask::<i64>(&["DEL", &key]).await.unwrap();
    clinic.ask().await.is(&[("credentials-missing", "error")]);
}

#[tokio::test]
async fn budget_used_up_quota_hold_and_a_hold_of_an_operators() {
    let clinic = Clinic::open().await;
    let (queue, alice) = (clinic.rig.queue().await.unwrap(), ALICE.parse::<AccountId>().unwrap());
    let account = queue.account(&alice).await.unwrap().unwrap();
    queue.change_account(&Account { limit: Some(1), ..account.clone() }).await.unwrap();
    let session = Session::open(&queue).await;
    queue.push(&job(&queue, &alice)).await.unwrap();
    let claimed = session.claim(1).await.jobs;
    session.settle(&claimed[0], Outcome::Sent).await;
    clinic.ask().await.is(&[("budget-used-up", "warning")]);
    assert_eq!(clinic.ask_with(&["--strict"], &[]).await.code, 1);

    queue.change_account(&account).await.unwrap();
    let hour = std::time::Duration::from_secs(3_600);
    queue
        .hold(&alice, Reason::Quota, "550 5.4.5 limit of bob@example.org", Pause::For { least: hour, most: hour })
        .await
        .unwrap();
    let told = clinic.ask().await;
    told.is(&[("held", "warning")]);
    let what = told.finding("held")["what"].as_str().unwrap();
    assert!(what.starts_with("quota since ") && what.contains("b***@example.org"), "{what}");
    queue.hold(&alice, Reason::Operator, "password changed", Pause::UntilAPerson).await.unwrap();
    let told = clinic.ask().await;
    told.is(&[("held", "warning"), ("held", "error")]);
    let mends: Vec<_> = told.findings().iter().filter_map(|finding| finding["mend"].as_str()).collect();
    assert!(mends.iter().any(|mend| mend.starts_with("postroom account resume alice@example.com")), "{mends:?}");
}

#[tokio::test]
async fn redis_that_evicts_keeps_nothing_or_is_away() {
    let redis =
        RedisServer::start_with(Persistence::None, &["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let redis = redis.await.unwrap();
    let options = RigOptions { given_redis: Some(redis.url()), ..RigOptions::default() };
    let clinic = Clinic::with(options, &RECORDS).await;
    let told = clinic.ask().await;
    told.is(&[("redis-eviction", "error"), ("redis-persistence", "error")]);
    assert!(told.finding("redis-eviction")["what"].as_str().unwrap().contains("allkeys-lru"));

    // A user that may neither read INFO nor CONFIG: told, and no more.
    let acl = ["ACL", "SETUSER", "shy", "on", ">word", "~*", "&*", "+@all", "-info", "-config"];
    redis.ask::<String>(&acl).await.unwrap();
    let shy = redis.url().replace("redis://", "redis://shy:word@");
    let told = clinic.ask_with(&[], &[("POSTROOM_REDIS_URL", &shy)]).await;
    told.is(&[]);
    assert_eq!(told.finding("redis-silent")["severity"], "note");

    let told = clinic.ask_with(&[], &[("POSTROOM_REDIS_URL", "redis://127.0.0.1:1")]).await;
    told.is(&[("redis-unreachable", "error")]);
    assert!(told.findings().iter().any(|finding| finding["id"] == "server"), "the rest is looked at all the same");
}

#[tokio::test]
async fn an_unknown_account_no_account_and_wrong_use() {
    let clinic = Clinic::open().await;
    clinic.ask_with(&[BOB], &[]).await.is(&[("account-unknown", "error")]);
    assert_eq!(clinic.run(&["--resolver", "dns.example"], &[]).await.code, Some(2));
    let queue = clinic.rig.queue().await.unwrap();
    queue.remove_account(&ALICE.parse().unwrap()).await.unwrap();
    let told = clinic.ask().await;
    told.is(&[]);
    assert_eq!(told.finding("accounts-none")["severity"], "note");
}

#[tokio::test]
async fn the_clock_is_off() {
    let clinic = Clinic::open().await;
    let shift = |ms| ConfigChange { date_ahead_ms: Some(ms), ..ConfigChange::default() };
    clinic.rig.sandbox.set_config(&shift(600_000));
    let told = clinic.ask().await;
    told.is(&[("clock-server", "error")]);
    assert!(told.finding("clock-server")["what"].as_str().unwrap().contains("behind"), "{:#}", told.report);
    clinic.rig.sandbox.set_config(&shift(-20_000));
    clinic.ask().await.is(&[("clock-server", "warning")]);
}
