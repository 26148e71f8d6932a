//! Stored credentials: sealed, rotated, never swapped, never overwritten behind a person's back.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::tokens::{Credentials, CredentialsError, SealError, TokenError, credentials};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use crate::stage::{Answer, KEY, OTHER_KEY, account, credentials_of, process, sealer, stage, text};

#[tokio::test]
async fn a_new_refresh_token_is_kept_unless_a_person_logged_in_meanwhile() {
    let (redis, endpoint, tokens) = stage(Answer::Rotate("refresh-next")).await;
    let store = redis.store().await;
    let stored = async |name: &str| {
        let loaded = credentials::load(&store, &sealer(KEY), &account(name)).await.unwrap().unwrap();
        loaded.refresh_token.expose_secret().to_owned()
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
    assert_eq!(rotated.refresh_token.expose_secret(), "refresh-alice");
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
    let other = Credentials { client_id: "another client".to_owned(), ..credentials_of("alice") };
    credentials::save(&store, &sealer(KEY), &alice, &other).await.unwrap();
    let back = redis::cmd("RESTORE").arg(&alices).arg(3_600_000).arg(kept).to_owned();
    back.query_async::<()>(&mut store.connection()).await.unwrap();
    assert_eq!((look().await, look().await), ("access-4".into(), "access-4".into()));
}
