//! Who is let in by the HTTP API: good keys only, a revoked one not for a moment longer, and none too often.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::Redis;
use crate::support::wire::{Subscriptions, Wire};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::Next;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use postroom::Millis;
use postroom::serve::{Caller, KeyRing, RingSettings, demand_key};
use postroom_shared::api_keys::{ApiKey, ApiKeys, NewKey, Scope, SecretKey};
use postroom_shared::settings::{RedisSettings, Source};
use postroom_shared::store::Store;
use tower::ServiceExt as _;

/// No test waits so long: only being told makes a ring forget.
const FOR_EVER: Duration = Duration::from_secs(3_600);

async fn keys_at(url: String) -> ApiKeys {
    let mut source = Source::from_pairs([("POSTROOM_REDIS_URL".to_owned(), url)]);
    ApiKeys::new(&Store::connect(&RedisSettings::read(&mut source)).await.unwrap())
}

/// A Redis, a wire to it, a ring at the wire's end, and the keys as another process sees them.
struct Scene {
    redis: Redis,
    wire: Arc<Wire>,
    ring: Arc<KeyRing>,
    elsewhere: ApiKeys,
}

impl Scene {
    async fn set() -> Self {
        let redis = Redis::start();
        let wire = Wire::to(redis.port()).await;
        let settings = RingSettings { rate: 0, believed_for: FOR_EVER };
        let ring = KeyRing::start(keys_at(wire.url()).await, settings);
        let elsewhere = keys_at(redis.url()).await;
        let scene = Self { redis, wire, ring, elsewhere };
        scene.until_live(true).await;
        scene
    }

    async fn until_live(&self, live: bool) {
        until(Duration::from_secs(10), || async { self.ring.is_live() == live }).await;
    }

    async fn key(&self, change: impl FnOnce(&mut NewKey)) -> (ApiKey, SecretKey) {
        let (name, scopes) = ("shop".to_owned(), [Scope::Send].into_iter().collect());
        let mut new = NewKey { name, scopes, ..NewKey::default() };
        change(&mut new);
        self.elsewhere.create(new, Millis::now()).await.unwrap()
    }

    async fn lets_in(&self, key: &SecretKey) -> bool {
        self.ring.admit(key.reveal()).await.is_ok()
    }

    async fn ask(&self, authorization: Option<&str>) -> Response<Body> {
        let who = |Extension(caller): Extension<Arc<Caller>>| async move { caller.key.name.clone() };
        let app =
            Router::new().route("/", get(who)).layer(middleware::from_fn_with_state(Arc::clone(&self.ring), guard));
        let mut request = Request::get("/");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }
}

async fn guard(State(ring): State<Arc<KeyRing>>, request: Request<Body>, next: Next) -> Response<Body> {
    demand_key(&ring, request, |request| next.run(request)).await
}

async fn until<F: Future<Output = bool>>(within: Duration, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < within, "not within {within:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn told(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn only_good_keys_are_let_in() {
    let scene = Scene::set().await;
    let (_, key) = scene.key(|_| {}).await;
    let (status, body) = told(scene.ask(Some(&format!("Bearer {}", key.reveal()))).await).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "shop"));
    for (value, status, name) in [
        (None, StatusCode::UNAUTHORIZED, "missing_api_key"),
        (Some("Basic cHI6eA=="), StatusCode::UNAUTHORIZED, "missing_api_key"),
        (Some("Bearer re_123456789"), StatusCode::FORBIDDEN, "invalid_api_key"),
        (Some("Bearer pr_live_"), StatusCode::FORBIDDEN, "invalid_api_key"),
    ] {
        let (told_status, body) = told(scene.ask(value).await).await;
        assert_eq!(told_status, status, "{value:?}");
        assert!(body.contains(name), "{body}");
    }
    // What a key of another Redis opens is only told by looking.
    let other = Scene::set().await;
    let (_, stranger) = other.key(|_| {}).await;
    let (status, body) = told(scene.ask(Some(&format!("Bearer {}", stranger.reveal()))).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("API key is invalid") && !body.contains(stranger.reveal()), "{body}");
    // Again and again, it is looked for once: as soon as the ring has heard of the key above, nothing changes any more.
    let remembered = || async {
        let before = scene.wire.reads();
        !scene.lets_in(&stranger).await && scene.wire.reads() == before
    };
    until(Duration::from_secs(5), remembered).await;
    let before = scene.wire.reads();
    for _ in 0..200 {
        assert!(!scene.lets_in(&stranger).await);
    }
    assert_eq!(scene.wire.reads(), before);
}

#[tokio::test]
async fn a_good_key_is_read_once_and_a_revoked_one_refused_at_once() {
    let scene = Scene::set().await;
    let (known, key) = scene.key(|_| {}).await;
    // When the ring has heard of it, nothing but its being revoked changes anything.
    until(Duration::from_secs(5), || async {
        let before = scene.wire.reads();
        scene.lets_in(&key).await && scene.lets_in(&key).await && scene.wire.reads() == before
    })
    .await;
    let before = scene.wire.reads();
    for _ in 0..100 {
        assert!(scene.lets_in(&key).await);
    }
    assert_eq!(scene.wire.reads(), before);
    assert!(scene.elsewhere.revoke(&known.id, Millis::now()).await.unwrap());
    // Nothing but the message tells it.
    until(Duration::from_secs(2), || async { !scene.lets_in(&key).await }).await;
    for _ in 0..100 {
        assert!(!scene.lets_in(&key).await);
    }
    // In the process that revokes it, it does not even need that.
    let (known, key) = scene.key(|_| {}).await;
    assert!(scene.lets_in(&key).await);
    scene.ring.keys().revoke(&known.id, Millis::now()).await.unwrap();
    scene.ring.forget(&known.id);
    assert!(!scene.lets_in(&key).await);
}

