//! Stored credentials: sealed, rotated, never swapped, never overwritten behind a person's back.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::tokens::{Credentials, CredentialsError, SealError, credentials};
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
