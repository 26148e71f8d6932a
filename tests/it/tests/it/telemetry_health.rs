//! `/livez` and `/readyz` of both programs, while Redis is away and while they stop.

use std::time::Duration;

use postroom_it::{Exposition, Gate, HttpAnswer, PATIENCE, Process, Rig, http, mail_json, probe_of, until};
use postroom_sandbox::{Action, Fault, Stage};

use crate::support::mail;

async fn ask(probe: &str, path: &str) -> HttpAnswer {
    http("GET", &format!("{probe}{path}"), "text/plain", "").await.unwrap()
}

async fn readyz(probe: &str, status: u16) -> HttpAnswer {
    until(&format!("/readyz to be {status}"), PATIENCE, || async {
        let answer = http("GET", &format!("{probe}/readyz"), "text/plain", "").await?;
        Ok((answer.status == status).then_some(answer))
    })
    .await
    .unwrap()
}

async fn redis_up(probe: &str, up: f64) {
    until(&format!("postroom_redis_up to be {up}"), PATIENCE, || async {
        Ok((Exposition::of(probe).await?.get("postroom_redis_up")? == up).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_redis_that_goes_away_makes_nobody_ready_and_kills_nobody() {
    let rig = Rig::start().await.unwrap();
    let worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let probes = [probe_of(&worker).await.unwrap(), probe_of(&api.process).await.unwrap()];
    for probe in &probes {
        readyz(probe, 200).await;
    }
    redis_up(&probes[1], 1.0).await;
    // It holds its connections and says nothing, which is worse than to be gone.
    rig.redis.signal("STOP").await.unwrap();
    for probe in &probes {
        assert_eq!(ask(probe, "/livez").await.status, 200);
        let answer = readyz(probe, 503).await;
        assert!(answer.body.contains("Redis"), "{}", answer.body);
        assert_eq!(ask(probe, "/livez").await.status, 200);
    }
    redis_up(&probes[1], 0.0).await;
    rig.redis.signal("CONT").await.unwrap();
    for probe in &probes {
        readyz(probe, 200).await;
    }
    assert_eq!(ask(&probes[0], "/nothing").await.status, 404);
    assert_eq!(http("POST", &format!("{}/metrics", probes[0]), "text/plain", "").await.unwrap().status, 405);
}

#[tokio::test]
async fn a_worker_that_has_never_reached_redis_lives_and_is_not_ready() {
    let rig = Rig::start().await.unwrap();
    let nowhere = rig.worker(&[("POSTROOM_REDIS_URL", "redis://127.0.0.1:1")]).unwrap();
    let probe = probe_of(&nowhere).await.unwrap();
    assert_eq!((ask(&probe, "/livez").await.status, ask(&probe, "/readyz").await.status), (200, 503));
}

#[tokio::test]
async fn a_serve_that_starts_without_redis_waits_for_it() {
    let rig = Rig::start().await.unwrap();
    let gate = Gate::open(1).await.unwrap();
    let redis = format!("redis://127.0.0.1:{}", gate.port());
    let settings = rig.with(&[("POSTROOM_REDIS_URL", &redis), ("POSTROOM_LISTEN", "127.0.0.1:0")]);
    let mut serve = Process::start("postroom", &["serve"], &settings).unwrap();
    let mut stopped = Process::start("postroom", &["serve"], &settings).unwrap();
    let probe = probe_of(&serve).await.unwrap();
    until("several attempts", PATIENCE, || async {
        Ok((serve.log().matches("trying again").count() > 2).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!((ask(&probe, "/livez").await.status, ask(&probe, "/readyz").await.status), (200, 503));
    redis_up(&probe, 0.0).await;
    // Told to stop, it need not have been reached.
    probe_of(&stopped).await.unwrap();
    assert!(stopped.stop().await.unwrap().success());
    gate.lead_to(rig.redis.port().unwrap());
    readyz(&probe, 200).await;
    redis_up(&probe, 1.0).await;
    assert!(serve.stop().await.unwrap().success(), "{}", serve.log());
}

#[tokio::test]
async fn a_worker_that_drains_lives_and_is_not_ready() {
    let rig = Rig::start().await.unwrap();
    let alice = rig.add_account("alice@example.com").await.unwrap();
    rig.sandbox.add_fault(Fault::new(Stage::Greeting, Action::Silence).times(1)).unwrap();
    let mut worker = rig.worker(&[("POSTROOM_DRAIN_SECONDS", "3600")]).unwrap();
    let probe = probe_of(&worker).await.unwrap();
    let queue = rig.queue().await.unwrap();
    let new = mail(&queue, &alice, &mail_json("alice@example.com", "bob@example.org", "slow"));
    queue.push(&new).await.unwrap();
    until("the mail to hang", PATIENCE, || async { Ok((rig.sandbox.faults()[0].fired > 0).then_some(())) })
        .await
        .unwrap();
    readyz(&probe, 200).await;
    worker.signal("TERM").await.unwrap();
    let answer = readyz(&probe, 503).await;
    assert!(answer.body.contains("draining"), "{}", answer.body);
    assert_eq!(ask(&probe, "/livez").await.status, 200);
    worker.signal("TERM").await.unwrap();
    assert!(worker.wait(Duration::from_secs(60)).await.unwrap().success(), "{}", worker.log());
}

#[tokio::test]
async fn a_port_that_is_taken_matters_only_to_who_asked_for_it() {
    let rig = Rig::start().await.unwrap();
    let first = rig.worker(&[]).unwrap();
    let taken = probe_of(&first).await.unwrap().replace("http://", "");
    let mut second = rig.worker(&[("POSTROOM_PROBE_LISTEN", &taken)]).unwrap();
    let (code, log) = second.ended(PATIENCE).await.unwrap();
    assert!(code == Some(1) && log.contains("POSTROOM_PROBE_LISTEN"), "{log}");
    let off = rig.worker(&[("POSTROOM_PROBE_LISTEN", "off")]).unwrap();
    until("the worker to start", PATIENCE, || async { Ok(off.log().contains("the worker starts").then_some(())) })
        .await
        .unwrap();
    assert!(!off.log().contains("probe.listen"), "{}", off.log());
}
