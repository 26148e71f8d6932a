//! Metrics of the real programs after known traffic: what was counted, and that nothing names anybody.

use postroom_it::{Api, Exposition, PATIENCE, Rig, probe_of, until};
use postroom_sandbox::{Action, Fault, Stage};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";
const QUICK: &[(&str, &str)] = &[("POSTROOM_RETRY_BASE", "50ms"), ("POSTROOM_RETRY_CAP", "100ms")];

async fn hand_over(api: &Api, to: &str) -> String {
    let mail = json!({ "from": SHOP, "to": [to], "subject": "Your order", "text": "Thank you." });
    let stored = api.post("/emails", &mail).await.unwrap();
    assert_eq!(stored.status, 200, "{stored:?}");
    stored.text("id").to_owned()
}

async fn state(api: &Api, id: &str, state: &str) {
    until(&format!("{id} to be {state}"), PATIENCE, || async {
        Ok((api.get(&format!("/emails/{id}")).await?.text("state") == state).then_some(()))
    })
    .await
    .unwrap();
}

/// Waits until a worker has counted what it settled.
async fn finished(probe: &str, mails: f64) -> Exposition {
    until("the mails to be counted", PATIENCE, || async {
        let shown = Exposition::of(probe).await?;
        Ok((shown.sum("postroom_mails_finished_total") >= mails).then_some(shown))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_worker_counts_what_became_of_its_mails() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let busy = Fault::new(Stage::Final, Action::reply("451 4.3.0 Temporarily rejected. Try again later.")).times(2);
    rig.sandbox.add_fault(busy).unwrap();
    let worker = rig.worker(QUICK).unwrap();
    let probe = probe_of(&worker).await.unwrap();
    let born = Exposition::of(&probe).await.unwrap();
    // It may have asked Redis for work already.
    let counters: Vec<String> =
        born.series().into_iter().filter(|it| it.contains("_total") && !it.contains("turns")).collect();
    assert!(counters.len() > 300, "{}", counters.len());
    assert!(counters.iter().all(|series| born.get(series).unwrap() == 0.0), "{}", born.text);

    let api = rig.serve(&[]).await.unwrap();
    let twice = hand_over(&api, "bob@example.org").await;
    state(&api, &twice, "sent").await;
    let gone = Action::reply("550 5.1.1 The email account that you tried to reach does not exist.");
    rig.sandbox.add_fault(Fault::new(Stage::Rcpt, gone).times(1)).unwrap();
    let dies = hand_over(&api, "nobody@example.org").await;
    state(&api, &dies, "dead").await;
    let shown = finished(&probe, 2.0).await;
    for (series, expected) in [
        ("postroom_attempts_total{outcome=\"retry\",reason=\"server_busy\"}", 2.0),
        ("postroom_attempts_total{outcome=\"sent\",reason=\"delivered\"}", 1.0),
        ("postroom_attempts_total{outcome=\"dead\",reason=\"recipient\"}", 1.0),
        ("postroom_mails_finished_total{timeliness=\"on_time\"}", 1.0),
        ("postroom_mails_finished_total{timeliness=\"failed\"}", 1.0),
        ("postroom_replies_total{stage=\"final\",code=\"451\"}", 2.0),
        ("postroom_replies_total{stage=\"final\",code=\"250\"}", 1.0),
        ("postroom_replies_total{stage=\"rcpt\",code=\"550\"}", 1.0),
        ("postroom_logins_total{result=\"ok\"}", 1.0),
        ("postroom_token_refreshes_total{result=\"ok\"}", 1.0),
        ("postroom_token_seconds_count{source=\"refresh\"}", 1.0),
        ("postroom_connect_seconds_count{result=\"ok\"}", 1.0),
        ("postroom_send_seconds_count{outcome=\"retry\"}", 2.0),
        ("postroom_queue_wait_seconds_count", 4.0),
        ("postroom_connections", 1.0),
        ("postroom_slots", 64.0),
        ("postroom_spans_dropped_total", 0.0),
    ] {
        assert_eq!(shown.get(series).unwrap(), expected, "{series}");
    }
    // Labels are born, not made; and nobody is named.
    assert_eq!(born.series(), shown.series());
    assert!(!shown.text.contains('@') && !shown.text.contains("example.org"), "{}", shown.text);
}

#[tokio::test]
async fn serve_counts_requests_and_refusals_and_tells_of_the_queue() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let probe = probe_of(&api.process).await.unwrap();
    hand_over(&api, "bob@example.org").await;
    let bad = api.post("/emails", &json!({ "from": SHOP, "to": ["x"], "subject": "s", "text": "t" })).await.unwrap();
    assert_eq!(bad.status, 422, "{bad:?}");
    let nobody = api.ask_with("", "POST", "/emails", &[], &json!({})).await.unwrap();
    assert_eq!(nobody.status, 401);
    api.ask("GET", "/no/such/bob@example.org", &Value::Null).await.unwrap();
    let permissive = json!([{ "from": SHOP, "to": ["y"], "subject": "s", "text": "t" }]);
    let headers = [("x-batch-validation", "permissive")];
    api.ask_with(&api.key, "POST", "/emails/batch", &headers, &permissive).await.unwrap();
    let shown = Exposition::of(&probe).await.unwrap();
    for (series, expected) in [
        ("postroom_api_requests_total{method=\"POST\",route=\"/emails\",status=\"2xx\"}", 1.0),
        ("postroom_api_requests_total{method=\"POST\",route=\"/emails\",status=\"4xx\"}", 2.0),
        ("postroom_api_requests_total{method=\"GET\",route=\"other\",status=\"4xx\"}", 1.0),
        ("postroom_api_requests_total{method=\"POST\",route=\"/emails/batch\",status=\"2xx\"}", 1.0),
        ("postroom_api_request_seconds_count{route=\"/emails\"}", 3.0),
        ("postroom_api_refusals_total{reason=\"validation_error\"}", 2.0),
        ("postroom_api_refusals_total{reason=\"missing_api_key\"}", 1.0),
        ("postroom_jobs{state=\"ready\",priority=\"normal\"}", 1.0),
        ("postroom_jobs{state=\"dead\",priority=\"any\"}", 0.0),
        ("postroom_slots_wanted", 1.0),
        ("postroom_accounts{held=\"no\"}", 1.0),
        ("postroom_accounts{held=\"consent\"}", 0.0),
        ("postroom_workers", 0.0),
        ("postroom_redis_up", 1.0),
    ] {
        assert_eq!(shown.get(series).unwrap(), expected, "{series}");
    }
    assert!(shown.get("postroom_redis_used_bytes").unwrap() > 100_000.0);
    assert_eq!(shown.sum("postroom_budget_messages"), 1_000_000.0);
    assert!(!shown.text.contains('@') && !shown.text.contains("example"), "{}", shown.text);
    // Whoever scrapes as often as they like: Redis is read once in five seconds.
    for _ in 0..20 {
        Exposition::of(&probe).await.unwrap();
    }
    let reads = Exposition::of(&probe).await.unwrap().get("postroom_queue_reads_total{result=\"ok\"}").unwrap();
    assert!(reads <= 2.0, "{reads}");
}
