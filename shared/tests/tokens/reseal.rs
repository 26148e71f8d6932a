//! Sealing anew while the fleet works: everything is moved, nothing is overwritten behind anybody's back.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::store::Store;
use postroom_shared::tokens::reseal::{End, Resealed, reseal, reseal_service_keys};
use postroom_shared::tokens::{Credentials, Purpose, SealError, ServiceAccount, credentials, service_keys};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use crate::sealed::refresh_token;
use crate::stage::{Answer, KEY, OTHER_KEY, account, credentials_of, process_with, sealer, stage, text};

/// What version 1 made with `KEY` for alice's credentials: client "client", secret "hush", refresh token "refresh".
const VERSION_1: &str = concat!(
    "01630dcd2983b10c16173754559cb4e005b3a229a38cef440770d0c636decf235a4078c7a16f30a0af3fba294642ba241360e5357bbf43448f",
    "b72d48c314303876410e2f4ae2ea7ea6b6a40d316f07e1a4240f8492dcf04658294f3f3d2cad567d59aab8a0b653906a5eb52027410ebfeee6",
    "a556"
);

async fn ends(store: &Store, keys: &str, accounts: &[AccountId], only_look: bool) -> Vec<(String, Purpose, End)> {
    let told = reseal(store, &sealer(keys), accounts, only_look).await.unwrap();
    let short = |one: Resealed| (one.account.reveal().split('@').next().unwrap().to_owned(), one.purpose, one.end);
    told.into_iter().map(short).collect()
}

