//! What five hundred slots cost while they wait for a slow server.

use postroom_it::{PATIENCE, Rig, mail_json, until};
use postroom_sandbox::ConfigChange;

use crate::support::mail;

const SLOTS: usize = 500;
const LIMIT_KIB: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_slots_waiting_on_a_slow_server_stay_under_64_mib() {
    let rig = Rig::start().await.unwrap();
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(5_000), ..ConfigChange::default() });
    let queue = rig.queue().await.unwrap();
    let mut jobs = Vec::new();
    for number in 0..SLOTS.div_ceil(3) {
        let address = format!("user{number}@example.com");
        let id = rig.add_account(&address).await.unwrap();
        let mut json = mail_json(&address, "x@example.org", "slow");
        json["text"] = "Two kilobytes of text. ".repeat(90).into();
        jobs.extend((0..3).map(|_| mail(&queue, &id, &json)));
    }
    queue.push_many(&jobs).await;
    let worker = rig.worker(&[("POSTROOM_CONCURRENCY", "500"), ("POSTROOM_LOG", "warn")]).unwrap();
    until("all slots to wait with a connection each", PATIENCE * 2, || async {
        let sending = queue.stats().await?.states["sending"] >= SLOTS as u64;
        Ok((sending && rig.sandbox.stats().open_connections >= SLOTS as u64).then_some(()))
    })
    .await
    .unwrap();
    let (now, peak) = (worker.resident_kib().unwrap(), worker.peak_resident_kib().unwrap());
    println!("a worker with {SLOTS} slots waiting: {now} KiB resident, {peak} KiB at most");
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}
