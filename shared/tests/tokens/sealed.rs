//! Stored credentials: sealed, rotated, never swapped, never overwritten behind a person's back.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::store::keys::SERVICE_SHARD;
use postroom_shared::tokens::{
    ClientTag, Credentials, CredentialsError, Purpose, SealError, ServiceAccount, TokenError, credentials, service_keys,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::stage::{Answer, KEY, OTHER_KEY, account, credentials_of, process, sealer, stage, text};

pub(crate) fn refresh_token(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Consent { refresh_token, .. } => refresh_token.expose_secret().to_owned(),
        Credentials::ServiceAccount { .. } => panic!("{credentials:?}"),
    }
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_unless_a_person_logged_in_meanwhile() {
    let (redis, endpoint, tokens) = stage(Answer::Rotate("refresh-next")).await;
    let store = redis.store().await;
    let stored = async |name: &str| {
        let loaded = credentials::load(&store, &sealer(KEY), &account(name)).await.unwrap().unwrap();
        refresh_token(&loaded)
    };
    tokens.access(&account("alice")).await.unwrap();
    assert_eq!(stored("alice").await, "refresh-next");
    // Bob logs in anew while the endpoint answers.
    let gate = Arc::new(Semaphore::new(0));
    endpoint.arrival().await;
    endpoint.answers(Answer::Held(gate.clone(), Box::new(Answer::Rotate("refresh-next"))));
    let bob = tokio::spawn(async move { tokens.access(&account("bob")).await });
    endpoint.arrival().await;
    credentials::save(&store, &sealer(KEY), &account("bob"), &credentials_of("bob-by-hand")).await.unwrap();
    gate.add_permits(1);
    bob.await.unwrap().unwrap();
    assert_eq!(stored("bob").await, "refresh-bob-by-hand");
}

#[tokio::test]
async fn credentials_open_only_with_their_key_and_in_their_place() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    let key = |account: &AccountId| store.keys_of(account).sealed(account);
    let raw: Vec<u8> = redis::cmd("GET").arg(key(&alice)).query_async(&mut store.connection()).await.unwrap();
    assert!(!raw.windows(7).any(|window| window == b"refresh"));
    let load = async |keys: &str, account: &AccountId| credentials::load(&store, &sealer(keys), account).await;
    let put = async |record: &[u8]| {
        redis::cmd("SET").arg(key(&bob)).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    };
    let sealed = |result: Result<Option<Credentials>, CredentialsError>| match result {
        Err(CredentialsError::Sealed(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(sealed(load(OTHER_KEY, &alice).await), SealError::UnknownKey { .. }));
    let rotated = load(&format!("{OTHER_KEY},{KEY}"), &alice).await.unwrap().unwrap();
    assert_eq!(refresh_token(&rotated), "refresh-alice");
    put(&raw).await;
    assert_eq!(sealed(load(KEY, &bob).await), SealError::OtherAccount { hash: alice.hashed() });
    put(&raw[..raw.len() - 1]).await;
    assert_eq!(sealed(load(KEY, &bob).await), SealError::Cut { left: raw.len() - 1 });
    let mut bent = raw.clone();
    bent[raw.len() / 2] ^= 1;
    redis::cmd("SET").arg(key(&alice)).arg(&bent).query_async::<()>(&mut store.connection()).await.unwrap();
    assert_eq!(sealed(load(KEY, &alice).await), SealError::Damaged);
    credentials::remove(&store, &alice).await.unwrap();
    assert!(load(KEY, &alice).await.unwrap().is_none());
}

#[tokio::test]
async fn records_from_before_there_were_service_accounts_open() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let old = br#"{"client_id":"client","client_secret":"secret","refresh_token":"of old"}"#;
    let record = sealer(KEY).seal(Purpose::Credentials, &alice, ClientTag::of("client"), old).unwrap();
    let key = store.keys_of(&alice).sealed(&alice);
    redis::cmd("SET").arg(key).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    let loaded = credentials::load(&store, &sealer(KEY), &alice).await.unwrap().unwrap();
    assert_eq!(refresh_token(&loaded), "of old");
}

fn service(email: &str) -> ServiceAccount {
    let file = serde_json::json!({
        "type": "service_account",
        "client_email": email,
        "client_id": "1234",
        "private_key_id": "key-one",
        "private_key": include_str!("../../../tests/keys/one.pem"),
    });
    ServiceAccount::from_key_file(&file.to_string()).unwrap()
}

#[tokio::test]
async fn an_account_that_changes_its_service_account_takes_the_last_use_of_a_key_with_it() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    let (one, two) = ("one@p.iam.gserviceaccount.com", "two@p.iam.gserviceaccount.com");
    let save = async |user: &AccountId, email: &str| {
        let credentials = Credentials::ServiceAccount { service: service(email), user: user.clone() };
        credentials::save(&store, &sealer(KEY), user, &credentials).await.unwrap();
    };
    let keys = async || {
        let mut keys: Vec<String> =
            redis::cmd("KEYS").arg("*service-*").query_async(&mut store.connection()).await.unwrap();
        keys.sort();
        keys
    };
    save(&alice, one).await;
    save(&bob, one).await;
    let uses = async |user: &AccountId| {
        let found = service_keys::in_use(&store, user).await.unwrap();
        found.into_iter().map(|found| (found.email.reveal().to_owned(), found.accounts)).collect::<Vec<_>>()
    };
    assert_eq!(uses(&alice).await, [(one.to_owned(), 2)]);
    save(&bob, two).await;
    assert_eq!((uses(&alice).await, uses(&bob).await), (vec![(one.to_owned(), 1)], vec![(two.to_owned(), 1)]));
    save(&alice, two).await;
    assert!(keys().await.iter().all(|key| !key.contains(one)), "{:?}", keys().await);
    for user in [&alice, &bob] {
        credentials::remove(&store, user).await.unwrap();
    }
    assert_eq!(keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_key_opens_only_for_its_own_service_account() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    for (user, email) in [(&alice, "one@p.iam.gserviceaccount.com"), (&bob, "two@p.iam.gserviceaccount.com")] {
        let credentials = Credentials::ServiceAccount { service: service(email), user: user.clone() };
        credentials::save(&store, &sealer(KEY), user, &credentials).await.unwrap();
    }
    let load = async || credentials::load(&store, &sealer(KEY), &bob).await;
    assert!(matches!(load().await.unwrap().unwrap(), Credentials::ServiceAccount { user, .. } if user == bob));
    let key = |email: &str| store.keys(SERVICE_SHARD).service_key(email);
    let (one, two) = (key("one@p.iam.gserviceaccount.com"), key("two@p.iam.gserviceaccount.com"));
    redis::cmd("RENAME").arg(&one).arg(&two).query_async::<()>(&mut store.connection()).await.unwrap();
    assert!(matches!(load().await, Err(CredentialsError::Sealed(SealError::OtherAccount { .. }))));
    redis::cmd("DEL").arg(&two).query_async::<()>(&mut store.connection()).await.unwrap();
    assert!(load().await.unwrap().is_none());
}

#[tokio::test]
async fn credentials_that_cannot_be_opened_are_told_as_such_and_never_as_none() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let key = store.keys_of(&alice).sealed(&alice);
    let raw: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut store.connection()).await.unwrap();
    let bob = store.keys_of(&account("bob")).sealed(&account("bob"));
    let bobs: Vec<u8> = redis::cmd("GET").arg(bob).query_async(&mut store.connection()).await.unwrap();
    for (record, word) in
        [(&raw[..20], "is cut: 20 bytes"), (&bobs, "belongs to another account"), (b"", "is cut: 0 bytes")]
    {
        redis::cmd("SET").arg(&key).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
        let error = tokens.access(&alice).await.unwrap_err();
        assert!(matches!(error, TokenError::Sealed(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("store them again with `postroom account add`"), "{text}");
    }
    assert_eq!(endpoint.count(), 0);
    redis::cmd("SET").arg(&key).arg(&raw).query_async::<()>(&mut store.connection()).await.unwrap();
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), "access-1");
}

