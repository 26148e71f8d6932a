//! The dashboard's live pages: what the stream of events tells, how often Redis is read for it, and when it ends.

use std::time::{Duration, Instant};

use postroom_it::{Api, PATIENCE, Rig, Visitor};
use serde_json::json;

const SHOP: &str = "shop@example.com";

async fn rig() -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve_dashboard("on").await.unwrap();
    (rig, api)
}

async fn send(api: &Api) -> String {
    let mail = json!({ "from": SHOP, "to": ["ann@example.org"], "subject": "Hi", "text": "x" });
    api.post("/emails", &mail).await.unwrap().text("id").to_owned()
}

/// A stream of events as it is read.
struct Events {
    response: reqwest::Response,
    read: String,
}

impl Events {
    async fn open(visitor: &Visitor, query: &str) -> Self {
        let response = visitor.open(&format!("/dashboard/events?{query}")).await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!((response.status().as_u16(), kind.as_str()), (200, "text/event-stream"));
        Self { response, read: String::new() }
    }

    /// Reads on until what came fits, and forgets it.
    async fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let reading = async {
            while !fits(&self.read) {
                let chunk = self.response.chunk().await.unwrap().expect("the stream ended");
                self.read.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "{what}: {}", self.read);
        std::mem::take(&mut self.read)
    }

    /// Reads to its end.
    async fn end(mut self) {
        let reading = async { while self.response.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the stream goes on");
    }
}

#[tokio::test]
async fn what_changes_is_told_to_each_page_in_its_own_way() {
    let (_rig, api) = rig().await;
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    let mut overview = Events::open(&admin, "page=overview").await;
    let mut list = Events::open(&admin, "page=list").await;
    let first = overview.until("the first part", |read| read.contains("event: part") && read.ends_with("\n\n")).await;
    assert!(first.contains("event: numbers") && first.contains("\"ready\":\"0\""), "{first}");
    list.until("the first numbers", |read| read.contains("\"ready\":\"0\"")).await;
    let id = send(&api).await;
    let next =
        overview.until("the mail", |read| read.contains("\"ready\":\"1\"") && read.contains("event: part")).await;
    assert!(next.contains("no worker"), "{next}");
    list.until("the news", |read| read.contains("\"ready\":\"1\"") && read.contains("event: changed")).await;

    // The page tells its stream what it shows: whatever changes after it was made is told.
    let page = admin.get(&format!("/dashboard/mails/{id}")).await.unwrap().text;
    let query = page.split("data-events=\"/dashboard/events?").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(admin.post(&format!("/dashboard/mails/{id}/cancel"), &[]).await.unwrap().status, 303);
    let mut mail = Events::open(&admin, &query.replace("&amp;", "&")).await;
    mail.until("that the mail changed", |read| read.contains("event: again")).await;
}

#[tokio::test]
async fn many_who_look_read_redis_once_a_second() {
    let (rig, api) = rig().await;
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..20 {
        let mut events = Events::open(&admin, "page=overview").await;
        events.until("the first part", |read| read.contains("event: part")).await;
        all.push(events);
    }
    let counted = || async {
        let stats: String = rig.redis.ask(&["INFO", "commandstats"]).await.unwrap();
        let line = stats.lines().find(|line| line.starts_with("cmdstat_smembers:")).unwrap_or_default().to_owned();
        line.split("calls=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (began, before) = (Instant::now(), counted().await);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (reads, seconds) = (counted().await - before, began.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let a_second = reads as f64 / seconds;
    println!("20 streams: {a_second:.2} reads a second");
    assert!(reads >= 1 && a_second <= 1.3, "{reads} reads in {seconds} s");
}

#[tokio::test]
async fn a_stream_ends_with_its_key_and_with_the_server() {
    let (rig, mut api) = rig().await;
    let key = rig.key(&["create", "ops", "--scope", "read"]).await.unwrap();
    let viewer = Visitor::log_in(&api.base, &key).await.unwrap();
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    let (of_viewer, of_admin) = (Events::open(&viewer, "page=list").await, Events::open(&admin, "page=list").await);
    let keys = api.get("/keys").await.unwrap();
    let id = keys.body["data"].as_array().unwrap().iter().find(|key| key["name"] == "ops").unwrap()["id"].clone();
    rig.key(&["revoke", id.as_str().unwrap()]).await.unwrap();
    of_viewer.end().await;

    api.process.signal("TERM").await.unwrap();
    let stopping = Instant::now();
    of_admin.end().await;
    assert!(api.process.wait(PATIENCE).await.unwrap().success());
    assert!(stopping.elapsed() < Duration::from_secs(20), "the stream did not hold it up: {:?}", stopping.elapsed());
}
