//! Stored credentials: sealed, rotated, never swapped, never overwritten behind a person's back.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::store::keys::SERVICE_SHARD;
use postroom_shared::tokens::{
    Credentials, CredentialsError, Purpose, SealError, ServiceAccount, credentials, service_keys,
};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use crate::stage::{Answer, KEY, OTHER_KEY, account, credentials_of, sealer, stage};

fn refresh_token(credentials: &Credentials) -> String {
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
    assert_eq!(sealed(load(KEY, &bob).await), SealError::Damaged);
    put(&raw[..raw.len() - 1]).await;
    assert_eq!(sealed(load(KEY, &bob).await), SealError::Damaged);
    credentials::remove(&store, &alice).await.unwrap();
    assert!(load(KEY, &alice).await.unwrap().is_none());
}

#[tokio::test]
async fn records_from_before_there_were_service_accounts_open() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let old = br#"{"client_id":"client","client_secret":"secret","refresh_token":"of old"}"#;
    let record = sealer(KEY).seal(Purpose::Credentials, &alice, old).unwrap();
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
    let key = |email: &str| store.keys(SERVICE_SHARD).service_key(&email.parse().unwrap());
    let (one, two) = (key("one@p.iam.gserviceaccount.com"), key("two@p.iam.gserviceaccount.com"));
    redis::cmd("RENAME").arg(&one).arg(&two).query_async::<()>(&mut store.connection()).await.unwrap();
    assert!(matches!(load().await, Err(CredentialsError::Sealed(SealError::Damaged))));
    redis::cmd("DEL").arg(&two).query_async::<()>(&mut store.connection()).await.unwrap();
    assert!(load().await.unwrap().is_none());
}
