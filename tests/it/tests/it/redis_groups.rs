//! A Redis of several servers, watched by Sentinels or as a Cluster: a master is lost under load, and what that costs.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use postroom_it::{PATIENCE, Persistence, Process, RedisServer, Rig, mail_json, redis_program, run, until};
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, ConfigChange, Sandbox};
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, PushError, Pushed, Queue};
use postroom_shared::store::StoreError;

use crate::support::mail;

const MAILS: usize = 1_200;
/// A server that is lost comes back after this, as somebody's replica.
const AWAY: Duration = Duration::from_secs(8);
/// No write is taken that no replica gets.
const GUARDED: [&str; 4] = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn server(extra: &[&str]) -> RedisServer {
    RedisServer::start_with(Persistence::Always, extra).await.unwrap()
}

async fn tell(server: &RedisServer, command: &[&str]) {
    server.ask::<redis::Value>(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
}

/// Until an answer has a line that begins so.
async fn until_told(server: &RedisServer, command: &[&str], line: &str) {
    until(line, PATIENCE, || async {
        let text: String = server.ask(command).await?;
        Ok(text.lines().any(|told| told.starts_with(line)).then_some(()))
    })
    .await
    .unwrap();
}

/// A rig whose processes find Redis there.
async fn rig_at(url: &str, shards: &str) -> Rig {
    let mut rig = Rig::start().await.unwrap();
    rig.environment = rig.with(&[("POSTROOM_REDIS_URL", url), ("POSTROOM_SHARDS", shards)]);
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(20), ..ConfigChange::default() });
    rig
}

/// What became of the mails that were handed over meanwhile.
#[derive(Default)]
struct HandedOver {
    /// The id in Redis of each Message-ID.
    stored: HashMap<String, MailId>,
    unknown: usize,
    /// The longest that any hand-over was put off.
    longest: Duration,
}