#[tokio::test]
async fn all_records_are_moved_and_the_old_key_is_needed_no_more() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    let both = format!("{OTHER_KEY},{KEY}");
    tokens.access(&alice).await.unwrap();
    let fixture: Vec<u8> = VERSION_1
        .as_bytes()
        .chunks(2)
        .map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
        .collect();
    let set = redis::cmd("SET").arg(store.keys_of(&alice).sealed(&alice)).arg(fixture).to_owned();
    set.query_async::<()>(&mut store.connection()).await.unwrap();
    let accounts = [alice.clone(), bob.clone(), account("nobody")];
    let of = |end: End| {
        let one = |name: &str, purpose| (name.to_owned(), purpose, end.clone());
        [one("alice", Purpose::Credentials), one("alice", Purpose::Access), one("bob", Purpose::Credentials)]
    };
    assert_eq!(ends(&store, &both, &accounts, true).await, of(End::Due));
    assert_eq!(ends(&store, &both, &accounts, false).await, of(End::Moved));
    assert_eq!(ends(&store, &both, &accounts, false).await, of(End::There));
    let [new, _] = sealer(&both).key_ids().collect::<Vec<_>>()[..] else { panic!("two keys") };
    let told = reseal(&store, &sealer(OTHER_KEY), &accounts, true).await.unwrap();
    assert!(told.iter().all(|one| one.key == Some(new) && one.end == End::There), "{told:?}");
    let loaded = credentials::load(&store, &sealer(OTHER_KEY), &alice).await.unwrap().unwrap();
    assert!(
        matches!(&loaded, Credentials::Consent { client_id, client_secret, .. }
            if client_id == "client" && client_secret.expose_secret() == "hush"),
        "{loaded:?}"
    );
    // The shared token is still good, for those who know both keys, and still ends.
    let key = store.keys_of(&alice).token(&alice);
    let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut store.connection()).await.unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    let other = process_with(&redis, &endpoint, OTHER_KEY).await;
    assert_eq!((text(&other.access(&alice).await.unwrap()).as_str(), endpoint.count()), ("access-1", 1));
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_and_stays() {
    let (redis, _endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let store = redis.store().await;
    let names = ["alice", "bob", "carol", "dave"].map(account);
    let key = |account: &AccountId| store.keys_of(account).sealed(account);
    let get = async |account: &AccountId| -> Vec<u8> {
        redis::cmd("GET").arg(key(account)).query_async(&mut store.connection()).await.unwrap()
    };
    let put = async |account: &AccountId, record: &[u8]| {
        redis::cmd("SET").arg(key(account)).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    };
    tokens.access(&names[3]).await.unwrap();
    let (alices, bobs) = (get(&names[0]).await, get(&names[1]).await);
    put(&names[0], &bobs).await;
    put(&names[1], &bobs[..30]).await;
    credentials::save(&store, &sealer(OTHER_KEY), &names[2], &credentials_of("carol")).await.unwrap();
    let told = ends(&store, KEY, &names, false).await;
    let why = |name: &str, error| (name.to_owned(), Purpose::Credentials, End::Unopened(error));
    let unknown = sealer(OTHER_KEY).key_ids().next().unwrap().to_string();
    assert_eq!(told[0], why("alice", SealError::OtherAccount { hash: names[1].hashed() }));
    assert_eq!(told[1], why("bob", SealError::Cut { left: 30 }));
    assert_eq!(told[2], why("carol", SealError::UnknownKey { id: unknown }));
    assert!(told[3..].iter().all(|(name, _, end)| name == "dave" && *end == End::There) && told.len() == 5, "{told:?}");
    assert_eq!((get(&names[0]).await, get(&names[1]).await), (bobs.clone(), bobs[..30].to_vec()));
    assert_ne!(alices, bobs);
}

#[tokio::test]
async fn a_new_refresh_token_survives_that_the_old_one_was_sealed_anew_meanwhile() {
    let (redis, endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let both = format!("{OTHER_KEY},{KEY}");
    let gate = Arc::new(Semaphore::new(0));
    endpoint.answers(Answer::Held(gate.clone(), Box::new(Answer::Rotate("refresh-next"))));
    let tokens = process_with(&redis, &endpoint, &both).await;
    let refreshing = {
        let alice = alice.clone();
        tokio::spawn(async move { tokens.access(&alice).await })
    };
    endpoint.arrival().await;
    let moved = ends(&store, &both, std::slice::from_ref(&alice), false).await;
    assert_eq!(moved[0].2, End::Moved);
    gate.add_permits(1);
    refreshing.await.unwrap().unwrap();
    let loaded = credentials::load(&store, &sealer(&both), &alice).await.unwrap().unwrap();
    assert_eq!(refresh_token(&loaded), "refresh-next");
}

#[tokio::test]
async fn new_credentials_are_never_overwritten() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let keys = [format!("{OTHER_KEY},{KEY}"), format!("{KEY},{OTHER_KEY}")];
    let mut raced = 0;
    for round in 0..300 {
        let name = format!("alice-{round}");
        let (there, own) = (&keys[round % 2], sealer(&keys[(round + 1) % 2]));
        let new = credentials_of(&name);
        let both = tokio::join!(
            ends(&store, there, std::slice::from_ref(&alice), false),
            credentials::save(&store, &own, &alice, &new)
        );
        both.1.unwrap();
        raced += u32::from(both.0[0].2 == End::Moved);
        let loaded = credentials::load(&store, &own, &alice).await.unwrap().unwrap();
        assert_eq!(refresh_token(&loaded), format!("refresh-{name}"));
    }
    assert!(raced > 0, "nothing was moved in any round");
}

#[tokio::test]
async fn the_key_of_a_service_account_is_moved_once_for_all_its_accounts() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, both) = (redis.store().await, format!("{OTHER_KEY},{KEY}"));
    let accounts = [account("alice"), account("bob")];
    let file = serde_json::json!({
        "type": "service_account",
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1234",
        "private_key_id": "key-one",
        "private_key": include_str!("../../../tests/keys/one.pem"),
    });
    for user in &accounts {
        let service = ServiceAccount::from_key_file(&file.to_string()).unwrap();
        let credentials = Credentials::ServiceAccount { service, user: user.clone() };
        credentials::save(&store, &sealer(KEY), user, &credentials).await.unwrap();
    }
    let emails = service_keys::of_all(&store, &accounts).await.unwrap();
    assert_eq!(emails.len(), 1);
    let moved = async |only_look: bool| {
        let told = reseal_service_keys(&store, &sealer(&both), &emails, only_look).await.unwrap();
        told.into_iter().map(|one| (one.purpose, one.end)).collect::<Vec<_>>()
    };
    assert_eq!(moved(true).await, [(Purpose::ServiceKey, End::Due)]);
    assert_eq!(moved(false).await, [(Purpose::ServiceKey, End::Moved)]);
    assert_eq!(moved(false).await, [(Purpose::ServiceKey, End::There)]);
    assert!(reseal(&store, &sealer(&both), &accounts, false).await.unwrap().iter().all(|one| one.end == End::Moved));
    for user in &accounts {
        let loaded = credentials::load(&store, &sealer(OTHER_KEY), user).await.unwrap();
        assert!(matches!(loaded, Some(Credentials::ServiceAccount { .. })), "{loaded:?}");
    }
}