#[tokio::test]
async fn nothing_is_remembered_while_the_subscription_is_cut() {
    let scene = Scene::set().await;
    let (known, key) = scene.key(|_| {}).await;
    assert!(scene.lets_in(&key).await);
    scene.wire.set(Subscriptions::Cut);
    scene.until_live(false).await;
    let before = scene.wire.reads();
    for asked in 1..=5 {
        assert!(scene.lets_in(&key).await);
        assert_eq!(scene.wire.reads(), before + asked);
    }
    assert!(scene.elsewhere.revoke(&known.id, Millis::now()).await.unwrap());
    assert!(!scene.lets_in(&key).await);
    scene.wire.set(Subscriptions::Work);
    scene.until_live(true).await;
    assert!(!scene.lets_in(&key).await);
}

#[tokio::test]
async fn a_subscription_that_fell_silent_is_noticed() {
    let scene = Scene::set().await;
    let (known, key) = scene.key(|_| {}).await;
    assert!(scene.lets_in(&key).await);
    scene.wire.set(Subscriptions::Silent);
    assert!(scene.elsewhere.revoke(&known.id, Millis::now()).await.unwrap());
    // A ping a second, and a second for its answer.
    until(Duration::from_secs(8), || async { !scene.lets_in(&key).await }).await;
}

#[tokio::test]
async fn a_flood_of_wrong_keys_neither_hammers_redis_nor_keeps_the_others_out() {
    let (scene, other) = (Scene::set().await, Scene::set().await);
    let (_, good) = scene.key(|_| {}).await;
    let mut wrong = Vec::new();
    for _ in 0..600 {
        wrong.push(other.key(|_| {}).await.1);
    }
    let (begun, before) = (Instant::now(), scene.wire.reads());
    let refused = futures::future::join_all(wrong.iter().map(|key| scene.lets_in(key))).await;
    let (reads, took) = (scene.wire.reads() - before, begun.elapsed().as_secs() + 1);
    assert!(!refused.contains(&true));
    // 100 a second, 100 at once.
    let most = usize::try_from(100 + 100 * took).unwrap();
    assert!(reads >= 100 && reads <= most, "{reads} reads, at most {most}");
    // A key that exists is looked up all the same, though this ring has not seen it yet.
    until(Duration::from_secs(5), || async { scene.lets_in(&good).await }).await;
}

#[tokio::test]
async fn a_key_that_comes_too_often_waits_and_is_told_so() {
    let scene = Scene::set().await;
    let (_, slow) = scene.key(|new| new.rate = Some(2)).await;
    let (_, free) = scene.key(|_| {}).await;
    let value = format!("Bearer {}", slow.reveal());
    let header = |response: &Response<Body>, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let first = scene.ask(Some(&value)).await;
    assert_eq!((first.status(), header(&first, "ratelimit-limit").as_deref()), (StatusCode::OK, Some("2")));
    assert!(header(&first, "ratelimit-remaining").is_some() && header(&first, "retry-after").is_none());
    let mut answers = futures::future::join_all((0..40).map(|_| scene.ask(Some(&value)))).await;
    let refused = answers.pop().unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("1"));
    assert_eq!(header(&refused, "ratelimit-remaining").as_deref(), Some("0"));
    assert!(told(refused).await.1.contains("rate_limit_exceeded"));
    // Another key has its own limit, or none: then nothing is told.
    let other = scene.ask(Some(&format!("Bearer {}", free.reveal()))).await;
    assert_eq!((other.status(), header(&other, "ratelimit-limit")), (StatusCode::OK, None));
    until(Duration::from_secs(5), || async { scene.ask(Some(&value)).await.status() == StatusCode::OK }).await;
}

#[tokio::test]
async fn a_key_expires_also_where_it_is_remembered_and_its_use_is_noted() {
    let scene = Scene::set().await;
    let end = Millis::now().after(Duration::from_secs(3));
    let (known, key) = scene.key(|new| new.expires_at = Some(end)).await;
    assert!(scene.lets_in(&key).await);
    until(Duration::from_secs(2), || async {
        let stored = scene.elsewhere.get(&known.id).await.unwrap().unwrap();
        stored.last_used_at.is_some_and(|used| used >= stored.created_at)
    })
    .await;
    until(Duration::from_secs(10), || async { !scene.lets_in(&key).await }).await;
    assert!(Millis::now() >= end);
    // It stays in the list, so that it can be told why it is refused.
    assert_eq!(scene.elsewhere.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_redis_nobody_is_let_in() {
    let Scene { redis, wire: _wire, ring, elsewhere } = Scene::set().await;
    let new = NewKey { name: "shop".to_owned(), scopes: [Scope::Send].into_iter().collect(), ..NewKey::default() };
    let (_, key) = elsewhere.create(new, Millis::now()).await.unwrap();
    drop(redis);
    until(Duration::from_secs(10), || async { !ring.is_live() }).await;
    let app = Router::new().route("/", get(|| async { "in" })).layer(middleware::from_fn_with_state(ring, guard));
    let request = Request::get("/").header("authorization", format!("Bearer {}", key.reveal()));
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}