/// Hands mail over, and again for as long as it surely was not stored.
async fn hand_over(queue: &Queue, accounts: &[AccountId], told: &tokio::sync::watch::Sender<usize>) -> HandedOver {
    let mut sum = HandedOver::default();
    for number in 0..MAILS {
        let account = &accounts[number % accounts.len()];
        let new = mail(queue, account, &mail_json(account.reveal(), "x@example.org", &number.to_string()));
        let began = Instant::now();
        loop {
            match queue.push(&new).await {
                Ok(pushed) => {
                    sum.stored.insert(new.job.message_id.clone(), pushed.id());
                    break;
                }
                Err(PushError::Store(StoreError::Unknown(_))) => break sum.unknown += 1,
                Err(PushError::Store(error)) if error.is_passing() && began.elapsed() < PATIENCE => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sum.longest = sum.longest.max(began.elapsed());
        told.send_replace(number + 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sum
}

/// Sends mail while a master is lost, and tells what was lost and doubled.
async fn lose_a_master(what: &str, rig: &Rig, master: &RedisServer) {
    let (queue, mut accounts) = (rig.queue().await.unwrap(), Vec::new());
    for number in 0..8 {
        accounts.push(rig.add_account(&format!("user{number}@example.com")).await.unwrap());
    }
    let settings = [("POSTROOM_LEASE", "5s"), ("POSTROOM_RETRY_BASE", "50ms"), ("POSTROOM_LOGIN_BURST", "1000")];
    let mut workers: Vec<_> = (0..2).map(|_| rig.worker(&settings).unwrap()).collect();
    let (told, mut heard) = tokio::sync::watch::channel(0);
    let (handed_over, ()) = tokio::join!(hand_over(&queue, &accounts, &told), async {
        heard.wait_for(|number| *number > MAILS / 3).await.unwrap();
        master.restart(AWAY).await.unwrap();
    });
    until("all mails to be sent", PATIENCE * 2, || async {
        let Ok(stats) = queue.stats().await else { return Ok(None) };
        let open: u64 = ["ready", "scheduled", "retry", "sending"].iter().map(|state| stats.states[*state]).sum();
        Ok((open == 0).then_some(()))
    })
    .await
    .unwrap();
    for worker in &mut workers {
        assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
        assert!(!worker.log().contains("CROSSSLOT") && !worker.log().contains("crossed slots"), "{}", worker.log());
    }
    let arrived: HashSet<String> = rig.sandbox.mails().into_iter().filter_map(|mail| mail.message_id).collect();
    let doubled = rig.sandbox.stats().doubled;
    let mut lost = Vec::new();
    for (_, id) in handed_over.stored.iter().filter(|(message_id, _)| !arrived.contains(*message_id)) {
        lost.push(queue.mail(*id).await.unwrap().map(|mail| mail.state));
    }
    println!(
        "{what}: a master lost and back after {AWAY:?}, {MAILS} mails under way: lost {}, doubled {doubled}, {} of which nobody \
         knew whether they were stored; the longest hand-over took {:.1?}",
        lost.len(),
        handed_over.unknown,
        handed_over.longest
    );
    assert!(lost.is_empty() && doubled == 0, "what Redis knows of those that did not arrive: {lost:?}");
}

/// Every kind of question, none of which may touch keys of two slots at once.
async fn everything_can_be_asked(rig: &Rig) {
    let credentials = [
        ("POSTROOM_CLIENT_ID", CLIENT_ID),
        ("POSTROOM_CLIENT_SECRET", CLIENT_SECRET),
        ("POSTROOM_REFRESH_TOKEN", &Sandbox::refresh_token("late@example.com")),
    ];
    let added = run("postroom", &["account", "add", "late@example.com"], &rig.with(&credentials), b"").await.unwrap();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let late = mail_json("late@example.com", "x@example.org", "x").to_string();
    let id = rig.postroom_with(&["send", "-"], late.as_bytes()).await.unwrap().stdout.trim().to_owned();
    for arguments in [
        &["mail", "show", &id][..],
        &["mail", "list"],
        &["mail", "cancel", &id],
        &["dead", "list"],
        &["account", "list"],
        &["account", "show", "user1@example.com"],
        &["account", "hold", "user1@example.com", "--for", "1m"],
        &["account", "resume", "user1@example.com"],
        &["account", "reseal"],
        &["key", "create", "app"],
        &["key", "list"],
        &["queue", "stats"],
    ] {
        let done = rig.postroom(arguments).await.unwrap();
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    }
    let api = rig.serve(&[]).await.unwrap();
    let figures = postroom_it::Exposition::of(&postroom_it::probe_of(&api.process).await.unwrap()).await.unwrap();
    assert_eq!(figures.get("postroom_redis_up").unwrap(), 1.0);
    assert!(figures.get("postroom_redis_used_bytes").unwrap() > 0.0);
}

fn sentinel(folder: &Path, number: usize, port: u16, master: u16) -> Process {
    let file = folder.join(format!("sentinel{number}.conf"));
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor post 127.0.0.1 {master} 2\nsentinel down-after-milliseconds post \
         1500\nsentinel failover-timeout post 6000\n",
        folder.display()
    );
    std::fs::write(&file, text).unwrap();
    Process::start_program(&redis_program().unwrap(), &[file.to_str().unwrap(), "--sentinel"], &[]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_choose_another_master_and_no_mail_is_lost() {
    let master = server(&GUARDED).await;
    let port = master.port().unwrap().to_string();
    let replica = [&GUARDED[..], &["--replicaof", "127.0.0.1", &port]].concat();
    let _replicas = [server(&replica).await, server(&replica).await];
    until_told(&master, &["INFO", "replication"], "min_slaves_good_slaves:2").await;
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port(), free_port()];
    let own = master.port().unwrap();
    let sentinels: Vec<_> = ports.iter().enumerate().map(|(n, port)| sentinel(folder.path(), n, *port, own)).collect();
    for port in ports {
        // Until it knows both replicas and both others.
        until("the Sentinels to know each other", PATIENCE, || async {
            let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{port}")) else { return Ok(None) };
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return Ok(None) };
            let text: String = redis::cmd("INFO").arg("sentinel").query_async(&mut connection).await?;
            Ok(text.contains("slaves=2,sentinels=3").then_some(()))
        })
        .await
        .unwrap();
    }
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let rig = rig_at(&format!("redis+sentinel://{hosts}/post"), "1").await;
    lose_a_master("Sentinel", &rig, &master).await;
    until_told(&master, &["INFO", "replication"], "role:slave").await;
    everything_can_be_asked(&rig).await;
    drop(sentinels);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_replica_has_is_not_called_stored() {
    let master = server(&GUARDED).await;
    let port = master.port().unwrap().to_string();
    let replica = server(&[&GUARDED[..], &["--replicaof", "127.0.0.1", &port]].concat()).await;
    until_told(&master, &["INFO", "replication"], "min_slaves_good_slaves:1").await;
    let rig = rig_at(&master.url(), "1").await;
    let (queue, account) = (rig.queue().await.unwrap(), rig.add_account("user0@example.com").await.unwrap());
    let mut new = mail(&queue, &account, &mail_json(account.reveal(), "x@example.org", "0"));
    new.idempotency = Some(("key".to_owned(), "print".to_owned()));
    // It lives, says the master still, but it gets nothing any more.
    replica.signal("STOP").await.unwrap();
    let told = queue.push(&new).await;
    replica.signal("CONT").await.unwrap();
    let Err(PushError::Store(StoreError::Unknown(why))) = told else { panic!("{told:?}") };
    assert!(why.contains("no replica had it within 3 s"), "{why}");
    // Who asks again by the same key learns that it is there, and only there.
    let again = until("a replica that has it", PATIENCE, || async { Ok(queue.push(&new).await.ok()) }).await.unwrap();
    assert!(matches!(again, Pushed::Same(_)), "{again:?}");
    let keys: Vec<String> = replica.ask(&["KEYS", "*"]).await.unwrap();
    assert!(keys.iter().any(|key| key.contains(&again.id().to_string())), "{keys:?}");
}

/// A Cluster of so many servers: the first three have all slots, the others nothing yet.
async fn servers_of_a_cluster(count: usize, further: &[&str]) -> Vec<RedisServer> {
    let mut servers = Vec::new();
    let mut buses = Vec::new();
    for _ in 0..count {
        let bus = free_port().to_string();
        let of_cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
        servers.push(server(&[further, &of_cluster].concat()).await);
        buses.push(bus);
    }
    for (number, server) in servers.iter().enumerate() {
        tell(server, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
        let port = server.port().unwrap().to_string();
        if number > 0 {
            tell(&servers[0], &["CLUSTER", "MEET", "127.0.0.1", &port, &buses[number]]).await;
        }
    }
    for (server, (first, last)) in servers.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        tell(server, &["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
    }
    for server in &servers {
        until_told(server, &["CLUSTER", "INFO"], &format!("cluster_known_nodes:{count}")).await;
        until_told(server, &["CLUSTER", "INFO"], "cluster_state:ok").await;
    }
    servers
}

/// Three masters and a replica of each.
async fn cluster() -> Vec<RedisServer> {
    let servers = servers_of_a_cluster(6, &GUARDED).await;
    for (master, replica) in servers.iter().zip(&servers[3..]) {
        let id: String = master.ask(&["CLUSTER", "MYID"]).await.unwrap();
        tell(replica, &["CLUSTER", "REPLICATE", &id]).await;
    }
    for master in &servers[..3] {
        until_told(master, &["INFO", "replication"], "min_slaves_good_slaves:1").await;
    }
    servers
}

fn address_of(servers: &[RedisServer]) -> String {
    let hosts: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port().unwrap())).collect();
    format!("redis+cluster://{}", hosts.join(","))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_a_master_and_no_mail_is_lost() {
    let servers = cluster().await;
    let rig = rig_at(&address_of(&servers), "12").await;
    lose_a_master("Cluster", &rig, &servers[0]).await;
    for master in &servers[1..3] {
        assert!(master.ask::<u64>(&["DBSIZE"]).await.unwrap() > 0, "the shards are spread");
    }
    until_told(&servers[3], &["INFO", "replication"], "role:master").await;
    everything_can_be_asked(&rig).await;
}

/// Mails handed over for each of these accounts, and the ids.
async fn hand_over_to(queue: &Queue, accounts: &[AccountId], count: usize) -> Vec<MailId> {
    let mut ids = Vec::new();
    for number in 0..count {
        for account in accounts {
            let new = mail(queue, account, &mail_json(account.reveal(), "x@example.org", &number.to_string()));
            ids.push(queue.push(&new).await.unwrap().id());
        }
    }
    ids
}

async fn until_sent(queue: &Queue, ids: &[MailId]) {
    for id in ids {
        until("a mail to be sent", PATIENCE, || async {
            let told = queue.mail(*id).await?.map(|told| told.state);
            Ok((told == Some(MailState::Sent)).then_some(()))
        })
        .await
        .unwrap();
    }
}

/// Without replicas nobody takes a lost master's place. It hangs, and is not gone: its answers are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_keeps_only_the_mail_that_lies_on_it() {
    let servers = servers_of_a_cluster(3, &["--cluster-require-full-coverage", "no"]).await;
    let rig = rig_at(&address_of(&servers), "12").await;
    let (queue, mut there, mut elsewhere) = (rig.queue().await.unwrap(), Vec::new(), Vec::new());
    for number in 0..12 {
        let account = rig.add_account(&format!("user{number}@example.com")).await.unwrap();
        let first = hand_over_to(&queue, std::slice::from_ref(&account), 1).await[0];
        let found: Vec<String> = servers[0].ask(&["KEYS", &format!("*{first}")]).await.unwrap();
        if found.is_empty() { elsewhere.push(account) } else { there.push(account) }
    }
    assert!(!there.is_empty() && !elsewhere.is_empty(), "{there:?}, {elsewhere:?}");
    let lease = Duration::from_secs(5);
    let settings = [("POSTROOM_LEASE", "5s"), ("POSTROOM_LOGIN_BURST", "1000")];
    let mut worker = rig.worker(&settings).unwrap();
    until_sent(&queue, &hand_over_to(&queue, &elsewhere, 1).await).await;
    // So many that some are in hand, of which the ends cannot be told.
    let kept = hand_over_to(&queue, &there, 200).await;
    until_sent(&queue, &kept[..there.len()]).await;
    servers[0].signal("STOP").await.unwrap();
    let began = Instant::now();
    while began.elapsed() < lease * 3 {
        until_sent(&queue, &hand_over_to(&queue, &elsewhere, 2).await).await;
    }
    assert!(!worker.log().contains("the session was lost"), "{}", worker.log());
    servers[0].signal("CONT").await.unwrap();
    until_sent(&queue, &kept).await;
    assert_eq!(rig.sandbox.stats().doubled, 0);
    assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
}