#[tokio::test]
async fn a_shared_token_that_cannot_be_opened_or_was_given_to_an_older_client_is_replaced() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    let (alices, bobs) = (store.keys_of(&alice).token(&alice), store.keys_of(&bob).token(&bob));
    let look = async || text(&process(&redis, &endpoint).await.access(&alice).await.unwrap());
    tokens.access(&bob).await.unwrap();
    assert_eq!((text(&tokens.access(&alice).await.unwrap()), look().await), ("access-2".into(), "access-2".into()));
    // Bob's in the place of Alice's.
    let record: Vec<u8> =
        redis::cmd("HGET").arg(bobs).arg("sealed").query_async(&mut store.connection()).await.unwrap();
    redis::cmd("HSET").arg(&alices).arg("sealed").arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    assert_eq!((look().await, look().await), ("access-3".into(), "access-3".into()));
    // The token of a client that the account does not have any more, which nobody took away.
    let kept: Vec<u8> = redis::cmd("DUMP").arg(&alices).query_async(&mut store.connection()).await.unwrap();
    let other = Credentials::Consent {
        client_id: "another client".to_owned(),
        client_secret: SecretString::default(),
        refresh_token: "refresh-alice".to_owned().into(),
    };
    credentials::save(&store, &sealer(KEY), &alice, &other).await.unwrap();
    let back = redis::cmd("RESTORE").arg(&alices).arg(3_600_000).arg(kept).to_owned();
    back.query_async::<()>(&mut store.connection()).await.unwrap();
    assert_eq!((look().await, look().await), ("access-4".into(), "access-4".into()));
}
